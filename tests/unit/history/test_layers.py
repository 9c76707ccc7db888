"""Whole states out of the layers of images."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass, field

import pytest

from stalker.history.chain import State
from stalker.history.layers import Layers, compose, layers_in, read_listing
from stalker.model.images import Image
from unit.helpers.tars import folder, hard_link, link, make_tar, member


def listing(*members, **more):
    return read_listing([make_tar(*members, **more)])


def content_of(state):
    return {path.decode(): seen.entry.size_bytes or seen.entry.kind for path, seen in sorted(state.items())}


def test_whiteouts_hide_what_is_below_and_nothing_of_their_own_layer():
    """Wherever they are in the archive: a path may be deleted and made again in one step."""
    lower = listing(folder("d"), ("d/a", b"1"), ("d/b", b"1"), folder("o"), ("o/a", b"1"), ("x", b"1"))
    upper = listing(
        ("o/new", b"22"), ("o/.wh..wh..opq", b""), ("d/a", b"333"), ("d/.wh.a", b""), (".wh.x", b"")
    )

    assert content_of(compose([lower, upper])) == {
        "d": "folder",
        "d/a": 3,
        "d/b": 1,
        "o": "folder",
        "o/new": 2,
    }


def test_a_deleted_directory_takes_all_with_it_and_a_file_in_its_place_too():
    lower = listing(folder("d"), folder("d/e"), ("d/e/f", b"1"), folder("g"), ("g/h", b"1"), ("de", b"1"))
    upper = listing((".wh.d", b""), ("g", b"22"))

    assert content_of(compose([lower, upper])) == {"de": 1, "g": 2}


def test_a_hard_link_is_the_file_that_it_is_another_name_of():
    """Also one of a lower layer."""
    lower = listing(("a", b"1"), hard_link("b", "a"), link("c", "a"))
    upper = listing(hard_link("d", "a"))

    state = compose([lower, upper])

    assert state[b"a"].entry == state[b"b"].entry == state[b"d"].entry
    assert state[b"c"].entry.kind == "link"


def saved(*layers, oci=False):
    """Return an archive as an engine saves it."""
    names = [f"blobs/sha256/{i}" if oci else f"{i}/layer.tar" for i in range(len(layers))]
    return make_tar(
        *zip(names, layers, strict=True), ("blobs/sha256/config", b'{"rootfs": {}}'), ("manifest.json", b"[]")
    )


@pytest.mark.parametrize("oci", [False, True])
@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:])]
)
def test_layers_are_known_by_the_digest_of_what_they_hold(oci, pack):
    """Compressed or not, in both forms; what is not a layer is passed over."""
    one, two = make_tar(("a", b"1" * 5000)), make_tar(("b", b"2"))

    found = dict(layers_in([saved(pack(one), pack(two), oci=oci)]))

    assert {name: list(paths) for name, paths in found.items()} == {
        f"sha256:{hashlib.sha256(one).hexdigest()}": [b"a"],
        f"sha256:{hashlib.sha256(two).hexdigest()}": [b"b"],
    }


@dataclass
class Engine:
    """An engine that counts what it is asked for."""

    archive: bytes
    exported: bytes = b""
    calls: list[str] = field(default_factory=list)

    def save(self, images):
        self.calls.append(f"save {' '.join(images)}")
        yield self.archive

    def export(self, image):
        self.calls.append(f"export {image}")
        yield self.exported


def test_a_layer_is_read_once(tmp_path):
    """The next program has it too; a damaged file of the cache is read again."""
    tar = make_tar(member("odd\udcff", size=0), ("a", b"1"), device_of("dev0"))
    diff_id = f"sha256:{hashlib.sha256(tar).hexdigest()}"
    state = State(Image("sha256:1", diff_ids=(diff_id,)), "s:a")
    engine = Engine(saved(tar))

    first = Layers(tmp_path).states(engine, [state])
    second = Layers(tmp_path).states(engine, [state])
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:20])
    third = Layers(tmp_path).states(engine, [state])

    assert first == second == third
    assert first[0][b"odd\xff"].mtime_s == 1_000_000
    assert engine.calls == ["save sha256:1", "save sha256:1"]


def device_of(name):
    info = tarfile.TarInfo(name)
    info.type, info.devmajor, info.devminor = tarfile.CHRTYPE, 1, 3
    return info


def test_what_the_archive_lacks_is_exported(tmp_path):
    """An engine may pack its layers in a way that is not read here."""
    state = State(Image("sha256:1", diff_ids=("sha256:none",)), "s:a")
    engine = Engine(saved(), make_tar(("a", b"1")))

    (found,) = Layers(tmp_path).states(engine, [state])

    assert content_of(found) == {"a": 1}
    assert engine.calls == ["save sha256:1", "export sha256:1"]


def test_the_stubs_of_an_engine_are_in_no_state():
    """Podman commits them, Docker lays them over each container."""
    found = listing(
        ("etc/hosts", b""), ("run/.containerenv", b""), ("etc/hostname", b"own\n"), ("dev/null", b"")
    )

    assert list(found) == [b"etc/hostname"]


def test_a_tar_that_breaks_off_is_an_error():
    from stalker.errors import InputError

    whole = make_tar(("a", b"1" * 5000))
    with pytest.raises(InputError):
        read_listing(io.BytesIO(whole[:2000]))
