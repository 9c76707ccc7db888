from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from stalker.engine.fake import FakeEngine
from stalker.errors import EngineError, PlanError, StalkerError
from stalker.rootfs.export import export_image, plan_export
from unit.helpers.tars import device, folder, hard_link, link, make_tar, member, read_tar

if TYPE_CHECKING:
    from pathlib import Path

    from stalker.model.images import Image

MADE_S = 2_000_000
CREATED_S = MADE_S + 5000


def docker_export(*members: Any, at: int = CREATED_S) -> bytes:
    """What Docker adds to an image's files when it exports a container made of it."""
    return make_tar(
        (member(".dockerenv", mode=0o755, mtime=at), b""),
        folder("dev", mtime=at),
        (member("dev/console", mode=0o755, mtime=at), b""),
        folder("dev/pts", mtime=at),
        folder("dev/shm", mtime=at),
        folder("etc", mtime=at),
        (member("etc/hostname", mode=0o755, mtime=at), b""),
        (member("etc/hosts", mode=0o755, mtime=at), b""),
        link("etc/mtab", "/proc/mounts", mtime=at),
        (member("etc/resolv.conf", mode=0o755, mtime=at), b""),
        folder("proc", mtime=at),
        folder("sys", mtime=at),
        *members,
    )


def engine_with(data: bytes) -> tuple[FakeEngine, Image]:
    engine = FakeEngine()
    image = replace(engine.add_image("x:1"), created_s=float(MADE_S))
    engine.images_by_id[image.id] = image
    engine.files[image.id] = {str(at): data[at : at + 1000] for at in range(0, len(data), 1000)}
    return engine, image


def exported(data: bytes, folder_: Path, **more: Any) -> dict[str, Any]:
    engine, image = engine_with(data)
    export_image(engine, image, plan_export(str(folder_ / "r.tar"), ""), **more)
    return read_tar((folder_ / "r.tar").read_bytes())


def test_nothing_of_docker_is_in_it(tmp_path):
    """Stubs, the mark of a container and what is below /dev are left out; the folders stay."""
    data = docker_export(folder("root"), ("root/.profile", b"PS1=$"), device("srv/null"))

    found = exported(data, tmp_path)

    assert list(found) == ["dev", "etc", "proc", "sys", "root", "root/.profile", "srv/null"]
    assert found["root/.profile"][-1] == b"PS1=$"


def test_an_own_hosts_file_with_content_stays(tmp_path):
    found = exported(make_tar(folder("etc"), ("etc/hosts", b"127.0.0.1 localhost\n")), tmp_path)

    assert found["etc/hosts"][-1] == b"127.0.0.1 localhost\n"


@pytest.mark.parametrize(
    "own", [link("etc/mtab", "../proc/self/mounts"), ("etc/mtab", b"/dev/sda1 / ext4 rw 0 0\n")]
)
def test_an_own_mtab_stays(tmp_path, own):
    """Only the very link that Docker makes is Docker's."""
    assert "etc/mtab" in exported(make_tar(folder("etc"), own), tmp_path)


def test_names_with_a_dot_before_them_are_known_too(tmp_path):
    data = make_tar(folder("./"), ("./.dockerenv", b""), folder("./dev"), device("./dev/null"), ("./a", b"1"))

    assert set(exported(data, tmp_path)) == {".", "./dev", "./a"}


def test_two_exports_of_an_image_are_equal(tmp_path):
    """Docker touches some folders whenever it makes a container; that does not show."""
    both = []
    for number, at in enumerate((CREATED_S, CREATED_S + 777)):
        engine, image = engine_with(docker_export(("f", b"x"), at=at))
        targets = plan_export(str(tmp_path / f"{number}.tar.gz"), "")
        export_image(engine, image, targets)
        both.append((tmp_path / f"{number}.tar.gz").read_bytes())

    assert both[0] == both[1]


def test_no_time_is_later_than_asked(tmp_path):
    """SOURCE_DATE_EPOCH."""
    data = docker_export((member("late", mtime=1_900_000), b""), (member("early", mtime=5), b""))

    found = exported(data, tmp_path, latest_s=1000)

    assert {name: what[4] for name, what in found.items()} == {
        **dict.fromkeys(("dev", "etc", "proc", "sys", "late"), 1000),
        "early": 5,
    }


