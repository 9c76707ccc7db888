"""The system in a disk image: its root, what its own fstab mounts below /boot, and all of it as one tar."""
