"""Tar headers and streams, byte for byte."""
