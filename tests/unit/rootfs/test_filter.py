from __future__ import annotations

import io
import tarfile
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stalker.artifacts.disk.contents import Census
from stalker.errors import EngineError, StalkerError
from stalker.model.artifacts import Artifact, Disk, Files, Partition, Rootfs, Write
from stalker.model.diagnostics import Place
from stalker.model.tree import secret_marker
from stalker.rootfs.filter import Content
from unit.helpers.tars import FORMATS, device, folder, hard_link, link, make_tar, member, pieces, read_tar

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = Place("trees/t/t.hjson")
MADE_S = 5_000_000
CAPABILITY = {"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00 " + "\x00" * 14}


def artifact(kind: Any = None, **more: Any) -> Artifact:
    writes = tuple(
        Write(path, content, PLACE)
        if isinstance(content, bytes)
        else Write(path, content[0], PLACE, content[1])
        for path, content in more.pop("writes", {}).items()
    )
    return Artifact("image", "stage4", PLACE, kind or Rootfs("r.tar"), writes=writes, **more)


def streamed(data: bytes, made: Artifact, **more: Any) -> list[dict[str, Any]]:
    """Read each part's tar of an image's export as tarfile does, the counts checked against it."""
    content = Content(made, made_s=MADE_S, **more)
    parts = [io.BytesIO() for _ in content.parts]
    for part, piece in content.stream(pieces(data, 1000, 7, 512), lambda: pieces(data, 4096)):
        parts[part].write(piece)
    found = [read_tar(part.getvalue()) for part in parts]
    assert content.entries == [len(part) for part in found]
    assert content.bytes == [sum(len(one[-1]) for one in part.values()) for part in found]
    return found


def names(data: bytes, made: Artifact, **more: Any) -> list[str]:
    return list(streamed(data, made, **more)[0])


@pytest.mark.parametrize(
    ("exclude", "gone"),
    [
        (["/var/cache"], {"var/cache", "var/cache/a.deb", "var/cache/sub", "var/cache/sub/b.deb"}),
        (["/var/cache/"], {"var/cache", "var/cache/a.deb", "var/cache/sub", "var/cache/sub/b.deb"}),
        (["/var/cache/*"], {"var/cache/a.deb", "var/cache/sub", "var/cache/sub/b.deb"}),
        (["/var/cache/**"], {"var/cache/a.deb", "var/cache/sub", "var/cache/sub/b.deb"}),
        (["/var/*/a.deb"], {"var/cache/a.deb"}),
        (["/**/*.deb"], {"var/cache/a.deb", "var/cache/sub/b.deb", "x.deb"}),
        (["/var/**/b.deb", "/x.de?"], {"var/cache/sub/b.deb", "x.deb"}),
        (["/var/cac", "/deb", "/va*/b.deb", "/[x].deb", "/.*"], set()),
    ],
)
def test_what_is_excluded_is_not_in_it(exclude, gone):
    """`*` stays within a name, `**` goes over folders, and what is below a folder goes with it."""
    every = [
        folder("var"),
        folder("var/cache"),
        ("var/cache/a.deb", b"1"),
        folder("var/cache/sub"),
        ("var/cache/sub/b.deb", b"2"),
        ("x.deb", b"3"),
    ]
    whole = make_tar(*every)

    left = names(whole, artifact(exclude=tuple(exclude)))

    assert set(read_tar(whole)) - set(left) == gone
    assert left == [name for name in read_tar(whole) if name in left]


def test_a_written_file_takes_the_place_of_the_images_own():
    """Docker's stub, a symbolic link or a file: what the tree says stands there, owned by root."""
    data = make_tar(
        folder("etc", uid=7),
        (member("etc/hostname", mode=0o755), b""),
        link("etc/resolv.conf", "../run/resolv.conf"),
        (member("etc/shadow", mode=0o600, uid=3), b"old"),
        ("z", b""),
    )
    writes = {"/etc/shadow": (b"new", 0o640), "/etc/hostname": b"pi\n", "/etc/resolv.conf": b"ns\n"}

    found = streamed(data, artifact(writes=writes), epoch_s=77)[0]

    assert list(found) == ["etc", "z", "etc/hostname", "etc/resolv.conf", "etc/shadow"]
    assert found["etc"][2] == 7
    assert found["etc/shadow"] == (tarfile.REGTYPE, 0o640, 0, 0, 77, "", None, {}, b"new")
    assert found["etc/resolv.conf"][-1] == b"ns\n"


