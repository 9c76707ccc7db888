"""Configurations of `image create` and `image inject`."""
