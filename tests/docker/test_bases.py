"""Bases of every kind on a real engine, a real mirror of Debian and a real registry."""

import bz2
import contextlib
import functools
import gzip
import hashlib
import io
import lzma
import os
import subprocess
import tarfile
import uuid

import pytest

from registries import registry_running
from stalker.config.tree.build_context import context_digest
from stalker.errors import EngineError, InputError, NotThere
from stalker.fetch.base.provider import Bases
from stalker.model.base_key import base_key, find_base
from stalker.model.diagnostics import Place
from stalker.model.labels import BASE
from stalker.model.tree import BootstrapBase, DockerfileBase, ImageBase, TagBase, TarballBase

pytestmark = pytest.mark.docker

PLACE = Place("trees/t/t.hjson")
TINY = BootstrapBase("bookworm", PLACE, variant="extract", include=("base-files", "busybox-static", "dash"))

PACKERS = [
    bytes,
    functools.partial(gzip.compress, compresslevel=1),
    functools.partial(bz2.compress, compresslevel=1),
    functools.partial(lzma.compress, preset=0),
]


def quiet(_):
    pass


@pytest.fixture(scope="module")
def names(engine):
    """Give names of images nobody else has; they are removed afterwards."""
    given = []

    def new(tag="initial", host=""):
        given.append(f"{host}stalker-test-bases/{uuid.uuid4().hex[:12]}:{tag}")
        return given[-1]

    yield new
    for name in reversed(given):
        with contextlib.suppress(EngineError):
            engine.untag(name)


@pytest.fixture(scope="module")
def debian(engine, names, tmp_path_factory):
    """A tiny Debian, bootstrapped once."""
    folder = tmp_path_factory.mktemp("debian")
    bases = Bases(engine, folder / "cache", folder, yes=True)
    assert bases.obstacle(TINY) == ""
    return bases.provide(TINY, names(), quiet)


@pytest.fixture(scope="module")
def rootfs(engine, debian):
    """The tiny Debian as tar bytes."""
    return b"".join(engine.export(debian.id))


@pytest.fixture
def bases(engine, tmp_path):
    return Bases(engine, tmp_path / "cache", tmp_path)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry of this host alone, on a free port; yields `127.0.0.1:<port>/`."""
    with registry_running(tmp_path_factory.mktemp("registry")) as address:
        yield f"{address}/"


def listed(engine, image):
    """Return an image's files with their content."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(engine.export(image.id)))) as archive:
        return {
            "/" + info.name.rstrip("/"): archive.extractfile(info).read() if info.isreg() else b""
            for info in archive
        }


