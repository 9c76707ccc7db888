"""A step's script in its container: files placed, run, removed, reported on."""
