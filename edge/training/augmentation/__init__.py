"""Augmentation: training samples varied as the world would vary them, one module a kind of tensor."""