def test_folders_that_a_written_file_lacks_are_made():
    found = streamed(make_tar(folder("a", mode=0o700)), artifact(writes={"/a/b/c/d": b"1", "/a/b/x": b"2"}))[
        0
    ]

    assert list(found) == ["a", "a/b", "a/b/c", "a/b/c/d", "a/b/x"]
    assert found["a"][1] == 0o700
    assert found["a/b"][:4] == (tarfile.DIRTYPE, 0o755, 0, 0)


def test_an_excluded_folder_holds_what_is_written_there():
    data = make_tar(folder("logs", mode=0o700), ("logs/old", b"1"))

    assert names(data, artifact(exclude=("/logs",), writes={"/logs/new": b"2"})) == ["logs", "logs/new"]


@pytest.mark.parametrize(
    ("there", "said"), [(link("lib", "usr/lib"), "symbolic link to usr/lib"), (("lib", b""), "")]
)
def test_a_file_cannot_be_written_through_a_link(there, said):
    """Where it would end up differs from program to program."""
    with pytest.raises(StalkerError, match="/lib/modules cannot be written") as caught:
        names(make_tar(there), artifact(writes={"/lib/modules": b""}))

    assert said in caught.value.details


def test_a_folder_is_not_replaced_by_a_file():
    with pytest.raises(StalkerError, match="/etc cannot be written") as caught:
        names(make_tar(folder("etc")), artifact(writes={"/etc": b""}))

    assert "a folder in the image" in caught.value.details


def test_secrets_are_in_what_is_written_and_nowhere_else():
    made = artifact(writes={"/key": f"<{secret_marker('KEY')}>".encode()})

    found = streamed(make_tar(("a", secret_marker("KEY").encode())), made, secrets={"KEY": "s3cr3t"})[0]

    assert found["key"][-1] == b"<s3cr3t>"
    assert found["a"][-1] == secret_marker("KEY").encode()


# partitions


DISK_PARTS = ("/boot/firmware", "/", "/home")


def board() -> bytes:
    return make_tar(
        folder("bin"),
        ("bin/sh", b"sh"),
        folder("boot"),
        folder("boot/firmware", mode=0o700),
        ("boot/firmware/cmdline.txt", b"root=PARTUUID=@PARTUUID:root@ rw\n"),
        folder("boot/firmware/overlays"),
        ("boot/firmware/overlays/a", b"a"),
        hard_link("boot/firmware/overlays/b", "boot/firmware/overlays/a"),
        ("boot/vmlinuz", b"kernel"),
        ("boot/firmware2", b"beside"),
        folder("etc"),
        ("etc/fstab", b"LABEL=@LABEL:root@ / ext4\n"),
        folder("home", uid=5, mode=0o711),
        folder("home/pi", uid=1000),
    )


def test_each_partition_gets_its_subtree_and_the_root_an_empty_folder():
    boot, root, home = streamed(board(), artifact(), parts=DISK_PARTS)

    assert list(boot) == [".", "cmdline.txt", "overlays", "overlays/a", "overlays/b"]
    assert list(root) == [
        "bin",
        "bin/sh",
        "boot",
        "boot/firmware",
        "boot/vmlinuz",
        "boot/firmware2",
        "etc",
        "etc/fstab",
        "home",
    ]
    assert list(home) == [".", "pi"]
    assert boot["overlays/b"][5] == "overlays/a"
    assert boot["."][1] == 0o700
    assert home["."][1:3] == root["home"][1:3] == (0o711, 5)


def test_what_no_partition_holds_is_left_out():
    (boot,) = streamed(board(), artifact(), parts=("/boot/firmware",))

    assert list(boot) == [".", "cmdline.txt", "overlays", "overlays/a", "overlays/b"]


def test_written_files_go_to_their_partition():
    """A folder that exists only because something is written below it is made on both sides."""
    made = artifact(writes={"/boot/firmware/x/y": b"1", "/srv/data/z": b"2", "/home/k": b"3"})

    boot, root, home, data = streamed(board(), made, parts=(*DISK_PARTS, "/srv/data"))

    assert {"x", "x/y"} < set(boot)
    assert {"srv", "srv/data"} < set(root)
    assert list(home) == [".", "pi", "k"]
    assert list(data) == [".", "z"]


