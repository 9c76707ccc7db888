"""File systems as bytes: what is in a superblock, and FAT as a whole."""
