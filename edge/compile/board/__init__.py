"""On the board: which machine this is, its engine for a bundle, and whether that answers as the bundle does."""