def test_folders_that_are_made_are_counted_on_their_partitions():
    """The folders that a written file lacks, and the mount point among them, are in the census once each."""
    census = Census([Partition(path, PLACE, "ext4", source=path) for path in ("/", "/srv/data")])
    made = artifact(disk(), writes={"/srv/data/in/hello.txt": b"hello"})

    streamed(make_tar(folder("etc")), made, parts=("/", "/srv/data"), watchers=(census,))

    root, data = (part.measure for part in census.parts)
    assert root.inodes == 3  # etc, srv, srv/data
    assert data.inodes == 2  # in, in/hello.txt
    assert root.folder_blocks == 3


def test_a_file_that_is_written_where_no_partition_is():
    with pytest.raises(StalkerError, match="/etc/hosts cannot be written"):
        streamed(board(), artifact(writes={"/etc/hosts": b""}), parts=("/boot/firmware",))


@pytest.mark.parametrize("part", ["/data", "/boot/vmlinuz"])
def test_a_partition_of_a_folder_that_is_not_there(part):
    with pytest.raises(StalkerError, match=f"{part} is not a folder of the image"):
        streamed(board(), artifact(), parts=("/", part))


def disk(*fill: str) -> Disk:
    return Disk("d.img", "mbr", (), fill=fill)


MARKS = {"@PARTUUID:root@": "1a2b-02", "@LABEL:root@": "rootfs"}


def test_marks_are_those_of_the_partitions():
    made = artifact(disk("/boot/firmware/cmdline.txt"), writes={"/etc/fstab": b"@LABEL:root@ @x@ a@b.c\n"})

    boot, root, _ = streamed(board(), made, parts=DISK_PARTS, marks=MARKS)

    assert boot["cmdline.txt"][-1] == b"root=PARTUUID=1a2b-02 rw\n"
    assert root["etc/fstab"][-1] == b"rootfs @x@ a@b.c\n"


def test_only_the_named_files_are_filled():
    boot, root, _ = streamed(board(), artifact(disk("/etc/fstab")), parts=DISK_PARTS, marks=MARKS)

    assert b"@PARTUUID:root@" in boot["cmdline.txt"][-1]
    assert root["etc/fstab"][-1] == b"LABEL=rootfs / ext4\n"


@pytest.mark.parametrize(
    ("fill", "marks", "said"),
    [
        ("/etc/fstab", {"@LABEL:boot@": "b"}, "/etc/fstab holds @LABEL:root@, which no partition has"),
        ("/etc/nothing", MARKS, "/etc/nothing is to be filled in, but is not a file"),
        ("/boot/firmware/overlays/b", MARKS, "not a plain file of its own"),
        ("/etc", MARKS, "not a plain file of its own"),
    ],
)
def test_what_cannot_be_filled_is_said(fill, marks, said):
    with pytest.raises(StalkerError, match=said):
        streamed(board(), artifact(disk(fill)), parts=DISK_PARTS, marks=marks)


def test_a_misspelt_mark_is_not_published_as_text():
    """Whether it stands in a file of the image that is filled, or in a written one."""
    said = "/etc/fstab holds @LABLE:root@, and LABLE is not a kind of mark"
    image = make_tar(folder("etc"), (member("etc/fstab"), b"LABEL=@LABLE:root@ / ext4\n"))
    for data, made in (
        (image, artifact(disk("/etc/fstab"))),
        (make_tar(folder("etc")), artifact(disk(), writes={"/etc/fstab": b"@LABLE:root@ / ext4\n"})),
    ):
        with pytest.raises(StalkerError, match=said) as caught:
            streamed(data, made, marks=MARKS)
        assert "did you mean 'LABEL'?" in caught.value.resolution


# files


def test_chosen_files_come_with_the_folders_above_them():
    data = make_tar(
        folder("boot", mode=0o700),
        folder("boot/efi"),
        ("boot/vmlinuz-1", b"k"),
        folder("lib"),
        folder("lib/modules", uid=3),
        folder("lib/modules/1"),
        ("lib/modules/1/a.ko", b"a"),
        ("lib/other", b""),
        ("vmlinuz", b""),
    )

    found = streamed(data, artifact(Files("k.tar", ("/boot/vmlinuz*", "/lib/modules"))))[0]

    assert list(found) == [
        "boot",
        "boot/vmlinuz-1",
        "lib",
        "lib/modules",
        "lib/modules/1",
        "lib/modules/1/a.ko",
    ]
    assert found["boot"][1] == 0o700


def test_a_choice_that_matches_nothing_is_a_mistake():
    data = make_tar(link("lib", "usr/lib"), folder("usr"), folder("usr/lib"), ("usr/lib/x", b""))

    with pytest.raises(StalkerError, match="nothing in the image matches /lib/y") as caught:
        names(data, artifact(Files("k.tar", ("/usr/lib/x", "/lib/y"))))

    assert caught.value.details == "/lib is a symbolic link to usr/lib"


