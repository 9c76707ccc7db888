"""Greetings, for the hello_world tree."""

import os

__all__ = ["hello", "hello_from_env"]


def hello(message: str) -> None:
    """Say what was given as an argument."""
    print(message, flush=True)


def hello_from_env(name: str = "HELLO_ENV") -> None:
    """Say what stands in the environment variable `name`. Raises KeyError when it is not set."""
    hello(os.environ[name])
