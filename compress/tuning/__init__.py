"""Quantization-aware tuning: the weights and scales of a calibrated graph, trained through their rounding."""
