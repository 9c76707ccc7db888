import hashlib
import threading
from dataclasses import replace

import pytest

import stalker
from stalker.config.tree.build_context import context_digest
from stalker.errors import EngineError, EngineFull, InputError, NoEngine, NotThere
from stalker.fetch.base import provider as module
from stalker.fetch.base.provider import Bases
from stalker.model.base_key import base_key
from stalker.model.diagnostics import Place
from stalker.model.images import Image
from stalker.model.labels import BASE, BASE_IMAGES, VERSION
from stalker.model.tree import BootstrapBase, DockerfileBase, ImageBase, TagBase, TarballBase
from unit.helpers.server import serving
from unit.helpers.standin import Keeper, rootfs

PLACE = Place("trees/t/t.hjson")
NAME = "debian/amd64/pc/stage3:initial"
DIGEST = "sha256:" + "d" * 64
TAR = rootfs(etc=b"x")
LOCAL = TarballBase("root.tar", PLACE, sha256=hashlib.sha256(TAR).hexdigest())


def quiet(_):
    pass


def image(name, number=7, **more):
    return Image(f"sha256:{number:064d}", (name,), **more)


@pytest.fixture
def bases(tmp_path):
    (tmp_path / "root.tar").write_bytes(TAR)

    def make(engine, **more):
        return Bases(engine, tmp_path / "cache", tmp_path, **more)

    return make


def test_a_tarball_gets_into_the_engine_under_its_labels(bases):
    """Imported, labelled with its key, tagged; the passing name is gone."""
    engine = Keeper()

    made = bases(engine).provide(LOCAL, NAME, quiet)

    assert engine.streams == [TAR]
    assert made.labels == {BASE: base_key(LOCAL), VERSION: stalker.__version__}
    assert made.comment == f"stalker base {base_key(LOCAL)}"
    assert set(engine.names) == {NAME}


def test_a_base_that_was_made_before_is_taken(bases):
    """A second stalk with the same base costs one tag."""
    engine = Keeper()
    first = bases(engine).provide(LOCAL, NAME, quiet)

    second = bases(engine).provide(LOCAL, "other:initial", quiet)

    assert second.id == first.id
    assert len(engine.streams) == 1
    assert set(engine.names) == {NAME, "other:initial"}


