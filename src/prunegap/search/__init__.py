"""Searches: one algorithm a file, all behind the contract in base.py, chosen by registry.py."""
