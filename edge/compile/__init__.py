"""From a bundle to what a board runs: engines by two roads, their precision, the check before and the board itself."""
