"""Card images from a base: sized, assembled, published, described."""
