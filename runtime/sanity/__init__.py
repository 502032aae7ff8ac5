"""What is refused before it reaches the model: frozen, empty, silent, clipped and malformed samples."""
