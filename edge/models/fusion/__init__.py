"""Fusion: the branches' feature maps to one, one module a kind."""
