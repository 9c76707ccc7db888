"""What one machine has of its own: its name, files in any partition, the line that mounts its data."""

from __future__ import annotations

import pytest

from stalker.card.inject.hostname import with_name
from stalker.card.inject.inject import inject, mount_data
from stalker.card.inject.staged_changes import Draft
from stalker.errors import StalkerError
from stalker.model.card import InjectedFile, Injections, SecretText, Source, User, Wifi
from stalker.model.diagnostics import Place
from unit.helpers.fats import Fat
from unit.helpers.memory_editor import Device, File, Folder, Link, MemoryEditor, MemoryEditors

PLACE = Place("card.yaml", 12, 5)


def plain(secret: SecretText) -> str:
    return secret.text


def injected(editors: MemoryEditors, injections: Injections, **more):
    done = inject(editors, injections, plain, **more)
    editors.take(done)
    return list(done.said)


def named(name: str, **nodes) -> MemoryEditor:
    root = MemoryEditor(nodes.pop("nodes", {}))
    injected(MemoryEditors(root=root), Injections(hostname=name))
    return root


def test_the_name_of_the_machine_is_written_and_everything_else_stays():
    """/etc/hostname, and the one line of /etc/hosts; modes and owners are those that were there."""
    hosts = "127.0.0.1 localhost # mine\n127.0.1.1\told old.lan\n\n10.0.0.1 x\r\nno newline"
    root = MemoryEditor({"/etc/hostname": File("old\n", 0o640, 1, 2), "/etc/hosts": hosts})

    said = injected(MemoryEditors(root=root), Injections(hostname="pi-7"))

    assert root.text("/etc/hostname") == "pi-7\n"
    assert root.text("/etc/hosts") == hosts.replace("127.0.1.1\told old.lan", "127.0.1.1\tpi-7") + "\n"
    assert (root.found("/etc/hostname").mode, root.found("/etc/hostname").gid) == (0o640, 2)
    assert said == ["hostname: pi-7, it was old"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"127.0.0.1\tlocalhost\n127.0.1.1\tpi\n::1\tlocalhost ip6-localhost ip6-loopback\n"),
        (b"127.0.0.1\tlocalhost\n::1 ip6\n", b"127.0.0.1\tlocalhost\n127.0.1.1\tpi\n::1 ip6\n"),
        (b"#127.0.1.1 old\n::1 ip6\n", b"#127.0.1.1 old\n::1 ip6\n127.0.1.1\tpi\n"),
        (b"  127.0.1.1 old\n", b"127.0.1.1\tpi\n"),
        (b"127.0.1.10 other\n", b"127.0.1.10 other\n127.0.1.1\tpi\n"),
        (b"\xff\xfe bytes\n127.0.1.1 a\n127.0.1.1 b\n", b"\xff\xfe bytes\n127.0.1.1\tpi\n127.0.1.1 b\n"),
    ],
)
def test_the_line_of_the_machine_in_hosts(before, after):
    """It is replaced where it is, else it comes behind localhost, else at the end."""
    assert with_name(before, "pi") == after


def test_a_name_with_a_domain_has_both_names():
    """Debian's way: the long one first."""
    assert with_name(b"127.0.0.1 localhost\n", "pi.lan.example").endswith(b"127.0.1.1\tpi.lan.example pi\n")


def test_a_name_is_written_where_no_name_was():
    """An image out of a container has neither file."""
    root = named("pi")

    assert root.text("/etc/hostname") == "pi\n"
    assert "127.0.1.1\tpi\n" in root.text("/etc/hosts")
    assert root.found("/etc/hosts").mode == 0o644


def test_a_file_behind_a_link_is_written_where_the_link_leads():
    """The link itself stays."""
    root = named(
        "pi",
        nodes={
            "/etc/hostname": Link("../var/etc/name"),
            "/var": Link("/real/var"),
            "/real/var/etc/name": "x",
        },
    )

    assert root.text("/real/var/etc/name") == "pi\n"
    assert root.found("/etc/hostname").kind == "link"


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a\nb", "a..b", "x" * 64, "ä", "a_b", "$(reboot)"])
def test_what_cannot_name_a_machine_is_refused(name):
    """Nothing of it is written anywhere."""
    root = MemoryEditor({"/etc/hostname": "old\n"})

    if name:
        with pytest.raises(StalkerError, match="cannot name a machine"):
            injected(MemoryEditors(root=root), Injections(hostname=name))
    else:
        assert injected(MemoryEditors(root=root), Injections(hostname=name)) == []
    assert root.text("/etc/hostname") == "old\n"


