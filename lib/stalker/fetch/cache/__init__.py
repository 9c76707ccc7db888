"""The cache of downloads: one directory, shared by all runs of this host."""
