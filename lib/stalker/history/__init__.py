"""Questions about committed steps: which step did it, what changed, what is in a release."""
