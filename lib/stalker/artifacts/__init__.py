"""What a tree publishes: made, checked, stored, described."""
