"""Inference back ends behind one protocol."""
