"""Synthetic sensors at rising rates, until the runtime misses: the rate that it sustains, and what is full first."""
