"""Pushes of forges: verified, read, and matched with a project; one module for each way of signing."""
