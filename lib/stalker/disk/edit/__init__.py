"""File systems changed where they are in an image, without mounts or root."""
