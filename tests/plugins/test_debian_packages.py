"""debian.build_package, debian.repository and apt.repository: from source to an installed package."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import pytest

pytestmark = pytest.mark.docker

BUILDER = "stalker-test/debian-builder"
TOOLS = ["dpkg-dev", "gcc", "libc6-dev", "make", "ccache", "apt-utils", "gpg", "gpg-agent"]
SOURCE = Path(__file__).resolve().parents[2] / "stalks/package_boardinfo/source"
BUILT, OTHER, REPO = "b" * 64, "c" * 64, "d" * 64


@pytest.fixture(scope="module")
def store():
    """A volume for what goes from one container to the next."""
    name = f"stalker-test-{uuid.uuid4().hex[:8]}"
    yield name
    subprocess.run(["docker", "volume", "rm", "--force", name], capture_output=True, check=True)


@pytest.fixture
def builder(derived, store):
    """A Debian with a compiler, without network, the source of boardinfo and the store in it."""

    def start_builder(*options, fingerprint=BUILT, needs=""):
        mounts = (f"--volume={SOURCE}:/usr/src/boardinfo:ro", f"--volume={store}:/exchange")
        machine = derived(BUILDER, TOOLS, "--network=none", *mounts, *options)
        machine.environment = {"STALKER_FINGERPRINT": fingerprint, "STALKER_NEEDS": needs}
        return machine

    return start_builder


@pytest.fixture
def built(builder):
    """boardinfo, built."""
    machine = builder()
    ran = machine.use("debian.build_package", source="/usr/src/boardinfo")
    assert ran.code == 0, ran.output
    return machine


@pytest.fixture
def published(built, builder):
    """A repository with boardinfo in it."""
    machine = builder(fingerprint=REPO, needs=f"boardinfo:build {BUILT}")
    machine.read("mkdir /keys")
    ran = machine.use("debian.repository", origin="Test Kitchen")
    assert ran.code == 0, ran.output
    return machine


def test_a_package_of_our_own_is_built_and_handed_on_by_fingerprint(built):
    """The folder holds it and nothing else; nothing of the build is left."""
    assert built.read(f"ls /exchange/{BUILT}") == "boardinfo_1.0_amd64.deb"
    fields = built.read(f"dpkg-deb --field /exchange/{BUILT}/*.deb Package Depends")
    assert fields.startswith("Package: boardinfo\nDepends: libc6 (")
    assert built.sh("test -e /tmp/build").code == 1


def test_a_second_build_gives_the_same_bytes(built):
    """Where it is built, when, and by how many does not show."""
    first = built.read(f"sha256sum /exchange/{BUILT}/*.deb")
    built.read("date >/tmp/other")

    again = built.use("debian.build_package", source="/usr/src/boardinfo")

    assert again.code == 0, again.output
    assert built.read(f"sha256sum /exchange/{BUILT}/*.deb") == first


def test_the_compiler_runs_once_for_one_source(builder):
    """The second time it is in the cache."""
    machine = builder(fingerprint=OTHER)

    for _ in range(2):
        ran = machine.use("debian.build_package", source="/usr/src/boardinfo", ccache="/var/cache/ccache")
        assert ran.code == 0, ran.output

    stats = machine.read("CCACHE_DIR=/var/cache/ccache ccache --print-stats").split()
    counted = dict(zip(stats[::2], map(int, stats[1::2]), strict=True))
    assert counted["cache_miss"] == 1
    assert counted["direct_cache_hit"] + counted["preprocessed_cache_hit"] == 1


def test_a_source_package_is_fetched_once_and_verified(builder):
    """A .dsc beside its files, here in a folder; a second time they are there."""
    machine = builder(fingerprint=OTHER)
    machine.read(
        "mkdir /pool; cp -R /usr/src/boardinfo /pool/boardinfo-1.0; cd /pool;"
        " dpkg-source --build boardinfo-1.0; rm -r boardinfo-1.0"
    )
    sha256 = machine.read("sha256sum /pool/boardinfo_1.0.dsc").split()[0]
    arguments = {"dsc": "file:///pool/boardinfo_1.0.dsc", "sha256": sha256, "version_suffix": "+ours1"}

    first = machine.use("debian.build_package", **arguments)
    machine.read("rm -r /pool")
    second = machine.use("debian.build_package", **arguments)

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert machine.read(f"ls /exchange/{OTHER}") == "boardinfo_1.0+ours1_amd64.deb"


@pytest.mark.parametrize("file", ["boardinfo_1.0.dsc", "boardinfo_1.0.tar.xz"])
def test_a_file_that_is_another_one_is_not_built(builder, file):
    """It is reported with both checksums, and not kept."""
    machine = builder(fingerprint=OTHER)
    machine.read(
        "mkdir /pool; cp -R /usr/src/boardinfo /pool/boardinfo-1.0; cd /pool;"
        " dpkg-source --build boardinfo-1.0; rm -r boardinfo-1.0"
    )
    sha256 = machine.read("sha256sum /pool/boardinfo_1.0.dsc").split()[0]
    machine.read(f"echo >>/pool/{file}")

    ran = machine.use("debian.build_package", dsc="file:///pool/boardinfo_1.0.dsc", sha256=sha256)

    assert ran.code == 1
    assert f"{file} is not the file that was asked for" in ran.output
    assert machine.read(f"find /var/cache/distfiles -name '*{file}*'") == ""


def test_what_it_is_built_with_has_to_be_there(builder):
    """The missing package is named, before anything is compiled."""
    machine = builder(fingerprint=OTHER)
    machine.read(
        "cp -R /usr/src/boardinfo /src; sed -i 's/^Build-Depends: /&libnothing-dev, /' /src/debian/control"
    )

    ran = machine.use("debian.build_package", source="/src")

    assert ran.code == 1
    assert "libnothing-dev" in ran.output
    assert "gcc" not in ran.output


def test_a_build_that_fails_hands_nothing_on(builder):
    """What an earlier build of this state had put there stays."""
    machine = builder(fingerprint=OTHER)
    machine.read(f"rm -rf /exchange/{OTHER}; mkdir /exchange/{OTHER}; touch /exchange/{OTHER}/before")
    machine.read("cp -R /usr/src/boardinfo /src; echo oops >>/src/boardinfo.c")

    ran = machine.use("debian.build_package", source="/src")

    assert ran.code == 1
    assert "the build failed" in ran.output
    assert machine.read(f"ls -A /exchange/{OTHER}") == "before"


def test_a_signed_repository_is_made_and_handed_on(published):
    """What apt verifies with finds it right; the key that was made is kept for the next time, for root alone."""
    published.read("gpg --dearmor </srv/repo/archive-key.asc >/tmp/key.gpg")
    published.read("gpgv --quiet --keyring /tmp/key.gpg /srv/repo/dists/stable/InRelease")
    assert published.read("grep -c ^Package: /srv/repo/dists/stable/main/binary-amd64/Packages") == "1"
    assert published.read("sed -n 's/^Origin: //p' /srv/repo/dists/stable/Release") == "Test Kitchen"
    assert published.read("stat -c %a /keys/signing-key.asc") == "600"
    assert published.read(f"diff -r /srv/repo /exchange/{REPO} && echo same") == "same"
    assert published.read("grep -r -s -l 'BEGIN PGP PRIVATE' /srv /root /tmp /var /exchange || true") == ""
    assert published.read("ls /dev/shm") == ""


def test_the_key_that_was_made_signs_again(published):
    """Whoever knows the repository goes on to trust it."""
    before = published.read("cat /srv/repo/archive-key.asc")

    ran = published.use("debian.repository", origin="Test Kitchen")

    assert ran.code == 0, ran.output
    assert published.read("cat /srv/repo/archive-key.asc") == before


def test_a_key_of_ones_own_signs(built, builder):
    """It is in no file of the image afterwards."""
    machine = builder(fingerprint=REPO, needs=f"boardinfo:build {BUILT}")
    make = "gpg --quiet --batch --passphrase '' --quick-generate-key mine@example.org ed25519 sign never 2>/dev/null"
    key = machine.read(
        f"export GNUPGHOME=$(mktemp -d); {make}; gpg --armor --export-secret-keys; rm -r $GNUPGHOME"
    )

    ran = machine.use("debian.repository", origin="Test", signing_key=key)

    assert ran.code == 0, ran.output
    assert "PRIVATE" not in ran.output
    assert (
        machine.read("gpg --show-keys /srv/repo/archive-key.asc 2>/dev/null | grep -c mine@example.org")
        == "1"
    )


def test_what_was_not_built_in_this_state_is_not_taken(built, builder):
    """An older build lies in the store; the one that is needed does not."""
    machine = builder(fingerprint=REPO, needs=f"boardinfo:build {'e' * 64}")

    ran = machine.use("debian.repository", origin="Test")

    assert ran.code == 1
    assert "what boardinfo:build has built is not in the store" in ran.output
    assert "--from boardinfo:build" in ran.output


def test_a_stalk_that_needs_nobody_has_no_repository(builder):
    """The remedy is in the tree."""
    ran = builder().use("debian.repository", origin="Test")

    assert ran.code == 1
    assert "needs: [" in ran.output


@pytest.fixture
def client(debian, start, store):
    """A Debian without network, that may read the store."""

    def start_client(needs):
        machine = start(debian, "--network=none", f"--volume={store}:/exchange:ro")
        machine.environment = {"STALKER_FINGERPRINT": "f" * 64, "STALKER_NEEDS": needs}
        return machine

    return start_client


def test_what_is_named_comes_from_the_repository_and_runs(published, client):
    """Once it is no longer known to apt nothing of it is left but the package."""
    machine = client(f"build_repo:publish {REPO}")
    machine.read("rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*")

    known = machine.use("apt.repository", name="ours", from_need="build_repo", only=["boardinfo"])
    installed = machine.use("apt.install", packages=["boardinfo"], update=False, clean=False)
    gone = machine.use("apt.repository", name="ours", state="absent")

    assert (known.code, installed.code, gone.code) == (0, 0, 0), known.output + installed.output + gone.output
    assert "cores" in machine.read("boardinfo")
    assert (
        machine.read(
            "find /etc/apt /var/lib/apt/lists -name '*ours*' -o -name '*exchange*' -o -name keyrings"
        )
        == ""
    )


def test_what_is_not_named_does_not_come_from_it(published, client):
    """The repository has it, and apt does not take it."""
    machine = client(f"build_repo:publish {REPO}")
    machine.use("apt.repository", name="ours", from_need="build_repo", only=["something-else"])

    ran = machine.use("apt.install", packages=["boardinfo"], update=False)

    assert ran.code == 1
    assert "boardinfo" in ran.output
    assert machine.sh("command -v boardinfo").code != 0


def test_a_repository_of_another_state_is_not_taken(published, client):
    """What lies in the store is not what this tree needs."""
    ran = client(f"build_repo:publish {'e' * 64}").use("apt.repository", name="ours", from_need="build_repo")

    assert ran.code == 1
    assert "is no longer in the store" in ran.output
    assert "--from build_repo" in ran.output


def test_a_repository_that_was_tampered_with_is_refused(published, builder, client):
    """Its own key did not sign that."""
    builder().read(
        f"echo >>/exchange/{REPO}/dists/stable/InRelease; sed -i s/Kitchen/Kitch3n/ /exchange/{REPO}/dists/stable/InRelease"
    )

    ran = client(f"build_repo:publish {REPO}").use("apt.repository", name="ours", from_need="build_repo")

    assert ran.code == 1
    assert "could not be fetched" in ran.output


REFUSED = [
    ({"name": "ours"}, "neither is given"),
    ({"name": "ours", "uri": "file:///srv", "from_need": "x"}, "both are given"),
    ({"name": "ours", "uri": "file:///srv"}, "nothing verifies"),
    ({"name": "ours", "uri": "file:///srv", "key": "/nowhere"}, "no file /nowhere"),
    ({"name": "ours", "from_need": "build_repo"}, "does not need 'build_repo'"),
    ({"name": "Ours!", "uri": "file:///srv", "key": "/k"}, "not a name for files"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[row[1] for row in REFUSED])
def test_bad_arguments_of_a_repository_are_refused(client, arguments, message):
    """Nothing changes."""
    machine = client("")
    listing = machine.listing()

    ran = machine.use("apt.repository", **arguments)

    assert ran.code == 1
    assert message in ran.output
    assert machine.listing() == listing


def test_a_need_by_two_steps_has_to_be_named_whole(client):
    """stalk:step says which."""
    ran = client(f"a:x {REPO}\na:y {BUILT}").use("apt.repository", name="ours", from_need="a")

    assert ran.code == 1
    assert "more than one of the steps" in ran.output
