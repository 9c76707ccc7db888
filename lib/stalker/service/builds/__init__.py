"""A build: a checkout of the pushed commit, and a process of its own that runs its tree and outlives the service."""
