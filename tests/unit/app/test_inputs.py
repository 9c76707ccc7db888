"""Inputs by URL: asked for where nothing pins them, fetched once, verified, and then there without a server."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from stalker.app.inputs import has_unsettled, provided_inputs, settle_inputs
from stalker.errors import InputError, NotGenuine
from stalker.model.card import Digest, Source
from stalker.model.diagnostics import Place
from stalker.model.inputs import Download
from stalker.model.tree import File, Script, SecretSource, Stalk, Step, Tree, secret_marker
from unit.helpers.server import serving

HERE = Place("stalks/s/s.hjson", 1, 1)
BODY = bytes(range(256)) * 100
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def served():
    with serving(file=BODY) as server:
        yield server


def tree_of(*files, secrets=()):
    """Two steps that share their files."""
    steps = tuple(
        Step("s", name, Script(("/bin/sh",), b"", "", HERE), HERE, files=files) for name in ("one", "two")
    )
    stalk = Stalk("s", "o/a/s/s", HERE, "stalks/s/s.hjson", steps)
    return Tree("t", "trees/t.hjson", "/w", "logs", "o/a/s", "a-s", (stalk,), secrets=secrets)


def file_of(url, digest=None, planned="", **more):
    return File("/x", "x", planned, HERE, download=Download(Source(url, digest), HERE, **more))


def test_what_a_checksum_pins_is_not_asked_of_its_server(served):
    """The plan of such a tree needs no network."""
    tree = tree_of(file_of(f"{served.url}/file", Digest("sha256", SHA), SHA))

    assert not has_unsettled(tree)
    assert served.asked == []


def test_what_nothing_pins_counts_by_what_its_server_has(served):
    """Another content is another digest; steps that shared their files still do."""
    tree = tree_of(file_of(f"{served.url}/file"))
    assert has_unsettled(tree)

    first = settle_inputs(tree, {}, {}, print)
    served.files["/file"], served.etag = b"other", '"v2"'
    second = settle_inputs(tree, {}, {}, print)

    steps = first.stalks[0].steps
    assert steps[0].files is steps[1].files
    assert steps[0].files[0].digest == SHA
    assert second.stalks[0].steps[0].files[0].digest == hashlib.sha256(b"other").hexdigest()


def test_a_run_gets_what_was_planned_though_the_server_has_something_else_by_now(served):
    tree = settle_inputs(tree_of(file_of(f"{served.url}/file")), {}, {}, print)
    served.files["/file"], served.etag = b"other", '"v2"'

    with provided_inputs(tree, tree.stalks[0].steps, {}, {}, print) as prepare:
        content = Path(prepare(tree.stalks[0].steps[0]).files[0].host_path).read_bytes()

    assert content == BODY


def test_a_file_is_fetched_once_and_then_there_without_its_server(served):
    step = tree_of(file_of(f"{served.url}/file", Digest("sha256", SHA), SHA)).stalks[0].steps[0]
    tree = tree_of(*step.files)

    for _ in range(2):
        with provided_inputs(tree, tree.stalks[0].steps, {}, {}, print) as prepare:
            ready = prepare(tree.stalks[0].steps[1]).files[0]
            assert Path(ready.host_path).read_bytes() == BODY

    assert served.gets() == 1
    assert ready.digest == SHA


def test_another_content_than_the_checksum_says_is_refused(served):
    wrong = "0" * 64
    tree = tree_of(file_of(f"{served.url}/file", Digest("sha256", wrong), wrong))

    with pytest.raises(NotGenuine), provided_inputs(tree, tree.stalks[0].steps, {}, {}, print):
        pass


def test_another_algorithm_is_verified_and_gives_the_sha256_to_the_step(served):
    sha512 = hashlib.sha512(BODY).hexdigest()
    tree = tree_of(file_of(f"{served.url}/file", Digest("sha512", sha512), f"sha512:{sha512}"))

    with provided_inputs(tree, tree.stalks[0].steps, {}, {}, print) as prepare:
        assert prepare(tree.stalks[0].steps[0]).files[0].digest == SHA


def test_a_secret_goes_to_the_server_as_a_header_and_nowhere_else(monkeypatch, served, capsys):
    seen = []

    import stalker.fetch.http.client as client

    monkeypatch.setattr(
        client, "keep_credentials", lambda request: seen.append(request.headers.get("x-token"))
    )
    header = (("X-Token", f"word {secret_marker('T')}"),)
    file = file_of(f"{served.url}/file", Digest("sha256", SHA), SHA, headers=header, secrets=("T",))
    tree = tree_of(file, secrets=(SecretSource("T", HERE, env="T"),))

    with provided_inputs(tree, tree.stalks[0].steps, {}, {"T": "geheim"}, print):
        pass

    assert seen == ["word geheim"]
    assert "geheim" not in capsys.readouterr().out


def test_a_missing_file_is_an_error_that_names_it(served):
    tree = tree_of(file_of(f"{served.url}/none"))

    with pytest.raises(InputError, match="none"):
        settle_inputs(tree, {}, {}, print)


def test_a_step_without_downloads_stays_the_same_object(served):
    step = replace(tree_of().stalks[0].steps[0], files=(File("/x", "x", SHA, HERE, content=b"x"),))

    with provided_inputs(tree_of(), [step], {}, {}, print) as prepare:
        assert prepare(step) is step
