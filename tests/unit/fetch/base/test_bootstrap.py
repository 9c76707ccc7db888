import os
import platform
import sys

import pytest

from stalker.errors import InputError
from stalker.fetch.base import bootstrap
from stalker.fetch.base.bootstrap import (
    bootstrap_obstacle,
    bootstrapped,
    check_tool,
    settle_architecture,
    tool_for,
)
from stalker.model.diagnostics import Place
from stalker.model.tree import BootstrapBase

PLACE = Place("trees/t/t.hjson")
BASE = BootstrapBase("bookworm", PLACE, mirror="http://mirror.test/debian")
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap needs root")


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A PATH of system programs and of those that a test writes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "tar", "unshare", "mkdir", "cat", "printf", "sleep", "touch", "rm", "ln", "python3"):
        os.symlink(sys.executable if name == "python3" else f"/usr/bin/{name}", folder / name)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    # A fallback that is really installed here must not answer for the one a test leaves out.
    real = bootstrap.shutil.which
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name, path=None: real(name))

    def write(name, script):
        (folder / name).write_text(f"#!{folder}/sh\n{script}")
        (folder / name).chmod(0o755)

    return write


def left_behind(tmp_path):
    return [path.name for path in tmp_path.iterdir() if path.name.startswith("stalker-bootstrap-")]


def make(base, told=None):
    with bootstrapped(base, (told if told is not None else []).append) as stream:
        return b"".join(stream)


def test_mmdebstrap_is_asked_for_what_the_tree_says(tools, tmp_path):
    """Suite, variant, packages, architecture, components and mirror reach it, and its tar comes out."""
    tools("mmdebstrap", f'printf "%s\\n" "$@" > {tmp_path}/asked; echo "I: making" >&2; printf tar')
    base = BootstrapBase(
        "bookworm",
        PLACE,
        include=("python3-minimal", "less"),
        variant="essential",
        mirror="http://mirror.test/debian",
        components=("main", "contrib"),
        architecture="armhf",
    )
    told = []

    assert make(base, told) == b"tar"

    asked = (tmp_path / "asked").read_text().splitlines()
    assert {"--variant=essential", "--include=python3-minimal,less", "--architectures=armhf"} <= set(asked)
    assert asked[-4:] == ["--", "bookworm", "-", "deb http://mirror.test/debian bookworm main contrib"]
    assert told == ["making"]
    assert left_behind(tmp_path) == []


def test_without_a_mirror_the_hosts_own_serves(tools, tmp_path, monkeypatch):
    """What apt uses here is used for the base; where it names none mmdebstrap chooses."""
    tools("mmdebstrap", f'printf "%s\\n" "$@" > {tmp_path}/asked; printf tar')
    monkeypatch.setattr(bootstrap, "deb_lines", lambda suite, _: [f"deb http://own.test/debian {suite} main"])
    make(BootstrapBase("bookworm", PLACE))
    with_mirror = (tmp_path / "asked").read_text().splitlines()[-2:]
    monkeypatch.setattr(bootstrap, "deb_lines", lambda *_: [])
    make(BootstrapBase("bookworm", PLACE))
    without = (tmp_path / "asked").read_text().splitlines()[-2:]

    assert with_mirror == ["-", "deb http://own.test/debian bookworm main"]
    assert without == ["bookworm", "-"]


def test_a_failing_bootstrap_says_why_and_leaves_nothing(tools, tmp_path):
    """Half a tar and exit code 25: an error with the last lines, and no folder left."""
    tools("mmdebstrap", 'touch "$TMPDIR/x"; printf half; echo "E: no such package" >&2; exit 25')

    with pytest.raises(InputError) as caught:
        make(BASE)

    assert caught.value.brief == "bootstrap bookworm: mmdebstrap ended with exit code 25"
    assert caught.value.details == "E: no such package"
    assert left_behind(tmp_path) == []


