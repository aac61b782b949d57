"""Strong lottery tickets for whole trained networks: torch is imported here and in `trained` only."""
