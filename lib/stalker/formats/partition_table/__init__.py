"""MBR and GPT: read, written, resized."""