def test_files_go_into_any_partition_with_mode_and_owner(tmp_path):
    """By name or number; folders on the way are made, links on the way are followed inside the file system."""
    (tmp_path / "fetched").write_bytes(b"from afar")
    boot, root, data = (
        MemoryEditor(),
        MemoryEditor({"/var": Link("real/var"), "/real/var/x": "old"}),
        MemoryEditor(),
    )
    editors = MemoryEditors(boot=boot, root=root, data=data, number_2=root)
    files = (
        InjectedFile("boot", "/ssh", PLACE, b""),
        InjectedFile("root", "/var/x", PLACE, b"new", mode=0o4750, uid=7, gid=8),
        InjectedFile("2", "/etc/new/deep", PLACE, None, Source("http://a"), 0o600),
        InjectedFile("data", "/a", PLACE, b"1"),
        InjectedFile("data", "/a", PLACE, b"22"),
    )

    said = injected(editors, Injections(files=files), fetched={files[2]: tmp_path / "fetched"})

    assert boot.read("/ssh") == b""
    found = root.found("/real/var/x")
    assert (found.mode, found.uid, found.gid, root.read("/real/var/x")) == (0o4750, 7, 8, b"new")
    assert (root.read("/etc/new/deep"), root.found("/etc/new/deep").mode) == (b"from afar", 0o600)
    assert data.read("/a") == b"22"
    assert said[:2] == [
        "file /ssh of boot: mode 0644, owner 0:0",
        "file /var/x of root: mode 4750, owner 7:8, at /real/var/x, in place of a file",
    ]


def test_a_link_that_stands_there_is_replaced_and_not_followed():
    """A file is put where it is said to be."""
    root = MemoryEditor({"/etc/localtime": Link("/usr/zone"), "/usr/zone": "utc"})

    said = injected(
        MemoryEditors(root=root), Injections(files=(InjectedFile("root", "/etc/localtime", PLACE, b"x"),))
    )

    assert (root.read("/etc/localtime"), root.read("/usr/zone")) == (b"x", b"utc")
    assert said[0].endswith("in place of a link")


@pytest.mark.parametrize(
    ("nodes", "to", "says"),
    [
        ({"/a": Folder()}, "/a", "a folder stands there"),
        ({"/a": Device()}, "/a", "a device stands there"),
        ({"/a": "file"}, "/a/b", "/a is not a folder"),
        ({"/a": "file", "/l": Link("a")}, "/l/b/c", "/a is not a folder"),
    ],
)
def test_a_file_that_cannot_stand_there_is_refused(nodes, to, says):
    """With the place in the configuration."""
    with pytest.raises(StalkerError) as caught:
        injected(
            MemoryEditors(root=MemoryEditor(nodes)), Injections(files=(InjectedFile("root", to, PLACE, b""),))
        )

    assert caught.value.details == f"card.yaml:12:5: {says}"


def test_two_files_that_differ_in_case_are_not_put_into_a_fat(tmp_path):
    """The second would take the place of the first, and nobody be told."""
    files = tuple(InjectedFile("boot", to, PLACE, b"x") for to in ("/Kiosk.conf", "/kiosk.CONF"))
    with Fat(tmp_path / "x.img").editor() as editor, pytest.raises(StalkerError) as caught:
        inject(MemoryEditors(boot=editor), Injections(files=files), plain)

    assert "/kiosk.CONF cannot be put into boot" in caught.value.brief
    assert "/Kiosk.conf is put there" in caught.value.details


def test_links_that_lead_in_circles_are_an_error():
    """Not an endless loop."""
    root = MemoryEditor({"/a": Link("b"), "/b": Link("a")})

    with pytest.raises(StalkerError, match="circles"):
        injected(MemoryEditors(root=root), Injections(files=(InjectedFile("root", "/a/x", PLACE, b""),)))


