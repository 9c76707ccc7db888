"""Images booted in QEMU, and what their consoles showed."""
