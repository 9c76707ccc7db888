"""A disk image written onto a card, and read back."""
