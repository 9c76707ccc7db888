"""`service.hjson` in, a Service out."""