def test_everything_that_is_wrong_is_told_at_once():
    """A configuration is repaired once; no stock comes of it."""
    injections = Injections(
        hostname="-",
        users=(User("Bad", PLACE), User("worse!", PLACE)),
        wifi=(Wifi(b"x", PLACE, SecretText("short")),),
        files=(InjectedFile("9", "/a", PLACE, b""),),
    )
    root = MemoryEditor({"/etc/passwd": "", "/etc/group": ""})

    with pytest.raises(StalkerError) as caught:
        inject(MemoryEditors(root=root), injections, plain)

    text = f"{caught.value.brief}\n{caught.value.details}"
    for words in ("4 injections", "name a machine", "'Bad'", "'worse!'", "network 'x'", "partition '9'"):
        assert words in text
    assert "short" not in text


def test_nothing_asked_is_nothing_done():
    """No file system is even opened."""

    class Unopened:
        def has(self, name):
            raise AssertionError

        of = has

    done = inject(Unopened(), Injections(), plain)

    assert (done.stocks, done.said) == ([], [])


def test_the_data_partition_is_mounted_by_its_line():
    """The mount point is made, other lines stay, and a second time nothing changes."""
    root = MemoryEditor({"/etc/fstab": File("# mine\nPARTUUID=aa-02 / ext4 defaults 0 1", 0o600)})

    stock, said = mount_data(root, "PARTUUID=aa-03", "ext4")
    root.take(stock)
    again, said_again = mount_data(root, "PARTUUID=aa-03", "ext4")

    line = "PARTUUID=aa-03 /data ext4 defaults,noatime,nofail 0 2"
    assert root.text("/etc/fstab") == f"# mine\nPARTUUID=aa-02 / ext4 defaults 0 1\n{line}\n"
    assert (root.found("/etc/fstab").mode, root.found("/data").kind) == (0o600, "folder")
    assert said == [f"fstab: {line}"]
    assert (again.parts, said_again) == ([], ["fstab: /data is in it"])


def test_another_line_for_the_data_partition_is_replaced():
    """One that is a comment is none."""
    root = MemoryEditor(
        {"/etc/fstab": "#LABEL=x /data ext4 d 0 0\nLABEL=old\t/data/\text4 d 0 0\nproc /proc proc\n"}
    )

    said = injected(
        MemoryEditors(root=root), Injections(), data_device="PARTUUID=aa-03", data_filesystem="exfat"
    )

    assert root.text("/etc/fstab") == (
        "#LABEL=x /data ext4 d 0 0\nPARTUUID=aa-03 /data exfat defaults,noatime,nofail 0 0\nproc /proc proc\n"
    )
    assert said[0].endswith("in place of another line for /data")


def test_a_file_where_the_data_partition_is_mounted_is_refused():
    """It cannot be mounted there."""
    with pytest.raises(StalkerError, match="/data is not a folder"):
        mount_data(MemoryEditor({"/data": "file"}), "PARTUUID=aa", "ext4")


def test_selinux_labels_what_was_replaced():
    """An image that enforces labels would not start without."""
    for config, has in (("SELINUX=enforcing\n", True), ("SELINUX=disabled\n", False)):
        root = MemoryEditor({"/etc/selinux/config": config})
        injected(MemoryEditors(root=root), Injections(hostname="pi"))
        assert ("/.autorelabel" in root.paths) == has


def test_a_draft_reads_what_will_be_there():
    """What was changed is read back, by any name; questions are asked once."""
    root = MemoryEditor({"/bin": Link("usr/bin"), "/usr/bin/a": File("old", 0o755, 3, 4)})
    draft = Draft(root, mtime_s=99)

    draft.write("/bin/a", b"new")
    draft.link("/l", "bin/a")
    looks = root.looks

    assert draft.read("/usr/bin/a") == draft.read("/l") == b"new"
    assert draft.find("/l").mode == 0o755
    assert root.looks == looks
    assert [(one.path, one.mtime_s, one.mode) for one in draft.stock.entries] == [
        ("/usr/bin/a", 99, 0o755),
        ("/l", 99, 0o777),
    ]


def test_many_questions_are_asked_at_once():
    """Each is a message to another process."""
    root = MemoryEditor(
        {"/etc/passwd": "", "/etc/group": "", "/bin": Link("usr/bin"), "/usr/bin/sh": "x", "/home": Folder()}
    )
    users = tuple(User(f"u{number}", PLACE) for number in range(20))

    injected(MemoryEditors(root=root), Injections(users=users))

    assert root.looks <= 4
