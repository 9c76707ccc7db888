"""Commands on what is released: changes, bills of materials, provenance, signatures."""
