"""The machine stalker runs on: its engine, its emulators, its block devices."""
