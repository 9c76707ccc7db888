from dataclasses import replace

import pytest

from stalker.model.base_key import base_key, describe_base, find_base
from stalker.model.diagnostics import Place
from stalker.model.images import Image
from stalker.model.labels import BASE, FINGERPRINT
from stalker.model.tree import BootstrapBase, DiskBase, DockerfileBase, ImageBase, TagBase, TarballBase

HERE, THERE = Place("trees/a.hjson", 3), Place("trees/b.hjson", 9)
SHA, OTHER = "a" * 64, "b" * 64
BASES = [
    DiskBase("a.img", HERE, f"sha256:{SHA}"),
    DiskBase("a.img", HERE, f"sha256:{SHA}", root=2),
    DiskBase("a.img", HERE, "sha256:" + "0" * 64),
    ImageBase("debian:bookworm-slim", HERE),
    ImageBase("debian:bookworm-slim", HERE, digest="sha256:" + SHA),
    TagBase("debian:bookworm-slim", HERE),
    TarballBase("a.tar", HERE, sha256=SHA),
    TarballBase("a.tar", HERE, sha256=OTHER),
    TarballBase("a.tar", HERE, signature="a.sig", fingerprints=("F1",)),
    TarballBase("b.tar", HERE, signature="a.sig", fingerprints=("F1",)),
    TarballBase("a.tar", HERE, signature="b.sig", fingerprints=("F1",)),
    TarballBase("a.tar", HERE, signature="a.sig", fingerprints=("F2",)),
    TarballBase("a.tar", HERE, sha256=SHA, signature="a.sig", fingerprints=("F2",)),
    BootstrapBase("bookworm", HERE),
    BootstrapBase("trixie", HERE),
    BootstrapBase("bookworm", HERE, include=("a", "b")),
    BootstrapBase("bookworm", HERE, include=("a,b",)),
    BootstrapBase("bookworm", HERE, include=("main",)),
    BootstrapBase("bookworm", HERE, components=("main", "contrib")),
    BootstrapBase("bookworm", HERE, variant="essential"),
    BootstrapBase("bookworm", HERE, mirror="http://m/debian"),
    BootstrapBase("bookworm", HERE, architecture="armhf"),
    DockerfileBase("f", HERE, context_digest=SHA),
    DockerfileBase("f", HERE, context_digest=OTHER),
    DockerfileBase("f", HERE, context_digest=SHA, dockerfile="D"),
    DockerfileBase("f", HERE, context_digest=SHA, arguments=(("A", "1"),)),
    DockerfileBase("f", HERE, context_digest=SHA, arguments=(("A1", ""),)),
    DockerfileBase("f", HERE, commit="c" * 40),
    DockerfileBase("f", HERE),
]


def test_different_bases_have_different_keys():
    """Whatever decides the content is in the key."""
    keys = [base_key(base) for base in BASES]

    assert len(set(keys)) == len(BASES)
    assert all(len(key) == 64 for key in keys)


@pytest.mark.parametrize("base", BASES)
def test_the_place_does_not_count(base):
    """Moving a base to another line or file makes nothing again."""
    assert base_key(replace(base, place=THERE)) == base_key(base)


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (TarballBase("a.tar", HERE, sha256=SHA), TarballBase("http://m/b.tar", HERE, sha256=SHA.upper())),
        (BootstrapBase("s", HERE, include=("a", "b")), BootstrapBase("s", HERE, include=("b", "a", "b"))),
        (DiskBase("a.img", HERE, f"sha256:{SHA}"), DiskBase("https://m/b.img", HERE, f"sha256:{SHA}")),
        (DockerfileBase("x", HERE, commit="c" * 40), DockerfileBase("https://m/y", HERE, commit="C" * 40)),
        (
            DockerfileBase("x", HERE, context_digest=SHA, arguments=(("A", "1"), ("B", "2"))),
            DockerfileBase("y", HERE, context_digest=SHA, arguments=(("B", "2"), ("A", "1"))),
        ),
    ],
)
def test_where_the_same_content_comes_from_does_not_count(one, same):
    """Another mirror or another order is not an other base."""
    assert base_key(one) == base_key(same)


def test_a_key_stays_what_it_was():
    """Keys stand in images: changing them makes every base of every user again."""
    assert base_key(BootstrapBase("bookworm", HERE)) == (
        "4f1318f89e925a8b111b5af234a7fa8104b2d77c46529d5f37bba6c507f19567"
    )


def test_a_platform_counts_when_it_is_given():
    """The same Dockerfile for another platform is another image."""
    base = BASES[-1]

    assert len({base_key(base), base_key(base, "linux/arm/v7"), base_key(base, "linux/arm64")}) == 3


@pytest.mark.parametrize(
    ("base", "text"),
    [
        (ImageBase("debian:bookworm-slim", HERE), "image debian:bookworm-slim"),
        (TagBase("debian/amd64/x/stage3:final", HERE), "tag debian/amd64/x/stage3:final"),
        (TarballBase("cache/stage3.tar.xz", HERE), "tarball stage3.tar.xz"),
        (TarballBase("https://me:pw@m/x/stage3.tar.xz?token=pw#x", HERE), "tarball stage3.tar.xz"),
        (TarballBase("https://me:pw@m", HERE), "tarball m"),
        (BootstrapBase("bookworm", HERE), "bootstrap bookworm"),
        (BootstrapBase("bookworm", HERE, architecture="armhf"), "bootstrap bookworm armhf"),
        (DockerfileBase("images/base/", HERE), "dockerfile base"),
        (DockerfileBase("https://me:pw@m/x.git", HERE, commit="c" * 40), "dockerfile x.git@cccccccccccc"),
        (DiskBase("https://me:pw@m/x/pi.img.xz?token=pw", HERE, f"sha256:{SHA}"), "disk pi.img.xz"),
        (DockerfileBase("http://[bad", HERE, commit="c" * 40), "dockerfile [bad@cccccccccccc"),
    ],
)
def test_a_base_is_described_in_few_words(base, text):
    """As the plan and the log name it; credentials never."""
    assert describe_base(base) == text


def test_the_image_of_a_base_is_the_oldest_that_is_no_step():
    """Steps and strangers' images inherit the label of what they grew on."""
    own = Image("sha256:1", labels={BASE: SHA}, created_s=5)
    derived = Image("sha256:2", labels={BASE: SHA}, created_s=6)
    step = Image("sha256:3", labels={BASE: SHA, FINGERPRINT: "x"}, created_s=1)
    other = Image("sha256:4", labels={BASE: OTHER}, created_s=1)

    assert find_base([derived, step, other, own], SHA) == own
    assert find_base([step, other], SHA) is None
