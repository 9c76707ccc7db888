"""Documents of images are read strictly, and the right line of an index is taken."""

import hashlib
import json

import pytest

from stalker.errors import InputError, NotGenuine
from stalker.fetch.oci.manifest import (
    Manifest,
    Pointer,
    check_bytes,
    check_config,
    checked_digest,
    choose,
    diff_ids,
    read_document,
)
from stalker.model.platforms import parse_platform

DIGEST = f"sha256:{'a' * 64}"
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": DIGEST, "size": 5}


def manifest(*layers, **more):
    return json.dumps({"config": {"digest": DIGEST, "size": 2}, "layers": layers, **more}).encode()


def pointer(platform):
    return Pointer(f"of {platform}", parse_platform(platform) if platform else None)


def test_a_manifest_names_its_layers():
    """With how each is compressed."""
    found = read_document(manifest(LAYER), "x")

    assert (found.config_digest, [one.packing for one in found.layers]) == (DIGEST, ["zstd"])


@pytest.mark.parametrize("size", [-1, True, "5", None, 1.5])
def test_a_size_that_is_not_one_is_refused(size):
    """Space is reserved by it."""
    with pytest.raises(InputError):
        read_document(manifest({**LAYER, "size": size}), "x")


@pytest.mark.parametrize(
    "text", ["", "sha256:../../etc", "sha256:" + "A" * 64, "md5:" + "0" * 32, None, "a" * 64]
)
def test_a_digest_can_be_a_path(text):
    """So nothing but hexadecimal digits is one."""
    with pytest.raises(ValueError, match="not a digest"):
        checked_digest(text)


@pytest.mark.parametrize(
    ("there", "platform", "match"),
    [
        (["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7", "linux/arm/v7"),
        (["linux/arm/v6", "linux/arm/v7"], "linux/arm/v6", "linux/arm/v6"),
        (["linux/arm64"], "linux/arm64/v8", "linux/arm64"),
        (["linux/amd64", ""], "linux/arm64/v8", ""),
    ],
)
def test_the_newest_variant_that_runs_is_chosen(there, platform, match):
    """Or the only line that names none."""
    assert choose(tuple(map(pointer, there)), platform, "x").digest == f"of {match}"


def test_an_index_without_the_platform_names_those_that_it_has():
    """So that another tag can be chosen."""
    with pytest.raises(InputError) as caught:
        choose((pointer("linux/s390x"), pointer("linux/amd64")), "linux/arm64/v8", "x")

    assert caught.value.details == "it is made for: linux/amd64, linux/s390x"


def test_a_configuration_fits_its_manifest_and_platform():
    """As many layers, and a machine that runs it."""
    found = Manifest(DIGEST, 2, ())
    good = b'{"os": "linux", "architecture": "arm64", "rootfs": {"diff_ids": []}}'

    assert check_config(good, found, "linux/arm64/v8", "x").startswith("linux/arm64")
    assert diff_ids(b'{"rootfs": {"diff_ids": ["sha256:1"]}}') == ["sha256:1"]
    for body in (b"[]", b"{", b'{"rootfs": {"diff_ids": ["x"]}}', b"{}"):
        with pytest.raises(InputError):
            check_config(body, found, "linux/arm64/v8", "x")
    with pytest.raises(InputError, match="not made for"):
        check_config(good, found, "linux/amd64", "x")


def test_a_document_is_compared_with_its_digest():
    """Of either algorithm."""
    check_bytes(b"x", f"sha512:{hashlib.sha512(b'x').hexdigest()}", "it")
    with pytest.raises(NotGenuine, match="it is not"):
        check_bytes(b"y", f"sha256:{hashlib.sha256(b'x').hexdigest()}", "it")
