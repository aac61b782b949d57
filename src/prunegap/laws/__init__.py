"""Laws of width, fitted to proven intervals."""
