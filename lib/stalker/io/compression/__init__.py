"""Compressed files, recognised by their first bytes: read, written, measured."""
