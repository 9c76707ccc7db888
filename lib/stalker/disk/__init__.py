"""Disk images: laid out, formatted, inspected."""
