"""prunegap measures what structure costs in neural network pruning."""

__version__ = "0.1.0"