def test_two_stalks_at_once_make_one_base(bases):
    """Eight threads, one import."""
    engine = Keeper()
    threads = [
        threading.Thread(target=bases(engine).provide, args=(LOCAL, f"s{number}:initial", quiet))
        for number in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(engine.streams) == 1
    assert set(engine.names) == {f"s{number}:initial" for number in range(8)}


def test_another_platform_is_another_image(bases):
    """What was made for one platform does not serve another."""
    engine = Keeper()

    bases(engine).provide(LOCAL, "a:initial", quiet)
    bases(engine, platform="linux/arm/v7").provide(LOCAL, "b:initial", quiet)

    assert len(engine.streams) == 2


def test_a_bad_tarball_never_reaches_the_engine(bases, tmp_path):
    """Verified before the first byte is sent; the name stays with what it had."""
    engine = Keeper(image(NAME))
    (tmp_path / "root.tar").write_bytes(TAR + b"x")

    with pytest.raises(InputError):
        bases(engine).provide(LOCAL, NAME, quiet)

    assert engine.streams == []
    assert engine.names[NAME] == image(NAME)


@pytest.mark.parametrize("swallows", [False, True])
def test_a_bootstrap_that_fails_at_its_end_leaves_no_image(bases, monkeypatch, tmp_path, swallows):
    """Even an engine that took the truncated stream for whole has no image of it afterwards."""
    engine = Keeper(image(NAME))
    engine.swallows_errors = swallows
    (tmp_path / "mmdebstrap").write_text(
        "#!/bin/sh\nhead -c 2000000 /dev/zero\necho E: disk full >&2\nexit 1\n"
    )
    (tmp_path / "mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    with pytest.raises(InputError) as caught:
        bases(engine).provide(BootstrapBase("bookworm", PLACE, mirror="http://m/debian"), NAME, quiet)

    assert caught.value.details == "E: disk full"
    assert engine.names == {NAME: image(NAME)}


def test_a_program_that_gives_nothing_asks_nothing_of_the_engine(bases, monkeypatch, tmp_path):
    """No bytes, no import."""
    engine = Keeper()
    (tmp_path / "mmdebstrap").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    with pytest.raises(InputError, match="is empty"):
        bases(engine).provide(BootstrapBase("bookworm", PLACE, mirror="http://m/debian"), NAME, quiet)

    assert engine.streams == []


def test_an_engine_that_hangs_up_on_a_stream_refuses_it(bases):
    """It still answers: so the tarball was bad, not the engine."""
    engine = Keeper()
    engine.is_hanging_up = True

    with pytest.raises(InputError, match="not a root file system"):
        bases(engine).provide(LOCAL, NAME, quiet)


def test_a_full_engine_is_no_bad_tarball(bases):
    """No room is reported as no room."""

    class Full(Keeper):
        def import_rootfs(self, *_):
            raise EngineFull("could not import: the engine's disk is full")

    with pytest.raises(EngineFull):
        bases(Full()).provide(LOCAL, NAME, quiet)


def test_an_engine_that_went_away_is_no_bad_tarball(bases):
    """It answers no more."""
    engine = Keeper()
    engine.is_down = True

    with pytest.raises(NoEngine):
        bases(engine).provide(LOCAL, NAME, quiet)


@pytest.mark.parametrize(
    ("answers", "installs"),
    [({}, False), ({"ask": lambda _: False}, False), ({"ask": lambda _: True}, True), ({"yes": True}, True)],
)
def test_mmdebstrap_is_installed_after_a_yes_only(bases, monkeypatch, answers, installs):
    """Nobody asked or a no: an error that names the command."""
    installed = []
    monkeypatch.setattr(module, "tool_for", lambda _: "")
    monkeypatch.setattr(module, "install_tool", lambda progress: installed.append(1))
    monkeypatch.setattr("stalker.fetch.base.bootstrap.tool_for", lambda _: "")

    with pytest.raises(InputError) as caught:
        bases(Keeper(), **answers).provide(BootstrapBase("bookworm", PLACE), NAME, quiet)

    assert bool(installed) is installs
    assert "apt-get install -y --no-install-recommends mmdebstrap" in caught.value.resolution


def test_a_dockerfile_is_built_from_its_folder(bases, tmp_path):
    """Context, file, arguments, labels and platform reach the engine."""
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "Dockerfile").write_text("FROM scratch\n")
    digest = context_digest(str(tmp_path / "image"), "Dockerfile")
    base = DockerfileBase("image", PLACE, arguments=(("A", "1"),), context_digest=digest)
    engine = Keeper()

    made = bases(engine, platform="linux/arm64").provide(base, NAME, quiet)

    assert engine.built == [{"dockerfile": "Dockerfile", "arguments": {"A": "1"}, "platform": "linux/arm64"}]
    assert made.labels[BASE] == base_key(base, "linux/arm64")
    assert set(engine.names) == {NAME}
    assert engine.containers == {}


def test_a_dockerfile_on_a_step_of_ours_is_no_step(bases, tmp_path):
    """Labels of ours that come from below are not this image's; others' are kept."""
    (tmp_path / "image").mkdir()
    (tmp_path / "image/Dockerfile").write_text("FROM x\n")
    engine = Keeper()
    engine.inherits = {"io.stalker.fingerprint": "f", "io.stalker.base": "other", "maintainer": "me"}
    base = DockerfileBase(
        "image", PLACE, context_digest=context_digest(str(tmp_path / "image"), "Dockerfile")
    )

    made = bases(engine).provide(base, NAME, quiet)

    assert made.labels == {
        "maintainer": "me",
        BASE: base_key(base),
        BASE_IMAGES: '{"x": ""}',
        VERSION: stalker.__version__,
    }


def test_a_directory_that_changed_since_the_tree_was_read_makes_no_base(bases, tmp_path):
    """What was sent would have the digest of what was there before."""
    (tmp_path / "image").mkdir()
    (tmp_path / "image/Dockerfile").write_text("FROM x\n")
    base = DockerfileBase(
        "image", PLACE, context_digest=context_digest(str(tmp_path / "image"), "Dockerfile")
    )
    (tmp_path / "image/Dockerfile").write_text("FROM y\n")
    engine = Keeper()

    with pytest.raises(InputError, match="changed while the run went on"):
        bases(engine).provide(base, NAME, quiet)

    assert engine.names == {}


def test_a_base_of_a_dockerfile_is_made_again_when_its_from_moved(bases, tmp_path):
    """The name in FROM means another image now; and the old base serves when it is moved back."""
    (tmp_path / "image").mkdir()
    (tmp_path / "image/Dockerfile").write_text("FROM x:1\n")
    base = DockerfileBase(
        "image", PLACE, context_digest=context_digest(str(tmp_path / "image"), "Dockerfile")
    )
    old, new = (replace(image("x:1"), id=digest, diff_ids=(digest,)) for digest in ("sha256:1", "sha256:2"))
    engine = Keeper(old)
    first = bases(engine).provide(base, NAME, quiet)

    again = bases(engine).provide(base, NAME, quiet)
    engine.names["x:1"] = new
    moved = bases(engine).provide(base, "other:initial", quiet)
    engine.names["x:1"] = old
    back = bases(engine).provide(base, "third:initial", quiet)

    assert (again.id, back.id) == (first.id, first.id)
    assert moved.id != first.id
    assert len(engine.built) == 2


def test_a_missing_dockerfile_is_an_input_error(bases):
    """Said without asking the engine."""
    with pytest.raises(InputError, match="there is no folder"):
        bases(Keeper()).provide(DockerfileBase("gone", PLACE), NAME, quiet)


def test_an_image_that_is_there_is_not_pulled(bases):
    """A name in the engine serves without a registry."""
    engine = Keeper(image("debian:slim"))

    made = bases(engine).provide(ImageBase("debian:slim", PLACE), NAME, quiet)

    assert engine.pulled == []
    assert made == engine.names[NAME] == image("debian:slim")


def test_an_image_that_is_not_there_is_pulled_and_tagged(bases):
    """By name, for the platform."""
    engine = Keeper(registry={"debian:slim": image("debian:slim", digests=(f"debian@{DIGEST}",))})

    bases(engine, platform="linux/arm/v7").provide(ImageBase("debian:slim", PLACE), NAME, quiet)

    assert engine.pulled == [("debian:slim", "linux/arm/v7")]
    assert NAME in engine.names


@pytest.mark.parametrize("name", ["reg:5000/debian:slim", "reg:5000/debian"])
def test_a_pinned_image_is_pulled_by_its_digest(bases, name):
    """The tag may have moved: the digest decides, though an image of that name is there."""
    pinned = f"reg:5000/debian@{DIGEST}"
    engine = Keeper(image(name), registry={pinned: image(pinned, 8, digests=(pinned,))})

    made = bases(engine).provide(ImageBase(name, PLACE, digest=DIGEST), NAME, quiet)

    assert made.digests == (pinned,)
    assert engine.pulled == [(pinned, "")]


def test_a_pull_of_another_digest_is_refused(bases):
    """A registry that sends something else."""
    pinned = f"debian@{DIGEST}"
    engine = Keeper(registry={pinned: image(pinned, digests=("debian@sha256:" + "e" * 64,))})

    with pytest.raises(InputError) as caught:
        bases(engine).provide(ImageBase("debian", PLACE, digest=DIGEST), NAME, quiet)

    assert caught.value.exit_code == 4
    assert NAME not in engine.names


def test_an_image_of_another_architecture_does_not_serve(bases):
    """The name is there, for another machine."""
    engine = Keeper(
        image("debian:slim", architecture="amd64"),
        registry={"debian:slim": image("debian:slim", 8, architecture="arm")},
    )

    made = bases(engine, platform="linux/arm/v7").provide(ImageBase("debian:slim", PLACE), NAME, quiet)

    assert made.architecture == "arm"


@pytest.mark.parametrize(("variant", "serves"), [("v5", True), ("v7", True), ("", True), ("v8", False)])
def test_an_older_arm_serves_a_newer_one(bases, variant, serves):
    """What was built for ARMv5 runs on ARMv7, and not the other way round."""
    there = image("debian:slim", architecture="arm", variant=variant)
    pulled = image("debian:slim", 8, architecture="arm", variant="v7")
    engine = Keeper(there, registry={"debian:slim": pulled})

    bases(engine, platform="linux/arm/v7").provide(ImageBase("debian:slim", PLACE), NAME, quiet)

    assert engine.names[NAME].id == (there if serves else pulled).id


def test_a_bootstrap_that_contradicts_its_platform_is_an_obstacle(bases):
    """The plan says so, before anything is downloaded."""
    base = BootstrapBase("bookworm", PLACE, variant="extract", architecture="amd64")

    said = bases(Keeper(), platform="linux/arm/v7", yes=True).obstacle(base)

    assert "contradicts the platform linux/arm/v7" in said


def test_a_tag_is_taken_as_it_is(bases):
    """TagBase: an image already there, or an error."""
    engine = Keeper(image("funtoo/x:final"))

    made = bases(engine).provide(TagBase("funtoo/x:final", PLACE), NAME, quiet)

    assert made.id == image("funtoo/x:final").id
    with pytest.raises(NotThere):
        bases(engine).provide(TagBase("gone:final", PLACE), NAME, quiet)


@pytest.mark.parametrize(
    ("base", "said"),
    [
        (ImageBase("here:1", PLACE), ""),
        (ImageBase("far:1", PLACE), ""),
        (ImageBase("gone:1", PLACE), "no registry has gone:1"),
        (ImageBase("here:1", PLACE, digest=DIGEST), f"no registry has here@{DIGEST}"),
        (TagBase("here:1", PLACE), ""),
        (TagBase("gone:1", PLACE), "there is no image gone:1"),
        (LOCAL, ""),
        (TarballBase("gone.tar", PLACE, sha256="a" * 64), "there is no file"),
        (DockerfileBase("gone", PLACE), "there is no folder"),
        (BootstrapBase("--x", PLACE), "not a Debian suite name"),
    ],
)
def test_obstacles_are_said_and_nothing_changes(bases, base, said):
    """The plan asks for every kind of base."""
    far = Image("sha256:1", ("far:1",), digests=(f"far@{DIGEST}",))
    engine = Keeper(image("here:1"), registry={"far:1": far})

    answer = bases(engine).obstacle(base)

    assert said in answer
    assert bool(answer) == bool(said)
    assert engine.pulled == engine.streams == []


def test_a_registry_that_does_not_answer_is_an_obstacle_in_its_words(bases):
    """The next base of the list may serve."""
    answer = bases(Keeper()).obstacle(ImageBase("debian:slim", PLACE))

    assert answer == "its registry does not give it: dial tcp: lookup registry: no such host"


def test_an_engine_that_is_away_is_no_obstacle_of_the_base(bases):
    """That ends the plan, with its own exit code."""

    class Away(Keeper):
        def registry_digest(self, name):
            raise NoEngine("it went away")

    with pytest.raises(NoEngine):
        bases(Away()).obstacle(ImageBase("debian:slim", PLACE))


def test_a_build_that_the_engine_refuses_is_the_engines_error(bases, tmp_path):
    """A RUN that fails is reported in the engine's words."""

    class Refusing(Keeper):
        def build(self, *_):
            raise EngineError("could not build", "the command returned 1")

    (tmp_path / "Dockerfile").write_text("FROM scratch\n")

    with pytest.raises(EngineError, match="could not build"):
        bases(Refusing()).provide(DockerfileBase(".", PLACE), NAME, quiet)


def test_a_download_serves_two_workspaces(bases, tmp_path):
    """The tarball of one run is the other's cache."""
    with serving(file=TAR) as served:
        base = TarballBase(f"{served.url}/file", PLACE, sha256=LOCAL.sha256)
        bases(Keeper()).provide(base, NAME, quiet)
        bases(Keeper()).provide(base, NAME, quiet)

        assert len(served.asked) == 1
