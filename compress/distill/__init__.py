"""Distillation: a student learns from the labels, from a teacher's outputs, and from its features and branches."""