MERGED = (
    link("bin", "/usr/bin"),
    link("lib", "usr/lib"),
    folder("run"),
    ("run/f", b""),
    folder("usr"),
    folder("usr/bin"),
    ("usr/bin/busybox", b""),
    folder("usr/lib"),
    folder("usr/lib/modules"),
    ("usr/lib/modules/x.ko", b""),
    ("usr/lib/other", b""),
    folder("var"),
    link("var/lib", "../usr/lib"),
    link("var/run", "/run"),
)


@pytest.mark.parametrize(
    ("paths", "there"),
    [
        (["/lib/modules/**"], ["usr", "usr/lib", "usr/lib/modules", "usr/lib/modules/x.ko"]),
        (["/lib/modules/x.ko"], ["usr", "usr/lib", "usr/lib/modules", "usr/lib/modules/x.ko"]),
        (["/bin/busy*", "/lib/other"], ["usr", "usr/bin", "usr/bin/busybox", "usr/lib", "usr/lib/other"]),
        (["/lib"], ["lib"]),
    ],
)
def test_a_choice_through_a_link_is_what_the_link_leads_to(paths, there):
    """`/lib/modules/**` on merged /usr; the link itself is chosen by its own name."""
    assert names(make_tar(*MERGED), artifact(Files("k.tar", tuple(paths)))) == there


@pytest.mark.parametrize(
    ("exclude", "gone"),
    [
        ("/lib/modules/**", {"usr/lib/modules/x.ko"}),
        ("/lib/modules", {"usr/lib/modules", "usr/lib/modules/x.ko"}),
        ("/bin/busybox", {"usr/bin/busybox"}),
        ("/lib", {"lib"}),
        ("/bin/nothing/**", set()),
    ],
)
def test_what_is_excluded_through_a_link_is_not_in_it(exclude, gone):
    """It was in the artifact, and nothing said so."""
    data = make_tar(*MERGED)

    assert set(names(data, artifact())) - set(names(data, artifact(exclude=(exclude,)))) == gone


def test_links_that_lead_to_links_are_followed():
    """And two that lead to each other end."""
    data = make_tar(
        link("a", "b"), link("b", "c"), link("d", "e"), link("e", "d"), folder("x"), link("c", "x/y"),
        folder("x/y"), ("x/y/f", b""),
    )  # fmt: skip

    assert "x/y/f" not in names(data, artifact(exclude=("/a/f", "/d/f")))


@pytest.mark.parametrize("kind", [None, Files("k.tar", ("/var/run/**",))])
def test_a_pattern_through_a_link_to_what_has_passed_by_is_refused(kind):
    """The real path is named, for `exclude` as for `paths`."""
    exclude = () if kind else ("/var/run/**",)

    with pytest.raises(StalkerError, match=r"/var/run/\*\* leads through a link") as caught:
        names(make_tar(*MERGED), artifact(kind, exclude=exclude))

    assert caught.value.details == "/var/run is a symbolic link to /run"
    assert caught.value.resolution == "write /run/**"


# hard links


def test_hard_links_to_what_is_left_out_become_one_file_and_links_to_it():
    data = make_tar(
        folder("cache"),
        (member("cache/a", mode=0o4755, uid=9, pax_headers=CAPABILITY), b"content"),
        hard_link("cache/b", "cache/a"),
        hard_link("usr-1", "cache/a"),
        hard_link("usr-2", "cache/a"),
        ("z", b"z"),
    )

    found = streamed(data, artifact(exclude=("/cache",)))[0]

    assert list(found) == ["z", "usr-1", "usr-2"]
    assert found["usr-1"][:3] == (tarfile.REGTYPE, 0o4755, 9)
    assert found["usr-1"][-2:] == (CAPABILITY, b"content")
    assert (found["usr-2"][0], found["usr-2"][5]) == (tarfile.LNKTYPE, "usr-1")


def test_hard_links_between_partitions_become_files_on_each():
    data = make_tar(
        folder("a"), ("a/1", b"x" * 700), folder("b"), hard_link("b/2", "a/1"), hard_link("b/3", "a/1"),
        hard_link("c", "a/1"), hard_link("a/4", "a/1"),
    )  # fmt: skip

    root, one, two = streamed(data, artifact(), parts=("/", "/a", "/b"))

    assert (root["c"][-1], two["2"][-1], one["1"][-1]) == (b"x" * 700,) * 3
    assert (two["3"][5], one["4"][5]) == ("2", "1")


