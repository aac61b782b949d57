"""Studies: cells, their proven minimal widths, and the directory that keeps both."""
