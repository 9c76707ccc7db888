import bz2
import gzip
import io
import json
import lzma
import os
import tarfile

import pytest

from stalker.errors import InputError
from stalker.fetch.oci.archive_reader import check_archive, read_archive
from unit.helpers.hub import PACK, configuration, digest_of, layer

ARM = "linux/arm64/v8"
ONE, TWO = layer(one=os.urandom(5000)), layer(two=b"2" * 5000)


def tarred(files, links=()):
    with io.BytesIO() as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            for name, to, kind in links:
                info = tarfile.TarInfo(name)
                info.type, info.linkname = kind, to
                archive.addfile(info)
        return stream.getvalue()


def docker_archive(layers, *, names=("a/b:1",), platform=ARM, pack=bytes, **more):
    """Return the files of an archive as docker saves it."""
    config = json.dumps(configuration(layers, platform)).encode()
    files = {f"l{number}/layer.tar": pack(one) for number, one in enumerate(layers)}
    manifest = [{"Config": "c.json", "RepoTags": [*names] or None, "Layers": [*files]}]
    return {"c.json": config, **files, "manifest.json": json.dumps(manifest).encode(), **more}


def oci_layout(layers, *, notes=None, platform=ARM, packing="gzip"):
    """Return the files of an image layout."""
    blobs = {}

    def put(body):
        blobs[f"blobs/sha256/{digest_of(body).removeprefix('sha256:')}"] = body
        return {"digest": digest_of(body), "size": len(body)}

    kind = f"+{packing}" if packing else ""
    lines = [
        {"mediaType": f"application/vnd.oci.image.layer.v1.tar{kind}", **put(PACK[packing](one))}
        for one in layers
    ]
    config = put(json.dumps(configuration(layers, platform)).encode())
    manifest = put(json.dumps({"schemaVersion": 2, "config": config, "layers": lines}).encode())
    index = {"schemaVersion": 2, "manifests": [{**manifest, "annotations": notes or {}}]}
    return {"oci-layout": b"{}", **blobs, "index.json": json.dumps(index).encode()}


@pytest.fixture
def read(tmp_path):
    def read(data, platform=ARM, **options):
        path = tmp_path / "a.tar"
        path.write_bytes(data if isinstance(data, bytes) else tarred(data))
        return read_archive(path, platform, **options)

    return read


@pytest.mark.parametrize("wrap", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, PACK["zstd"]])
def test_layers_are_counted_however_they_are_packed(read, wrap, pack):
    data = wrap(tarred(docker_archive([ONE, TWO], pack=pack)))

    found = read(data, counts=True)

    assert (found.file_bytes, found.full_bytes) == (len(data), len(ONE) + len(TWO))
    assert (found.names, found.platform) == (("a/b:1",), "linux/arm64")
    assert found.has_name("docker.io/a/b:1")
    assert not found.has_name("a/b:2")


def test_without_counting_only_the_ends_of_layers_are_read(read):
    assert read(docker_archive([ONE], pack=gzip.compress)).full_bytes == len(ONE)
    assert read(docker_archive([ONE])).full_bytes == len(ONE)
    assert read(docker_archive([ONE], pack=PACK["zstd"])).full_bytes is None


@pytest.mark.parametrize("packing", ["gzip", "zstd", ""])
def test_an_image_layout_is_read_too(read, packing):
    """It has a name only where that is a whole one."""
    named = read(
        oci_layout([ONE, TWO], packing=packing, notes={"io.containerd.image.name": "docker.io/a/b:1"}),
        counts=True,
    )
    tagged = read(oci_layout([ONE], notes={"org.opencontainers.image.ref.name": "latest"}))

    assert (named.full_bytes, named.names) == (len(ONE) + len(TWO), ("docker.io/a/b:1",))
    assert tagged.names == ()


@pytest.mark.parametrize(
    ("to", "kind"), [("../l0/layer.tar", tarfile.SYMTYPE), ("l0/layer.tar", tarfile.LNKTYPE)]
)
def test_a_layer_that_is_a_link_to_another_counts_once(read, to, kind):
    """As old dockers save what comes twice."""
    files = docker_archive([ONE, ONE])
    del files["l1/layer.tar"]

    assert read(tarred(files, [("l1/layer.tar", to, kind)]), counts=True).full_bytes == len(ONE)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "a.tar"),
        (b"no tar at all" * 1000, "a.tar"),
        (tarred({"x": b""}), "neither manifest.json nor index.json"),
        (tarred({"manifest.json": b"[]"}), "holds no image"),
        (tarred({"manifest.json": b"{"}), "not JSON"),
        (tarred({"manifest.json": b'[{"Config": "x", "Layers": []}]'}), "x is missing"),
        (tarred({"manifest.json": b"[1]"}), "manifest.json"),
        (tarred({**docker_archive([ONE]), "c.json": b"[]"}), "not a JSON object"),
        (tarred(docker_archive([ONE]))[:3000], "a.tar"),
        (tarred({k: v for k, v in docker_archive([ONE]).items() if k != "l0/layer.tar"}), "missing"),
        (tarred({"manifest.json": b'[{"Config": "x", "Layers": []}]'}, [("x", "x", tarfile.SYMTYPE)]), "not a file"),
        (gzip.compress(tarred(docker_archive([ONE])))[:-3000], "a.tar"),
    ],
)  # fmt: skip
def test_what_docker_does_not_load_is_refused(read, data, why):
    with pytest.raises(InputError) as caught:
        read(data)

    assert "is not an archive that docker loads" in caught.value.brief
    assert why in f"{caught.value.brief} {caught.value.details}"


def test_a_damaged_layer_is_noticed_when_it_is_counted(read):
    packed = bytearray(gzip.compress(ONE))
    packed[len(packed) // 2] ^= 0xFF
    files = docker_archive([ONE], pack=lambda _: bytes(packed))

    with pytest.raises(InputError, match="not an archive that docker loads"):
        read(files, counts=True)
    with pytest.raises(InputError, match="not an archive that docker loads"):
        read(docker_archive([ONE], pack=lambda one: PACK["zstd"](one)[:-9]), counts=True)


def test_an_archive_for_another_platform_is_refused(read):
    assert read(docker_archive([ONE], platform="linux/arm/v6"), "linux/arm/v7").platform == "linux/arm/v6"
    for files in (docker_archive([ONE], platform="linux/amd64"), oci_layout([ONE], platform="linux/amd64")):
        with pytest.raises(InputError, match="is not made for linux/arm64/v8") as caught:
            read(files)
        assert caught.value.details == "it is made for: linux/amd64"


def test_an_archive_that_loads_under_another_name_is_told(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(tarred(docker_archive([ONE], names=["caddy:2"])))

    assert check_archive(path, "docker.io/library/caddy:2", ARM) == ""
    assert "loads as caddy:2" in check_archive(path, "docker.io/library/caddy:3", ARM)
    path.write_bytes(tarred(docker_archive([ONE], names=[])))
    assert "loads as no name" in check_archive(path, "caddy:2", ARM)
