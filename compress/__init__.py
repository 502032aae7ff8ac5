"""Makes a fusion model small and fast: distil, prune, quantize, each step measured in every modality state."""
