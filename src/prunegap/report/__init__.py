"""Tables, sentences and pictures made from a study; nothing here computes a width."""
