"""File systems changed where they lie in an image: by tools in user space, without mounts or root."""
