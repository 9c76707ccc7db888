"""Plugins of a stalk, and reusable ones: arguments, scripts, files."""
