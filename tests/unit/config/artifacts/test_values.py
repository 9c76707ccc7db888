from __future__ import annotations

import pytest

from stalker.config.artifacts.values import ArtifactReader
from stalker.config.syntax.hjson import read_hjson
from stalker.config.syntax.report import Report
from stalker.config.tree.variables import Scope
from stalker.config.workspace import Workspace


@pytest.fixture
def reader(tmp_path):
    report = Report()
    return ArtifactReader(Scope({}), Workspace(str(tmp_path), report), report, mounts=("/srv/repo", "/var/"))


def node(text: str):
    return read_hjson(f"{{a: {text}}}", "f").root.get("a")


def whats(reader) -> list[str]:
    return [problem.what for problem in reader.report.errors()]


@pytest.mark.parametrize(("text", "size"), [('"64MiB"', 64 << 20), ("4096", 4096), ("auto", None)])
def test_a_size_is_bytes_or_left_open(reader, text, size):
    """`auto` leaves it to what is in it."""
    text = f'"{text}"' if text == "auto" else text

    assert reader.size(node(text)) == size
    assert whats(reader) == []


def test_a_size_that_no_disk_has_is_refused(reader):
    """Two exbibytes are a slip."""
    assert reader.size(node('"2000000TiB"')) is None
    assert len(whats(reader)) == 1


def test_a_path_that_is_written_twice_is_refused(reader):
    """Also in another spelling; it is there once."""
    assert reader.paths(node('["/a", "/b", "//a/"]')) == ("/a", "/b")
    assert whats(reader) == ["/a stands here twice"]


@pytest.mark.parametrize(
    ("path", "mount"),
    [("/srv/repo/x", "/srv/repo"), ("/srv/repo", "/srv/repo"), ("/srv/repository", ""), ("/var/x", "/var/")],
)
def test_what_is_mounted_while_steps_run_is_in_no_image(reader, path, mount):
    """A name that only begins alike is in the image."""
    assert reader.is_mounted(path) == mount