def test_boot_goes_into_a_tar_of_its_own(tmp_path):
    """--boot: the boot partition's files, without `boot/` before them; the root keeps an empty /boot."""
    engine, image = engine_with(
        docker_export(
            folder("boot", mode=0o700),
            ("boot/kernel.img", b"kernel"),
            folder("boot/overlays"),
            hard_link("boot/overlays/same", "boot/kernel.img"),
            link("boot/initrd", "../boot/kernel.img"),
            ("boot/" + "n" * 200, b"long"),
            ("bootstrap", b"no boot"),
        )
    )

    done = export_image(engine, image, plan_export(str(tmp_path / "r.tar"), str(tmp_path / "b.tar")))

    root, boot = (read_tar((tmp_path / name).read_bytes()) for name in ("r.tar", "b.tar"))
    assert list(root) == ["dev", "etc", "proc", "sys", "boot", "bootstrap"]
    assert list(boot) == [".", "kernel.img", "overlays", "overlays/same", "initrd", "n" * 200]
    assert boot["overlays/same"][5] == "kernel.img"
    assert boot["initrd"][5] == "../boot/kernel.img"
    assert boot["kernel.img"][-1] == b"kernel"
    assert [one.size_bytes for one in done] == [(tmp_path / n).stat().st_size for n in ("r.tar", "b.tar")]


@pytest.mark.parametrize(
    ("members", "root_content", "boot_content"),
    [
        ([("boot/k", b"1"), hard_link("usr/k", "boot/k")], b"1", b"1"),
        ([("a", b"2"), hard_link("boot/k", "a"), ("usr/k", b"3")], b"3", b"2"),
    ],
)
def test_a_hard_link_across_the_split_becomes_a_file(tmp_path, members, root_content, boot_content):
    """Hard links do not cross file systems; both sides have the content."""
    engine, image = engine_with(docker_export(folder("boot"), *members))

    export_image(engine, image, plan_export(str(tmp_path / "r.tar"), str(tmp_path / "b.tar")))

    root, boot = (read_tar((tmp_path / name).read_bytes()) for name in ("r.tar", "b.tar"))
    assert root["usr/k"][-1] == root_content
    assert boot["k"][-1] == boot_content


def test_an_image_without_boot_is_told_and_nothing_is_written(tmp_path):
    engine, image = engine_with(docker_export(folder("boot")))

    with pytest.raises(StalkerError, match="nothing below /boot"):
        export_image(engine, image, plan_export(str(tmp_path / "r.tar"), str(tmp_path / "b.tar")))

    assert os.listdir(tmp_path) == []


def test_an_export_that_breaks_off_leaves_the_old_file(tmp_path):
    """An engine that died in the middle never costs the artifact of yesterday."""
    (tmp_path / "r.tar").write_bytes(b"yesterday")
    engine, image = engine_with(docker_export(("f", b"x" * 9000))[:12000])

    with pytest.raises(EngineError, match="not whole"):
        export_image(engine, image, plan_export(str(tmp_path / "r.tar"), ""))

    assert (tmp_path / "r.tar").read_bytes() == b"yesterday"
    assert os.listdir(tmp_path) == ["r.tar"]


def test_the_engine_stream_is_closed_at_once_on_a_failure(tmp_path):
    """Its container goes before the error is shown, not when memory is tidied up."""
    lost = hard_link("boot/k", "etc/real")
    engine, image = engine_with(docker_export(folder("boot"), ("boot/x", b"x"), lost))
    closed = []
    real = engine.export

    def watched(name):
        try:
            yield from real(name)
        finally:
            closed.append(name)

    engine.export = watched

    with pytest.raises(StalkerError):
        export_image(engine, image, plan_export(str(tmp_path / "r.tar"), str(tmp_path / "b.tar")))

    assert closed == [image.id, image.id]


@pytest.mark.parametrize(
    ("output", "boot", "said"),
    [("-", "-", "wants a file"), ("a.tar", "a.tar", "both name"), ("a.tar", "./a.tar", "both name")],
)
def test_two_files_are_two_files(tmp_path, monkeypatch, output, boot, said):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(PlanError, match=said):
        plan_export(output, boot)
