"""Datasets: model-ready arrays on disk, made by the runtime's own preprocessing."""
