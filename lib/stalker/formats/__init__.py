"""Byte formats. Nothing of stalker is in them: each could be released alone."""
