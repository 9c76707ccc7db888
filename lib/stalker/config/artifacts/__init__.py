"""Artifacts of a stalk: disks, partitions, boot tests, gates."""
