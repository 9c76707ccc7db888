"""The container images of the engine: listed and pruned."""