def test_a_hard_link_to_a_replaced_file_keeps_the_old_content():
    data = make_tar(folder("etc"), ("etc/a", b"old"), hard_link("etc/b", "etc/a"))

    found = streamed(data, artifact(writes={"/etc/a": b"new"}))[0]

    assert (found["etc/a"][-1], found["etc/b"][-1]) == (b"new", b"old")


def test_chosen_files_may_be_hard_links_to_others():
    data = make_tar(("a", b"x"), folder("s"), hard_link("s/b", "a"))

    found = streamed(data, artifact(Files("f.tar", ("/s/*",))))[0]

    assert list(found) == ["s", "s/b"]
    assert found["s/b"][-1] == b"x"


def test_a_second_stream_that_differs_is_told():
    data, other = make_tar(("a", b"x"), hard_link("b", "a")), make_tar(("c", b""))
    content = Content(artifact(exclude=("/a",)), made_s=MADE_S)

    with pytest.raises(EngineError, match="/a was not in the image's second export"):
        list(content.stream([data], lambda: [other]))


def test_the_second_stream_is_closed():
    closed = []

    def again() -> Iterator[bytes]:
        try:
            yield make_tar(("a", b"x"))[:600]
        finally:
            closed.append(1)

    content = Content(artifact(exclude=("/a",)), made_s=MADE_S)

    with pytest.raises(EngineError, match="not whole"):
        list(content.stream([make_tar(("a", b"x"), hard_link("b", "a"))], again))

    assert closed == [1]


# watchers


class Note:
    """Notes what passes, and wants what is below /etc."""

    def __init__(self) -> None:
        self.seen: dict[bytes, bytes | None] = {}

    def wants(self, header):
        return header.path.startswith(b"etc/")

    def see(self, path, header, content):
        assert path not in self.seen
        self.seen[path] = content


def test_watchers_see_what_is_in_it_by_its_path_in_the_image():
    note = Note()
    made = artifact(disk("/etc/fstab"), exclude=("/bin/sh",), writes={"/etc/motd": b"hi"})

    streamed(board(), made, parts=DISK_PARTS, marks=MARKS, watchers=[note])

    assert note.seen[b"boot/firmware/cmdline.txt"] is None
    assert note.seen[b"etc/fstab"] == b"LABEL=rootfs / ext4\n"
    assert note.seen[b"etc/motd"] == b"hi"
    assert b"bin/sh" not in note.seen
    assert len(note.seen) == len(read_tar(board()))  # one excluded, one written


def test_a_watcher_is_not_given_what_is_too_large():
    note = Note()

    streamed(
        make_tar(folder("etc"), ("etc/big", bytes(17 << 20)), ("etc/small", b"1")),
        artifact(),
        watchers=[note],
    )

    assert note.seen == {b"etc": None, b"etc/big": None, b"etc/small": b"1"}


def test_a_hard_link_that_became_a_file_is_seen():
    note = Note()

    streamed(
        make_tar(("a", b"x"), folder("etc"), hard_link("etc/b", "a"), hard_link("c", "a")),
        artifact(exclude=("/a",)),
        watchers=[note],
    )

    assert set(note.seen) == {b"etc", b"etc/b", b"c"}


# times, hostile names, streams that end early


def test_no_time_is_later_than_the_image_unless_said_otherwise():
    data = make_tar((member("late", mtime=MADE_S + 9), b""), (member("early", mtime=5), b""))

    plain, clamped = (streamed(data, artifact(), epoch_s=epoch)[0] for epoch in (None, 3))

    assert [one[4] for one in plain.values()] == [MADE_S, 5]
    assert [one[4] for one in clamped.values()] == [3, 3]


@pytest.mark.parametrize("name", ["../x", "a/../../x", "a/..", ".."])
@pytest.mark.parametrize("as_link", [False, True])
def test_a_name_that_leads_out_is_refused(name, as_link):
    one = hard_link("fine", name) if as_link else (name, b"")

    with pytest.raises(EngineError, match="leads out"):
        names(make_tar(one), artifact())


def test_names_that_are_only_strange_stay():
    """Absolute ones lose the slash; control characters and long ones are names like others."""
    data = make_tar(("/etc/x", b"1"), ("a\n\x1b[2J\x7fb", b"2"), ("n" * 255, b"3"), ("d..e/..f", b"4"))

    assert names(data, artifact()) == ["etc/x", "a\n\x1b[2J\x7fb", "n" * 255, "d..e/..f"]


