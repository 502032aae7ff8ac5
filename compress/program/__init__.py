"""An exported torch program as a file: written small, and read without running anything that is in it."""
