"""Disk images made from the images of steps."""
