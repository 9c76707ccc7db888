"""How git is called: addresses that would run a program are refused, and no secret is among its arguments."""

from __future__ import annotations

import pytest

from stalker.errors import InputError
from stalker.fetch.git import program


@pytest.mark.parametrize("address", ["ext::sh -c x", "ftp://a/b", "none/there"])
def test_an_address_that_git_would_run_or_that_is_not_there_is_refused(address, tmp_path):
    with pytest.raises(InputError):
        program.repository_address(address, tmp_path)


@pytest.mark.parametrize("address", ["https://a/b", "git@a:b/c.git", "file:///a", "ssh://a/b"])
def test_an_address_of_a_server_stays_as_it_is(address, tmp_path):
    assert program.repository_address(address, tmp_path) == address


def test_headers_are_in_the_environment_and_no_redirect_is_followed_with_them(monkeypatch):
    """Other users see the arguments of a process, not its environment."""
    calls = []
    monkeypatch.setattr(
        program, "program_output", lambda argv, **more: calls.append((argv, more)) or iter([b"x"])
    )

    assert program.git("/r", "ls-remote", headers=[("Authorization", "Bearer geheim")]) == b"x"

    [(argv, more)] = calls
    assert argv == ["git", "--git-dir=/r", "ls-remote"]
    environment = more["environment"]
    pairs = {
        environment[f"GIT_CONFIG_KEY_{number}"]: environment[f"GIT_CONFIG_VALUE_{number}"]
        for number in range(int(environment["GIT_CONFIG_COUNT"]))
    }
    assert pairs["http.extraHeader"] == "Authorization: Bearer geheim"
    assert pairs["http.followRedirects"] == "false"
