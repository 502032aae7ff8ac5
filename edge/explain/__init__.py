"""What a fusion model rests on, where it fails, and whom it fails."""
