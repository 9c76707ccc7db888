"""`stalker serve`: pushes become builds, and a page shows them. Its extra is `[service]`; no other command imports it."""
