"""What is asked of Docker. `stalker.engine.docker.adapter` is the only module that imports docker-py."""
