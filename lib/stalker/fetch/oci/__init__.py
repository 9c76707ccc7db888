"""Container images from registries and archives, without an engine."""
