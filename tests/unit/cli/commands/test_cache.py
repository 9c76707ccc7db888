from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from stalker.cli.main import CONTEXT, stalker
from stalker.errors import FilesError, PlanError, StalkerError
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.request import Request
from stalker.fetch.urls import old_path
from unit.helpers.server import serving


def call(*argv):
    result = CliRunner().invoke(stalker, ["cache", *map(str, argv)], **CONTEXT)
    if result.exception is not None and not isinstance(result.exception, (StalkerError, SystemExit)):
        raise result.exception
    return result


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's own cache with two downloads."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "stalker" / "downloads"
    files = {"a?token=geheim": b"a" * 100, "b?token=geheim": b"b" * 2000}
    with serving(**files) as served, Cache(folder) as cache:
        for name in files:
            with cache.get(Request(f"{served.url}/{name}")):
                pass
    return folder


def contents(folder):
    return {path.stat().st_size: path for path in (folder / "content").glob("*/*")}


def test_show_lists_what_is_there(folder):
    """Size, age, use, the part of the policy that holds it, and the source without what may be secret."""
    (folder / "policy.yaml").write_text("files: {filters: [{pattern: /b, max_num: 1}]}\n")
    shown = call("show")

    lines = shown.stdout.splitlines()
    assert lines[0].split() == ["SIZE", "AGE", "USED", "TIMES", "POLICY", "SOURCE"]
    assert sorted(line.split()[-2] for line in lines[1:]) == ["files", "files.filters.0"]
    assert "geheim" not in shown.output
    assert "2 downloads, 2.06 KiB" in shown.stderr


def test_show_for_programs(folder):
    """Every entry with its digest and its path."""
    rows = json.loads(call("show", "--json").stdout)

    assert {row["size_bytes"] for row in rows} == {100, 2000}
    assert all(row["path"].endswith(row["sha256"]) for row in rows)


def test_show_tells_of_downloads_of_before(folder):
    """They are neither lost nor counted."""
    old = old_path(folder, "http://x/stage3.tar")
    old.parent.mkdir(parents=True)
    old.write_bytes(b"x" * 5000)

    assert "1 download of an older version, 4.89 KiB" in call("show").stderr


def test_an_empty_cache_is_said(tmp_path):
    shown = call("show", "--cache-dir", tmp_path / "none")

    assert (shown.stdout, shown.exit_code) == ("", 0)
    assert "nothing is cached" in shown.stderr
    assert not (tmp_path / "none").exists()


def test_prune_takes_what_the_policy_says(folder):
    """First only said, then done."""
    (folder / "policy.yaml").write_text("max_num: 1\n")
    would = call("prune", "--dry-run")
    left = len(contents(folder))
    done = call("prune")

    assert left == 2
    assert would.stdout == done.stdout
    assert "past max_num (lru first)" in done.stdout
    assert "1 download, 100 B were removed" in done.stderr
    assert list(contents(folder)) == [2000]


def test_prune_for_programs(folder):
    (folder / "policy.yaml").write_text("files: {enabled: false}\n")
    document = json.loads(call("prune", "--json", "--dry-run").stdout)

    assert [one["reason"] for one in document["evicted"]] == ["not cached (files.enabled: false)"] * 2
    assert document["freed_bytes"] == 2100


def test_verify_drops_what_is_damaged(folder):
    """Exit code 1 then, and 0 when all is well."""
    path = contents(folder)[100]
    path.chmod(0o644)
    path.write_bytes(b"x" * 100)
    bad, good = call("verify"), call("verify")

    assert bad.exit_code == 1
    assert bad.stdout.startswith("damaged: http://127.0.0.1")
    assert f"expected {path.name}" in bad.stdout
    assert (good.exit_code, good.stdout) == (0, "")
    assert "1 download as fetched, 0 dropped" in good.stderr
    assert [one["state"] for one in json.loads(call("verify", "--json").stdout)] == ["ok"]


def test_policy_says_where_each_value_comes_from(folder):
    """Written, by default, or taken over from further out."""
    (folder / "policy.yaml").write_text(
        "check_after: 30d\nfiles:\n  max_size: 2GiB\n  filters:\n    - pattern: kiwix\n      check_after: 1d\n"
    )
    rows = {row["key"]: row for row in json.loads(call("policy", "--json").stdout)}

    path = folder / "policy.yaml"
    assert rows["max_size"] == {"key": "max_size", "value": "10GiB", "from": "default"}
    assert rows["files.max_size"] == {"key": "files.max_size", "value": "2GiB", "from": f"{path}:3:13"}
    assert rows["files.check_after"]["from"] == f"check_after, {path}:1:14"
    assert rows["files.filters.0.check_after"]["value"] == "1d"
    assert rows["files.filters.0.eviction"]["from"] == "default"
    assert call("policy").stdout.splitlines()[0].split() == ["KEY", "VALUE", "FROM"]


def test_policy_checks_a_file(tmp_path):
    """All problems at once, exit code 2."""
    (tmp_path / "p.yaml").write_text("max_sise: 1\neviction: x\n")
    result = call("policy", tmp_path / "p.yaml")

    assert isinstance(result.exception, FilesError)
    assert result.exception.exit_code == 2
    assert (
        "p.yaml:1:1: max_sise: unknown key 'max_sise'\n  did you mean 'max_size'?" in result.exception.details
    )
    assert "p.yaml:2:11" in result.exception.details
    assert isinstance(call("policy", tmp_path / "none.yaml").exception, PlanError)
