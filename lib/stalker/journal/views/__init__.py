"""What a run shows while it lasts: live, as lines, as JSON."""
