"""An imported image of another platform than the engine said."""

import hashlib
import io
import json
import tarfile

import pytest

from stalker.engine.docker.container_options import has_platform, relabelled, without_volumes
from stalker.errors import EngineError
from stalker.model.platforms import parse_platform

FOUND = {
    "Id": "sha256:" + "1" * 64,
    "Created": "2026-11-20T10:00:00.123456789Z",
    "Comment": "stalker base abc",
    "Architecture": "amd64",
    "Config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"], "Labels": {"a": "1"}},
    "RootFS": {"Type": "layers", "Layers": ["sha256:" + "2" * 64]},
}


@pytest.mark.parametrize(
    ("architecture", "variant", "platform", "fits"),
    [
        ("arm", "v7", "linux/arm/v7", True),
        ("arm", "", "linux/arm/v7", False),
        ("arm", "v6", "linux/arm/v7", False),
        ("amd64", "", "linux/arm/v7", False),
        ("amd64", None, "linux/amd64", True),
        ("arm64", "v8", "linux/arm64", True),
        ("arm64", "", "linux/arm64/v8", True),
    ],
)
def test_an_image_says_its_platform_or_does_not(architecture, variant, platform, fits):
    """Only an image that is labelled wrongly is made again."""
    found = {"Architecture": architecture, "Variant": variant}

    assert has_platform(found, parse_platform(platform)) is fits


def test_a_relabelled_image_differs_in_its_platform_and_labels_alone():
    """Layer, time, comment and configuration are those of the import, and the id is known before."""
    configured = relabelled(FOUND, parse_platform("linux/arm/v7"), {"b": "2"})
    archive, made = configured.archive("x/y:1"), configured.id

    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        files = {entry.name: members.extractfile(entry).read() for entry in members}
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest[0]["RepoTags"] == ["x/y:1"]
    content = files.pop(manifest[0]["Config"])
    assert files == {}  # no layer: the engine has it
    assert made == "sha256:" + hashlib.sha256(content).hexdigest()
    config = json.loads(content)
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm", "v7")
    assert config["rootfs"]["diff_ids"] == FOUND["RootFS"]["Layers"]
    assert (config["created"], config["comment"]) == (FOUND["Created"], FOUND["Comment"])
    assert config["config"] == {**FOUND["Config"], "Labels": {"a": "1", "b": "2"}}
    assert len(config["history"]) == 1


def saved_image():
    """Return the archive of a saved image in both forms, as engines with containerd's store write it."""
    members = {
        "blobs/sha256/" + "2" * 64: b"the layer" * 1000,
        "blobs/sha256/" + "3" * 64: b'{"architecture": "amd64"}',
        "index.json": b"{}",
        "manifest.json": json.dumps(
            [{"Config": "blobs/sha256/" + "3" * 64, "Layers": ["blobs/sha256/" + "2" * 64]}]
        ).encode(),
        "oci-layout": b"{}",
        "repositories": b"{}",
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo("blobs")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return members, buffer.getvalue()


@pytest.mark.parametrize("size", [1, 511, 512, 1 << 20])
def test_a_saved_image_is_rewritten_as_it_comes(size):
    """Its layers pass on byte for byte; what named its configuration names the other one."""
    members, saved = saved_image()
    configured = without_volumes(FOUND, {})
    pieces = (saved[start : start + size] for start in range(0, len(saved), size))

    rewritten = b"".join(configured.rewritten(pieces))

    with tarfile.open(fileobj=io.BytesIO(rewritten)) as archive:
        files = {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isreg()}
    [manifest] = json.loads(files.pop("manifest.json"))
    layer, config = list(members)[:2]
    assert manifest["Layers"] == [layer]
    assert files == {layer: members[layer], config: members[config], manifest["Config"]: configured.content}
    assert len(rewritten) % tarfile.BLOCKSIZE == 0


def test_a_saved_image_that_breaks_off_is_an_error():
    """Half an image is not loaded."""
    _, saved = saved_image()

    with pytest.raises(EngineError):
        list(without_volumes(FOUND, {}).rewritten([saved[:3000]]))


def test_an_image_without_volumes_differs_in_volumes_labels_and_comment_alone():
    """What an inspection says of it otherwise is in its configuration."""
    found = {
        **FOUND,
        "Os": "linux",
        "Variant": "v8",
        "Author": "me",
        "Config": {
            **FOUND["Config"],
            "Volumes": {"/data": {}},
            "Labels": {"a": "1", "io.stalker.step": "x"},
        },
    }

    config = json.loads(without_volumes(found, {"io.stalker.run": "y"}).content)

    assert config["config"] == {**FOUND["Config"], "Labels": {"a": "1", "io.stalker.run": "y"}}
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "amd64", "v8")
    assert (config["author"], config["comment"], config["created"]) == ("me", "", FOUND["Created"])
