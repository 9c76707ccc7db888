"""The bases that stalks start from, each kind imported into the engine."""
