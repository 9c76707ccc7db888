from __future__ import annotations

import hashlib

import pytest

from stalker.model.base_key import base_key
from stalker.model.tree import BootstrapBase, DockerfileBase, ImageBase, TagBase, TarballBase

SUM = "a" * 64
KEY = "0123 4567 89AB CDEF 0123 4567 89AB CDEF 0123 4567"
FULL = KEY.replace(" ", "")
STAGE3 = "DIST: http://build.example.org/1.3\n STAGE3_ARCHIVE: stage3-latest.tar.xz\n base: %s"


def fields(base):
    return {name: getattr(base, name) for name in base.__slots__ if name != "place" and getattr(base, name)}


GOOD = {
    "text": ("base: 'debian:bookworm-slim'", ImageBase, {"name": "debian:bookworm-slim"}),
    "image": ("base: { image: 'debian' }", ImageBase, {"name": "debian"}),
    "image by digest": (
        f"base: {{ image: 'a/b:c@sha256:{SUM}' }}",
        ImageBase,
        {"name": "a/b:c", "digest": f"sha256:{SUM}"},
    ),
    "image and digest": (
        f"base: {{ image: 'a', digest: 'sha256:{SUM}' }}",
        ImageBase,
        {"name": "a", "digest": f"sha256:{SUM}"},
    ),
    "tag": ("base: { tag: 'a/b/c:d' }", TagBase, {"name": "a/b/c:d"}),
    "tarball by checksum": (
        f"base: {{ tarball: 'roots/x.tar', sha256: '{SUM.upper()}' }}",
        TarballBase,
        {"source": "roots/x.tar", "sha256": SUM},
    ),
    "tarball by signature": (
        f"base: {{ tarball: 'https://x.org/x.tar', signature: 'https://x.org/x.sig', key: 'k.asc', fingerprints: '{KEY}' }}",
        TarballBase,
        {
            "source": "https://x.org/x.tar",
            "signature": "https://x.org/x.sig",
            "keys": ("k.asc",),
            "fingerprints": (FULL,),
        },
    ),
    "stage3": (
        STAGE3 % f"{{ stage3: {{ fingerprints: ['{KEY}'], keys: ['k.asc'] }} }}",
        TarballBase,
        {
            "source": "http://build.example.org/1.3/arm-32bit/raspi3/stage3-latest.tar.xz",
            "signature": "http://build.example.org/1.3/arm-32bit/raspi3/stage3-latest.tar.xz.gpg",
            "keys": ("k.asc",),
            "fingerprints": (FULL,),
        },
    ),
    "stage3 by checksum": (
        STAGE3 % f"{{ stage3: true, sha256: '{SUM}' }}",
        TarballBase,
        {"source": "http://build.example.org/1.3/arm-32bit/raspi3/stage3-latest.tar.xz", "sha256": SUM},
    ),
    "bootstrap": (
        "base: { bootstrap: { suite: 'bookworm', include: ['python3-minimal'], mirror: 'http://deb.debian.org/debian' } }",
        BootstrapBase,
        {
            "suite": "bookworm",
            "include": ("python3-minimal",),
            "variant": "minbase",
            "mirror": "http://deb.debian.org/debian",
            "components": ("main",),
        },
    ),
    "dockerfile by git": (
        f"base: {{ dockerfile: 'https://x.org/x.git', commit: '{'b' * 40}', file: 'D', args: {{ A: 1 }} }}",
        DockerfileBase,
        {"context": "https://x.org/x.git", "commit": "b" * 40, "dockerfile": "D", "arguments": (("A", "1"),)},
    ),
}


@pytest.mark.parametrize(("node", "kind", "expected"), GOOD.values(), ids=GOOD.keys())
def test_a_base_is_read_with_what_verifies_it(space, node, kind, expected):
    """All kinds of bases, each with its checksum, signature, digest or commit."""
    space.write("k.asc", "key")
    space.tree(node)

    (base,) = space.read().stalks[0].bases

    assert isinstance(base, kind)
    assert fields(base) == expected


