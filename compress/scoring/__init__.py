"""Scores of a model in every modality state, counted by recording, and intervals of what was lost."""
