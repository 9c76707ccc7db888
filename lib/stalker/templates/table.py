"""The workspaces of `stalker init`: which of the trees and stalks that come with stalker, and how they are run."""

from __future__ import annotations

from dataclasses import dataclass

MMDEBSTRAP = "apt-get update && apt-get install -y --no-install-recommends mmdebstrap"

FETCH_PORTAGE = (
    "python3 -m pip download --no-deps --require-hashes --dest workspace/wheels "
    "-r stalks/kantoo_standin/requirements.txt"
)


@dataclass(frozen=True, slots=True)
class Template:
    """A workspace: directories of the shipped trees and stalks, files of `data/`, and its commands.

    `checked` are the arguments of `stalker check`; `commands` run it. `prepared` are commands for root that a bare
    machine needs first, `fetched` such that fetch what the trees read, `ignored` lines for .gitignore.
    """

    name: str
    summary: str
    trees: tuple[str, ...]
    stalks: tuple[str, ...]
    checked: str
    commands: tuple[str, ...]
    about: str
    prepared: tuple[str, ...] = ()
    fetched: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


HELLO = Template(
    "hello",
    "one stalk of four steps, each of which says hello",
    ("hello_world",),
    ("hello_world",),
    "hello_world",
    ("stalker run hello_world",),
    "The smallest tree. `stalker run hello_world --watch_stdout` shows what its steps print.",
)
DEBIAN_DISK = Template(
    "debian-disk",
    "a Debian for the PC as a disk image, booted before it is published",
    ("amd64",),
    ("amd64",),
    "amd64",
    ("stalker run amd64",),
    "The first run takes some minutes. The image is `artifacts/amd64/amd64/disk/amd64.img`, published after it has\n"
    "booted in QEMU; the password of root is in `workspace/amd64_password`.",
    prepared=(MMDEBSTRAP,),
)
RASPBERRY_PI = Template(
    "raspberry-pi",
    "packages built from source, and an image for the Raspberry Pi 2 and 3",
    ("raspi3",),
    (
        "debian_stage3",
        "debian_build_binaries",
        "debian_build_repo",
        "package_leave",
        "package_boardinfo",
        "raspi_system",
        "raspi_stage4",
    ),
    "raspi3",
    ("stalker engine up --yes --platform linux/arm/v7", "stalker run raspi3"),
    "The first run takes a quarter of an hour. The image for the card is `artifacts/raspi3/stage4/image/raspi3.img`;\n"
    "the password of the user pi is in `workspace/raspi3_password`.",
    prepared=(MMDEBSTRAP,),
)
CARD = Template(
    "card",
    "a disk image, and a card image of it with files, a name and a user of its own",
    ("amd64",),
    ("amd64",),
    "amd64 card.yaml",
    ("stalker run amd64", "stalker image create card.yaml kiosk-7.img"),
    "`card.yaml` makes one card image of the disk that the tree publishes. Another machine is another such file.",
    prepared=(MMDEBSTRAP,),
    data=("card/card.yaml",),
    ignored=("/*.img",),
)
GENTOO = Template(
    "gentoo",
    "from a verified stage3 to a system by way of binary packages; a stand-in runs without a stage3",
    ("kantoo",),
    (
        "kantoo_stage3",
        "kantoo_build_binaries",
        "kantoo_build_repo",
        "kantoo_install",
        "kantoo_stage4",
        "kantoo_entropy_repo",
        "kantoo_entropy_install",
        "kantoo_standin",
    ),
    " ".join(
        f"trees/kantoo/{name}.hjson"
        for name in ("kantoo", "kantoo-arm64", "kantoo-raspi3", "kantoo-entropy", "kantoo-standin")
    ),
    ("stalker run trees/kantoo/kantoo-standin.hjson",),
    "The stand-in is a Debian with the real Portage, and a small ebuild repository: all stalks run on it. The other\n"
    "trees start from a stage3: `stalker plan trees/kantoo/kantoo.hjson`. Look at the dates in a tree before its first\n"
    "run: a stage3 is kept for some weeks.",
    prepared=(MMDEBSTRAP,),
    fetched=(FETCH_PORTAGE,),
)

TEMPLATES = {one.name: one for one in (HELLO, DEBIAN_DISK, RASPBERRY_PI, CARD, GENTOO)}

LINKS = {
    "stalks/kantoo_standin/sysroot/usr/bin/eit": "../../../contract.py",
    "stalks/kantoo_standin/sysroot/usr/bin/equo": "../../../contract.py",
    "stalks/kantoo_standin/sysroot/var/db/repos/standin": "../../../../ebuilds",
}
"""The symbolic links among the shipped trees and stalks: a wheel has copies in their places."""
