"""An example for `make serve`: two git repositories, the second grows on the first, and a hook that sends pushes."""
