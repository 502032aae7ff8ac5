"""Structured channel pruning of any exportable model: really smaller tensors, aligned to what kernels like."""
