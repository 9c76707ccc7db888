"""stalker: operating-system images as a graph of committed, tagged, resumable steps."""

__version__ = "0.1.0"
