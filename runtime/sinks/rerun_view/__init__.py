"""A run as rerun shows it, live or from a file: lossy, so that it never holds up what it shows."""
