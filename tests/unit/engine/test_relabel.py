"""An imported image of another platform than the engine said."""

import hashlib
import io
import json
import tarfile

import pytest

from stalker.engine.relabel import has_platform, relabelled
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
    """Only an image that is labelled wrongly is made anew."""
    found = {"Architecture": architecture, "Variant": variant}

    assert has_platform(found, parse_platform(platform)) is fits


def test_a_relabelled_image_differs_in_its_platform_and_labels_alone():
    """Layer, time, comment and configuration are those of the import, and the id is known before."""
    archive, made = relabelled(FOUND, parse_platform("linux/arm/v7"), {"b": "2"}, "x/y:1")

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
