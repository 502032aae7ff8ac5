"""Processes that share one job: who is who, what they exchange, and training that agrees with one process."""
