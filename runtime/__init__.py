"""What runs on the board: sources, synchronization, preprocessing, engines, decoders and results. NumPy only."""
