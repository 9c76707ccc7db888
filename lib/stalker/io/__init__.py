"""Files and bytes of this host: compression, hashing, sparse copies, units, progress."""
