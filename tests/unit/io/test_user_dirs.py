"""Directories of the user are those of the XDG specification."""

import os

import pytest

from stalker.io.user_dirs import cache_dir, runtime_dir


@pytest.mark.parametrize("value", ["", "relative/path", "."])
def test_a_relative_path_in_a_variable_is_ignored(value, monkeypatch):
    """Else the cache would be another one in each directory."""
    monkeypatch.setenv("HOME", "/home/ann")

    assert cache_dir({"XDG_CACHE_HOME": value}) == "/home/ann/.cache/stalker"
    assert runtime_dir({"XDG_RUNTIME_DIR": value}) == f"/run/user/{os.getuid()}"


def test_the_variables_name_the_directories():
    """The directory of the cache is ours, that of sockets is everyone's."""
    assert cache_dir({"XDG_CACHE_HOME": "/c"}) == "/c/stalker"
    assert runtime_dir({"XDG_RUNTIME_DIR": "/r"}) == "/r"


def test_all_parts_of_stalker_use_the_same_cache(monkeypatch):
    """A relative XDG_CACHE_HOME does not split it in two."""
    from stalker.app.environment import cache_dir as of_app

    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")

    assert str(of_app()) == cache_dir() == "/home/ann/.cache/stalker"
