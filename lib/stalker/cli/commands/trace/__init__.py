"""Commands that trace how an image became what it is."""
