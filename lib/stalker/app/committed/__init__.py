"""What is committed: found by name, listed, exported."""
