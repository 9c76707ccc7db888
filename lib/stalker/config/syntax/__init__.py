"""Hjson and YAML with the place of each value, and the report of all problems."""
