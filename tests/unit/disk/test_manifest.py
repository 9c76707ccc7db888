from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.disk.manifest import BadManifest, Manifest, PublishedFile, read_manifest, write_manifest

FILE = PublishedFile("root.tar", 10, "ab" * 32)
MANIFEST = Manifest(
    tree="t",
    artifact="s/root",
    kind="rootfs",
    fingerprint="cd" * 32,
    inputs={"file": "root.tar"},
    proof_inputs={"gate": "on"},
    step="s:a",
    image="sha256:" + "0" * 64,
    run="r",
    made_at="2026-11-21T11:16:31Z",
    files=(FILE,),
    packages=({"manager": "dpkg", "name": "sed", "version": "4.9"},),
    gates=({"gate": "logs", "path": "/var/log/x"},),
    boot={"passed": True},
    source_date_epoch=5,
)


def test_it_is_read_as_it_was_written(tmp_path):
    write_manifest(tmp_path, MANIFEST)

    assert read_manifest(tmp_path) == MANIFEST
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_another_one_takes_its_place_in_one_act(tmp_path):
    """Who reads it meanwhile sees the old one or the new one."""
    write_manifest(tmp_path, MANIFEST)
    with (tmp_path / "manifest.json").open("rb") as old:
        write_manifest(tmp_path, replace(MANIFEST, refused="no login"))

        assert json.loads(old.read())["refused"] == ""
    assert read_manifest(tmp_path).refused == "no login"


def test_names_that_are_no_text_come_back(tmp_path):
    """A repository may hold files whose names are not UTF-8."""
    strange = replace(MANIFEST, files=(PublishedFile("repo/caf\udce9\n", 1, "0" * 64),))

    write_manifest(tmp_path, strange)

    assert read_manifest(tmp_path) == strange


def changed(**values):
    def change(document):
        document.update(values)

    return change


BROKEN = {
    "no schema": lambda document: document.pop("schema"),
    "another schema": changed(schema=2),
    "no files": lambda document: document.pop("files"),
    "no fingerprint": lambda document: document.pop("fingerprint"),
    "a number for a name": changed(tree=5),
    "a list for inputs": changed(inputs=[]),
    "files that are names": changed(files=["root.tar"]),
    "a size that is text": changed(files=[{"name": "a", "size_bytes": "5", "sha256": "0" * 64}]),
    "a short checksum": changed(files=[{"name": "a", "size_bytes": 5, "sha256": "00"}]),
    "packages that are names": changed(packages=["sed"]),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_no_manifest_is_told(tmp_path, broken):
    write_manifest(tmp_path, MANIFEST)
    document = json.loads((tmp_path / "manifest.json").read_bytes())
    BROKEN[broken](document)
    (tmp_path / "manifest.json").write_text(json.dumps(document))

    with pytest.raises(BadManifest):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", ".", "a//b", "a/"])
def test_a_file_outside_of_the_folder_is_refused(tmp_path, name):
    """Nobody is made to read, or to call whole, what does not belong to the artifact."""
    write_manifest(tmp_path, replace(MANIFEST, files=(PublishedFile(name, 1, "0" * 64),)))

    with pytest.raises(BadManifest):
        read_manifest(tmp_path)


def test_a_name_that_came_later_does_not_disturb(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    document = json.loads((tmp_path / "manifest.json").read_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps({**document, "news": 1}))

    assert read_manifest(tmp_path) == MANIFEST


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_told(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("m")
    (folder / "manifest.json").write_bytes(data)

    with pytest.raises(BadManifest):
        read_manifest(folder)


@pytest.mark.parametrize("length", [0, 1, 40, 300])
def test_one_that_was_cut_is_told(tmp_path, length):
    write_manifest(tmp_path, MANIFEST)
    path = tmp_path / "manifest.json"
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(BadManifest, match="not whole"):
        read_manifest(tmp_path)


def test_none_at_all_is_told(tmp_path):
    with pytest.raises(BadManifest, match="cannot be read"):
        read_manifest(tmp_path)
