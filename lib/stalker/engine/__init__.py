"""What is asked of Docker. `stalker.engine.docker` is the only module that imports docker-py."""
