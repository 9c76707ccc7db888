"""What a run leaves behind and what it shows: the causal log, step logs, their reader, the views."""
