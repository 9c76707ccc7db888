"""Workspaces that `stalker init` makes, and what `stalker new` adds to one; the texts are in `data/`."""
