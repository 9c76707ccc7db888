"""What becomes of images: listed, compared, exported, pruned; tar streams passed on, never extracted."""
