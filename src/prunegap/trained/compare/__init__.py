"""The fair comparison: one model, several granularities, equal budgets, quality against measured cost."""
