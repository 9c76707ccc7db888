"""Card images: created from a base, injected into, patched, written to a card."""
