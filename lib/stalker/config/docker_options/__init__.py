"""Container options: which there are, and their values."""
