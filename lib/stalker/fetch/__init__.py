"""Inputs from outside: downloads, checksums, signatures, and the bases that stalks start from.

Nothing foreign is unpacked on this host: tar streams are verified and passed on to the engine.
"""
