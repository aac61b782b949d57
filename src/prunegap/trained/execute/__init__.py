"""Sparse weights that are really run sparse: per layer the fastest execution, chosen by timing it."""
