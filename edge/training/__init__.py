"""Losses and metrics of the tasks that fusion models are trained for."""
