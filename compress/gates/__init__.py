"""A step must pay: what a gate asks, what was found against it, the verdict, and its words."""