def run(image, *command):
    """Run a program as any user of docker would."""
    return subprocess.run(
        ["docker", "run", "--rm", "--network", "none", image.id, *command],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def bases_of_key(engine, base):
    return [one for one in engine.labelled_images() if one.labels.get(BASE) == base_key(base)]


def test_debian_is_bootstrapped_and_runs(debian):
    """A base out of nothing but a mirror: it has a shell, and the plan finds it by its label."""
    assert run(debian, "sh", "-c", "echo hello; busybox cat /etc/debian_version").startswith("hello\n12")
    assert debian.labels[BASE] == base_key(TINY)
    assert debian.comment == f"stalker base {base_key(TINY)}"


def test_a_bootstrapped_debian_knows_nothing_of_this_host(engine, debian):
    """No package lists, no resolver, no name, no identity, no device nodes."""
    files = listed(engine, debian)

    assert not [name for name in files if name.startswith("/var/lib/apt/lists/") and name.count("/") > 5]
    assert not [
        name for name in files if name.startswith("/var/cache/apt/archives/") and name.endswith(".deb")
    ]
    assert files.get("/etc/machine-id", b"") == b""
    # The engine shows empty files of its own at these places.
    assert files.get("/etc/resolv.conf", b"") == b""
    assert files.get("/etc/hostname", b"") == b""


def test_the_plan_finds_a_bootstrapped_base_again(engine, debian, bases, names):
    """Another stalk with the same base costs no second bootstrap."""
    assert find_base(engine.labelled_images(), base_key(TINY)).id == debian.id

    assert bases.provide(TINY, names(), pytest.fail).id == debian.id


def test_a_suite_that_does_not_exist_leaves_nothing(engine, bases, names):
    """The plan says so, and trying anyway is an input error without an image."""
    base = BootstrapBase("bokworm", PLACE, variant="extract", include=("dash",))
    name = names()

    assert "has no suite bokworm" in bases.obstacle(base)
    with pytest.raises(InputError):
        bases.provide(base, name, quiet)

    assert engine.image(name) is None


@pytest.mark.parametrize("pack", PACKERS)
def test_a_tarball_becomes_an_image_whatever_packs_it(rootfs, bases, names, tmp_path, pack):
    """The engine unpacks; this host never does."""
    data = pack(rootfs)
    (tmp_path / "root.tar").write_bytes(data)

    image = bases.provide(TarballBase("root.tar", PLACE, sha256=sha256(data)), names(), quiet)

    assert run(image, "sh", "-c", "echo hello") == "hello\n"


def test_a_tarball_that_is_none_is_refused(engine, bases, names, tmp_path):
    """Five megabytes of noise with the right checksum: an input error, and no image."""
    data = os.urandom(5_000_000)
    (tmp_path / "root.tar").write_bytes(data)
    base, name = TarballBase("root.tar", PLACE, sha256=sha256(data)), names()

    with pytest.raises(InputError, match="not a root file system"):
        bases.provide(base, name, quiet)

    assert engine.image(name) is None
    assert bases_of_key(engine, base) == []


@pytest.mark.parametrize("pack", PACKERS[:2])
def test_half_a_tarball_is_refused(engine, rootfs, bases, names, tmp_path, pack):
    """The publisher's own file is cut: the engine has nothing of it afterwards."""
    data = pack(rootfs)
    data = data[: len(data) // 2]
    (tmp_path / "root.tar").write_bytes(data)
    base, name = TarballBase("root.tar", PLACE, sha256=sha256(data)), names()

    with pytest.raises(InputError):
        bases.provide(base, name, quiet)

    assert engine.image(name) is None
    assert bases_of_key(engine, base) == []


@pytest.mark.parametrize("cut", [10_000, 3_000_000, None])
def test_a_bootstrap_that_dies_leaves_no_image(engine, rootfs, bases, names, tmp_path, monkeypatch, cut):
    """It fails early, in the middle, or after a whole tar: never an image, never a name."""
    (tmp_path / "data").write_bytes(rootfs[:cut])
    (tmp_path / "mmdebstrap").write_text(
        f"#!/bin/sh\ncat {tmp_path}/data\necho 'E: dpkg died' >&2\nexit 25\n"
    )
    (tmp_path / "mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    base, name = BootstrapBase("bookworm", PLACE, include=(uuid.uuid4().hex,)), names()

    with pytest.raises(InputError) as caught:
        bases.provide(base, name, quiet)

    assert caught.value.details == "E: dpkg died"
    assert engine.image(name) is None
    assert bases_of_key(engine, base) == []


def test_a_failed_base_leaves_the_old_image_under_its_name(debian, engine, bases, names, tmp_path):
    """What worked yesterday is not lost today."""
    name = names()
    engine.tag(debian.id, name)
    (tmp_path / "root.tar").write_bytes(b"noise" * 1000)

    with pytest.raises(InputError):
        bases.provide(TarballBase("root.tar", PLACE, sha256=sha256(b"noise" * 1000)), name, quiet)

    assert engine.image(name).id == debian.id


def test_a_dockerfile_is_built(engine, debian, bases, names, tmp_path):
    """Its folder is sent without what it ignores; arguments and the label reach the image."""
    parent = names()
    engine.tag(debian.id, parent)
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {parent}\nARG WHO\nCOPY . /here\nRUN echo $WHO > /who\n")
    (folder / ".dockerignore").write_text("secret\n")
    (folder / "secret").write_text("s")
    (folder / "script").write_text("#!/bin/sh\n")
    (folder / "script").chmod(0o755)
    base = DockerfileBase(
        "image", PLACE, arguments=(("WHO", "me"),), context_digest=context_digest(str(folder), "Dockerfile")
    )

    image = bases.provide(base, names(), quiet)

    assert (
        run(image, "sh", "-c", "busybox cat /who; test -x /here/script; busybox ls /here")
        == "me\nDockerfile\nscript\n"
    )
    assert find_base(engine.labelled_images(), base_key(base)).id == image.id


def test_a_built_base_keeps_its_configuration(engine, debian, bases, names, tmp_path):
    """What the Dockerfile sets is what the image has; ours is a label and nothing else."""
    parent = names()
    engine.tag(debian.id, parent)
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "Dockerfile").write_text(
        f"FROM {parent}\nENV A=1\nWORKDIR /srv\nUSER 7:8\nLABEL who=me\nVOLUME /data\nEXPOSE 80\n"
        'ONBUILD RUN false\nHEALTHCHECK CMD true\nENTRYPOINT ["busybox"]\nCMD ["id", "-u"]\n'
    )
    plain = names()
    subprocess.run(["docker", "build", "-q", "-t", plain, str(folder)], check=True, capture_output=True)
    base = DockerfileBase("image", PLACE, context_digest=context_digest(str(folder), "Dockerfile"))

    image = bases.provide(base, names(), quiet)

    # ArgsEscaped is BuildKit's mark for programs of Windows.
    passing = {"Labels", "Image", "Hostname", "Domainname", "ArgsEscaped"}
    wanted = engine.image(plain).config
    assert {key: value for key, value in image.config.items() if key not in passing} == {
        key: value for key, value in wanted.items() if key not in passing
    }
    assert image.labels["who"] == "me"
    assert image.labels[BASE] == base_key(base)
    assert run(image) == "7\n"


def test_a_dockerfile_at_a_commit_is_built(engine, debian, bases, names, tmp_path):
    """From a repository, at that commit."""
    parent = names()
    engine.tag(debian.id, parent)
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {parent}\nCOPY word /word\n")
    (folder / "word").write_text(uuid.uuid4().hex)
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for argv in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-C", str(folder), *argv], check=True)
    commit = subprocess.check_output(["git", "-C", str(folder), "rev-parse", "HEAD"], text=True).strip()

    image = bases.provide(DockerfileBase(folder.as_uri(), PLACE, commit=commit), names(), quiet)

    assert run(image, "busybox", "cat", "/word") == (folder / "word").read_text()


def test_a_dockerfile_that_fails_gives_no_image(engine, debian, bases, names, tmp_path):
    """A RUN that ends with 3: the engine's words, no name."""
    parent, name = names(), names()
    engine.tag(debian.id, parent)
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {parent}\nRUN exit 3\n")

    with pytest.raises(EngineError) as caught:
        bases.provide(
            DockerfileBase("image", PLACE, context_digest=context_digest(str(folder), "Dockerfile")),
            name,
            quiet,
        )

    assert "3" in caught.value.details
    assert engine.image(name) is None


@pytest.fixture
def published(engine, debian, registry, names):
    """The tiny Debian in the registry and not in the engine: its name and digest."""
    name = names("slim", registry)
    engine.tag(debian.id, name)
    digest = engine.push(name, quiet)
    engine.untag(name)
    yield name, digest
    # An image that was pulled by digest keeps that as a name of its own.
    with contextlib.suppress(EngineError):
        engine.untag(f"{name.rpartition(':')[0]}@{digest}")


def test_an_image_is_pulled_by_its_tag(published, bases, names):
    """From a registry that answers."""
    base = ImageBase(published[0], PLACE)

    assert bases.obstacle(base) == ""
    image = bases.provide(base, names(), quiet)

    assert run(image, "sh", "-c", "echo hello") == "hello\n"


def test_an_image_is_pulled_by_its_digest(published, engine, bases, names, registry):
    """The tag moved to another image meanwhile: the digest decides."""
    name, digest = published
    other = tarfile.TarInfo("other")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(other)
    moved = engine.import_rootfs([buffer.getvalue()], name, {}, "moved")
    engine.push(name, quiet)
    base = ImageBase(name, PLACE, digest=digest)

    assert bases.obstacle(base) == ""
    image = bases.provide(base, names(), quiet)

    assert image.id != moved.id
    assert any(one.endswith(digest) for one in image.digests)


def test_a_digest_that_nobody_has_is_an_obstacle(published, bases, names):
    """The plan says it; trying anyway is an error of its own kind."""
    base = ImageBase(published[0], PLACE, digest="sha256:" + "0" * 64)

    assert "no registry has" in bases.obstacle(base)
    with pytest.raises(NotThere):
        bases.provide(base, names(), quiet)


def test_a_tag_that_nobody_has_is_an_obstacle(bases, registry):
    """The registry answers, and has no such image."""
    answer = bases.obstacle(ImageBase(f"{registry}gone:1", PLACE))

    assert "no registry has" in answer or "does not give it" in answer


def test_a_registry_that_is_not_there_is_an_obstacle(bases):
    """Nobody listens at the address."""
    assert "does not give it" in bases.obstacle(ImageBase("127.0.0.1:1/x:1", PLACE))


def test_an_image_that_is_there_needs_no_registry(engine, debian, bases, names):
    """A name in the engine serves; so does a tag base."""
    name = names()
    engine.tag(debian.id, name)

    assert bases.obstacle(ImageBase(name, PLACE)) == bases.obstacle(TagBase(name, PLACE)) == ""
    assert bases.provide(ImageBase(name, PLACE), names(), pytest.fail).id == debian.id
    assert bases.provide(TagBase(name, PLACE), names(), pytest.fail).id == debian.id


def test_nothing_is_left_of_passing_names(engine, debian):
    """No `:passing-...` tag stands in the engine."""
    tags = [
        tag
        for image in engine.labelled_images()
        for tag in image.tags
        if tag.startswith("stalker-test-bases/")
    ]

    assert tags
    assert not [tag for tag in tags if ":passing-" in tag]