def test_errors_show_names_without_what_a_terminal_obeys():
    with pytest.raises(StalkerError) as caught:
        names(make_tar(folder("a\x1b[2J")), artifact(writes={"/a\x1b[2J": b""}))

    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 100, 512, 700, 1024, 1536])
def test_a_stream_that_ends_early_is_noticed(length):
    data = make_tar(("a", b"x" * 300))[:length]

    with pytest.raises(EngineError, match="not whole"):
        names(data, artifact())


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_nothing_is_lost_of_what_passes(kind):
    members = [
        folder("d", uid=1000, mode=0o1777),
        (member("d/setuid", mode=0o4755, uid=2000, gid=50), b"#!"),
        hard_link("d/twin", "d/setuid"),
        device("d/null"),
        member("d/pipe", type=tarfile.FIFOTYPE),
        ("d/caf\udce9\udcff", b"latin"),
        link("d/link", "../" * 20 + "x"),
    ]
    if kind == "pax":
        members.append((member("d/cap", pax_headers=CAPABILITY), b"\x7fELF"))
    data = make_tar(*members, kind=kind)

    assert streamed(data, artifact())[0] == read_tar(data)


def test_memory_stays_flat():
    def large() -> Iterator[bytes]:
        info = member("big")
        info.size = 64 << 20
        yield info.tobuf(tarfile.PAX_FORMAT)
        for _ in range(64):
            yield bytes(1 << 20)
        yield bytes(1024)

    content = Content(artifact(exclude=("/x/**",), writes={"/a": b"1"}), made_s=MADE_S, watchers=[Note()])
    tracemalloc.start()
    try:
        for _ in content.stream(large()):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert content.bytes == [(64 << 20) + 1]
    assert peak < 8 << 20


# against a model


NAMES = st.sampled_from(["a", "b", "lib", "x.deb"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@st.composite
def images(draw) -> list[Any]:
    """Members as Docker sends them: folders before what is in them, hard links after their file."""
    files = draw(st.dictionaries(PATHS, st.binary(max_size=600), max_size=8))
    members: list[Any] = []
    there: dict[str, str] = {}
    for path in sorted(files):
        parts = path.split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts))]
        if path in there or any(there.get(one) == "file" for one in above):
            continue
        for one in above:
            if one not in there:
                there[one] = "folder"
                members.append(folder(one))
        known = [name for name, kind in there.items() if kind == "file"]
        firsts = [one[0] for one in members if isinstance(one, tuple)]
        if known and draw(st.booleans()):
            members.append(hard_link(path, draw(st.sampled_from(firsts))))
        else:
            members.append((path, files[path]))
        there[path] = "file"
    return members


@settings(max_examples=150, deadline=None)
@given(images(), st.lists(PATHS, max_size=2), st.lists(st.sampled_from(["/a", "/lib", "/a/b"]), unique=True))
def test_each_file_of_the_image_is_where_it_belongs(members, excluded, parts):
    """Whatever is excluded and split off: each path has the content that it had, once, in its part."""
    there = {one.name if isinstance(one, tarfile.TarInfo) else one[0]: one for one in members}
    parts = [part for part in parts if isinstance(there.get(part[1:]), tarfile.TarInfo)]
    parts = [part for part in parts if there[part[1:]].isdir()]
    parts = [p for p in parts if not any(f"{p[1:]}/".startswith(f"{one}/") for one in excluded)]
    contents = {
        name: one[1] if isinstance(one, tuple) else there[one.linkname][1] if one.islnk() else None
        for name, one in there.items()
    }
    expected: list[dict[str, Any]] = [{}, *({".": None} for _ in parts)]
    for name, content in contents.items():
        if any(f"{name}/".startswith(f"{one}/") for one in excluded):
            continue
        best = max((part for part in parts if name.startswith(f"{part[1:]}/")), key=len, default="")
        expected[parts.index(best) + 1 if best else 0][name[len(best) :] if best else name] = content

    found = streamed(
        make_tar(*members), artifact(exclude=tuple(f"/{one}" for one in excluded)), parts=("/", *parts)
    )

    read = [
        {
            name: None if one[0] == tarfile.DIRTYPE else part[one[5]][-1] if one[5] else one[-1]
            for name, one in part.items()
        }
        for part in found
    ]
    assert read == expected
