"""Runs a bundle on what is pushed: threads, clock, callbacks, and what keeps them from taking the process down."""
