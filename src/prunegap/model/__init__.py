"""The nouns: networks, draws, granularities, masks, problems, certificates and outcomes.

Everything here is an immutable value that guards its own invariants; nothing here searches, certifies or writes.
"""
