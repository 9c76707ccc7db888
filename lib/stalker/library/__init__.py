"""The library: what `import stalker` gives. Thin values over the use cases of `app/`."""
