"""One stage of a recipe: its config, what it runs, how it is measured and judged, and how a finished one is kept."""
