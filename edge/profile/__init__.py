"""Latency that can be believed: what was timed, on which machine in which state, with intervals; and its views."""
