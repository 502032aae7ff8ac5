"""A profile as people and other programs read it: terminal, page, Chrome trace, CSV."""
