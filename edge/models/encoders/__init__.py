"""Encoders: one modality's tensor to a feature map `[B, channels, h, w]`, one module a kind."""
