"""A trained model pruned at every granularity: solvers, shrinking, sparse execution, latency. Needs torch."""