BAD = {
    "base: { imge: 'x' }": ["unknown key 'imge'\n  did you mean 'image'?"],
    "base: {}": ["a base is one of"],
    "base: []": ["the list of bases is empty"],
    "base: { image: 'a', tag: 'b' }": ["not image and tag"],
    "base: { image: 'a', sha256: 'b' }": ["'sha256' does not go with image"],
    "base: { image: 'Debian' }": ["it has capital letters"],
    "base: { image: 'a', digest: 'sha256:1' }": ["'sha256:1' is not a digest"],
    "base: 5": ["must be text or a mapping, is a number"],
    "base: { tarball: 'x.tar' }": ["nothing verifies this tarball\n  add sha256, or signature and key"],
    "base: { tarball: 'http://x/x.tar' }": ["nothing verifies this tarball"],
    f"base: {{ tarball: 'ftp://x/x.tar', sha256: '{SUM}' }}": ["ftp addresses are not fetched"],
    "base: { tarball: 'x', sha256: '12' }": ["'12' is not a SHA-256"],
    f"base: {{ tarball: '../x', sha256: '{SUM}' }}": ["'../x' leaves the workspace"],
    "base: { tarball: 'x', signature: 'x.sig' }": ["a signature is verified with a key, which is missing"],
    "base: { tarball: 'x', signature: 'x.sig', key: 'none' }": ["there is no none"],
    "base: { stage3: true }": [
        "a stage3 comes from DIST, ARCH, SUBARCH, STAGE3_ARCHIVE; nobody set DIST, STAGE3_ARCHIVE"
    ],
    STAGE3 % "{ stage3: true }": ["nothing says whose signature of the stage3 to trust"],
    STAGE3 % "{ stage3: { fingerprints: ['89ABCDEF'], keys: ['k.asc'] } }": [
        "a short key id, which anybody can forge"
    ],
    STAGE3 % "{ stage3: { fingerprints: ['xyz'], keys: ['k.asc'] } }": ["'xyz' is not a fingerprint"],
    "DIST: 1.3-release-std\n STAGE3_ARCHIVE: x\n base: { stage3: true }": [
        "DIST is '1.3-release-std', which is not an http or https URL"
    ],
    "base: { disk: {} }": ["the key 'image' is missing"],
    "base: { disk: { image: 'http://x/x.img' } }": [
        "nothing verifies this image\n  add checksum: sha256:DIGITS"
    ],
    f"base: {{ disk: {{ image: 'ftp://x/x.img', checksum: '{SUM}' }} }}": ["ftp addresses are not fetched"],
    "base: { disk: { image: 'x.img', checksum: 'md5:12' } }": ["'md5' is not a checksum that is known here"],
    "base: { disk: { image: 'x.img', checksum: 'sha512:12' } }": ["'12' is not a sha512: it has 128 digits"],
    "base: { disk: { image: 'stalks' } }": ["stalks is not a file"],
    "base: { disk: { image: 'x.img', root: 0 } }": ["root"],
    "base: { bootstrap: {} }": ["the key 'suite' is missing"],
    "base: { bootstrap: { suite: 'Book worm' } }": ["'Book worm' is not a valid suite's name"],
    "base: { bootstrap: { suite: 'x', include: ['a b'] } }": ["'a b' is not a valid package's name"],
    "base: { bootstrap: { suite: 'x', variant: 'tiny' } }": ["'tiny' is not possible here"],
    "base: { dockerfile: 'https://x.org/x.git' }": ["a git address needs the full commit"],
    "base: { dockerfile: 'https://x.org/x.git', commit: 'main' }": ["a git address needs the full commit"],
    "base: { dockerfile: 'none' }": ["there is no none"],
    "base: { dockerfile: 'stalks' }": ["there is no Dockerfile in stalks"],
    "base: { dockerfile: 'k.asc' }": ["k.asc is not a folder"],
}


@pytest.mark.parametrize("node", BAD)
def test_a_base_that_cannot_be_trusted_or_had_is_refused(space, node):
    """Nothing unverified, no short key ids, no moving branches."""
    space.write("k.asc", "key")
    space.tree(node)

    problems = space.problems()

    assert len(problems) == len(BAD[node]), problems
    assert all(said in problem for said, problem in zip(BAD[node], problems, strict=True)), problems


def test_several_bases_are_tried_in_order(space):
    """The list keeps its order, texts and mappings mixed."""
    space.tree("base: ['debian:12', { bootstrap: { suite: 'bookworm' } }, { tag: 'x:y' }]")

    assert [type(base) for base in space.read().stalks[0].bases] == [ImageBase, BootstrapBase, TagBase]


def test_a_dockerfile_counts_by_the_content_of_its_folder(space):
    """Any change in the folder is another base."""
    space.write("image/Dockerfile", "FROM scratch")
    space.tree("base: { dockerfile: 'image' }")
    before = space.read().stalks[0].bases[0]

    space.write("image/x", "1")

    after = space.read().stalks[0].bases[0]
    assert (before.context, before.commit) == ("image", "")
    assert before.context_digest != after.context_digest


@pytest.mark.parametrize(
    ("branch", "expected"),
    [
        ("1.1.0-alpha-x", ["1.1.0-alpha-x", "1.1.0-alpha", "1.1.0", "1.1", "1", "master"]),
        ("feature/foo", ["feature-foo", "feature", "master"]),
        ("master", ["master"]),
    ],
)
def test_the_nearest_tag_is_the_longest_that_the_branch_begins_with(space, branch, expected):
    """Tags end at a - or a .: `1` does not serve `10.0`; the fallback comes last."""
    space.tree(
        f"BRANCH: '{branch}'\n base: {{ tag: 'o/initramfs:{{BRANCH}}', nearest: true, fallback: 'master' }}"
    )

    assert [base.name for base in space.read().stalks[0].bases] == [f"o/initramfs:{tag}" for tag in expected]


def test_nearest_goes_with_a_tag(space):
    space.tree("base: { image: 'a', nearest: true }")

    (problem,) = space.problems()
    assert "'nearest' does not go with image" in problem


def test_a_disk_image_counts_by_its_content(space):
    """Another content is another base, another name is not; one that is missing is found by the plan."""
    space.write("a.img", "one")
    space.write("b.img", "one")
    space.write("c.img", "two")
    found = {}
    for name in ("a", "b", "c", "none"):
        space.tree(f"ORIGINAL: {name}.img\n base: {{ disk: {{ image: '{{ORIGINAL}}', root: 2 }} }}")
        [found[name]] = space.read().stalks[0].bases

    assert (found["a"].source, found["a"].root) == ("a.img", 2)
    assert found["a"].checksum == f"sha256:{hashlib.sha256(b'one').hexdigest()}"
    assert base_key(found["a"]) == base_key(found["b"]) != base_key(found["c"])
    assert found["none"].checksum == ""


def test_a_disk_image_of_a_server_counts_by_its_checksum(space):
    """Whatever server it is from."""
    found = []
    for host in ("one", "two"):
        space.tree(
            f"base: {{ disk: {{ image: 'https://{host}/x.img.xz', checksum: 'SHA-256:{SUM.upper()}' }} }}"
        )
        found += space.read().stalks[0].bases

    assert [one.checksum for one in found] == [f"sha256:{SUM}"] * 2
    assert base_key(found[0]) == base_key(found[1])
