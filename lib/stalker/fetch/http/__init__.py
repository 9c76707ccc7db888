"""HTTP: one request, one download, resumed where it ended."""
