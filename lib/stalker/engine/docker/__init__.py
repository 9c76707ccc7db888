"""Docker and Podman through their API. No other package imports docker-py."""
