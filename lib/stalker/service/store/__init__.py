"""The database: what was asked of the service, and what became of it. Images say what is built."""