def test_a_bootstrap_that_nobody_wants_any_more_is_ended(tools, tmp_path):
    """Leaving in the middle asks the program to end and removes its folder."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, pathlib, signal, sys\n"
        f"tidy = lambda *_: (pathlib.Path({str(tmp_path / 'ended')!r}).touch(), sys.exit(1))\n"
        "signal.signal(signal.SIGTERM, tidy)\n"
        "os.mkdir(os.environ['TMPDIR'] + '/chroot')\n"
        "os.write(1, b'begin')\n"
        "signal.pause()\n"
    )
    tools("mmdebstrap", f"exec {sys.executable} {program}")

    with bootstrapped(BASE, lambda _: None) as stream:
        next(stream)

    assert (tmp_path / "ended").exists()
    assert left_behind(tmp_path) == []


@AS_ROOT
def test_debootstrap_stands_in(tools, tmp_path):
    """Without mmdebstrap the folder that debootstrap makes is sent, clean of this host."""
    tools(
        "debootstrap",
        f"""printf "%s\\n" "$@" > {tmp_path}/asked; echo "I: Retrieving x"
        for root; do case $root in */root) break;; esac; done
        mkdir -p $root/etc $root/var/lib/apt/lists/partial $root/var/cache/apt/archives $root/dev $root/proc
        touch $root/etc/resolv.conf $root/etc/hostname $root/var/lib/apt/lists/x_Packages $root/dev/null0
        printf 0123 > $root/etc/machine-id; touch $root/var/cache/apt/archives/a.deb $root/etc/keep
        """,
    )
    told = []

    data = make(BASE, told)

    (tmp_path / "root.tar").write_bytes(data)
    names = sorted(os.popen(f"/usr/bin/tar -tf {tmp_path}/root.tar").read().split())
    assert "./etc/keep" in names
    assert "./dev/" in names
    assert not {"./etc/resolv.conf", "./etc/hostname", "./var/lib/apt/lists/x_Packages", "./dev/null0"} & set(
        names
    )
    assert "./var/cache/apt/archives/a.deb" not in names
    assert os.popen(f"/usr/bin/tar -xOf {tmp_path}/root.tar ./etc/machine-id").read() == ""
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[0] == "--variant=minbase"
    assert asked[-1] == "http://mirror.test/debian"
    assert told == ["Retrieving x"]
    assert left_behind(tmp_path) == []


@AS_ROOT
def test_debootstrap_knows_fewer_variants(tools):
    """What it cannot make is not tried with it."""
    tools("debootstrap", "exit 0")

    assert tool_for(BASE) == "debootstrap"
    assert tool_for(BootstrapBase("bookworm", PLACE, variant="essential")) == ""


def test_without_a_tool_the_command_is_named(tools):
    """Nothing here can bootstrap, and nobody can say yes."""
    assert bootstrap_obstacle(BASE, may_install=False) == (
        "mmdebstrap is not installed: apt-get install -y --no-install-recommends mmdebstrap"
    )
    with pytest.raises(InputError, match="cannot be made here"):
        check_tool(BASE)


@AS_ROOT
def test_where_it_may_be_installed_nothing_is_known_against_it(tools):
    """As root, with apt-get and a yes to come."""
    tools("apt-get", "exit 0")

    assert bootstrap_obstacle(BASE, may_install=True) == ""


@AS_ROOT
def test_mmdebstrap_is_installed_by_apt(tools, tmp_path):
    """After the yes: lists first, then the package."""
    tools("apt-get", f'echo "$DEBIAN_FRONTEND $*" >> {tmp_path}/asked')

    bootstrap.install_tool(lambda _: None)

    assert (tmp_path / "asked").read_text().splitlines() == [
        "noninteractive update",
        "noninteractive install -y --no-install-recommends mmdebstrap",
    ]


@pytest.mark.parametrize(
    ("base", "said"),
    [
        (BootstrapBase("--help", PLACE), "is not a Debian suite name"),
        (BootstrapBase("", PLACE), "is not a Debian suite name"),
        (BootstrapBase("bookworm", PLACE, mirror="/etc/apt/sources.list"), "is not a URL"),
        (BootstrapBase("bookworm", PLACE, mirror="http://x/ [trusted=yes]"), "is not a URL"),
        (
            BootstrapBase("bookworm", PLACE, architecture="s390x"),
            "stalker engine up --yes --platform linux/s390x",
        ),
        (BootstrapBase("bookworm", PLACE, architecture="s390x", variant="extract"), ""),
        (BootstrapBase("bookworm", PLACE), ""),
    ],
)
@pytest.mark.skipif(platform.machine() == "s390x", reason="it is native there")
@AS_ROOT
def test_what_is_known_against_a_bootstrap_is_said(tools, base, said):
    """The plan's question."""
    tools("mmdebstrap", "exit 0")

    answer = bootstrap_obstacle(base, may_install=False)

    assert said in answer
    assert bool(answer) == bool(said)


@pytest.mark.parametrize(
    ("platform", "named", "settled"),
    [
        ("", "", ""),
        ("", "armhf", "armhf"),
        ("linux/arm/v7", "", "armhf"),
        ("linux/arm/v6", "", "armel"),
        ("linux/arm64", "", "arm64"),
        ("linux/arm64/v8", "arm64", "arm64"),
        ("linux/amd64", "", "amd64"),
        ("linux/386", "", "i386"),
        ("linux/arm/v6", "armhf", "armhf"),  # Raspbian's word
        ("linux/arm/v7", "armel", "armel"),
        ("linux/sparc", "sparc", "sparc"),
    ],
)
def test_the_platform_of_a_stalk_is_the_architecture_of_its_bootstrap(platform, named, settled):
    """A tree says linux/arm/v7 once, and its Debian is armhf."""
    base = BootstrapBase("bookworm", PLACE, architecture=named)

    assert settle_architecture(base, platform).architecture == settled


@pytest.mark.parametrize(
    ("platform", "named", "said"),
    [
        ("linux/arm/v7", "amd64", "linux/arm/v7 is armhf, not amd64"),
        ("linux/amd64", "armhf", "linux/amd64 is amd64, not armhf"),
        ("linux/arm64", "armhf", "linux/arm64 is arm64, not armhf"),
        ("linux/sparc", "amd64", "linux/sparc is sparc, not amd64"),
        ("linux/sparc", "", "Debian has no word for linux/sparc"),
    ],
)
def test_a_bootstrap_of_another_architecture_than_its_platform_is_refused(platform, named, said):
    """An amd64 Debian is never labelled as one for ARM."""
    with pytest.raises(InputError) as caught:
        settle_architecture(BootstrapBase("bookworm", PLACE, architecture=named), platform)

    assert said in caught.value.details
    assert str(PLACE) in caught.value.resolution
