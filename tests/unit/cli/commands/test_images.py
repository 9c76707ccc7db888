from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from click.testing import CliRunner

from stalker.app.settings import Settings
from stalker.cli.commands import images as commands
from stalker.cli.main import CONTEXT, stalker
from stalker.engine.docker.http import Address
from stalker.errors import LockHeld, PlanError, StalkerError
from stalker.model import labels
from stalker.run.lock import hold_names
from unit.helpers.forest import TREE, Forest, grown
from unit.helpers.tars import folder, make_tar, member, read_tar


@dataclass
class Ran:
    code: int
    out: str
    err: str
    error: StalkerError | None


@pytest.fixture
def forest(monkeypatch):
    forest = grown()
    forest.engine.address = Address("fake:")
    monkeypatch.setattr(commands, "connect", lambda: forest.engine)
    for reader in ("read_tree", "read_names"):
        monkeypatch.setattr(commands, reader, lambda *_: TREE)
    monkeypatch.setattr(commands.time, "time", lambda: 100 * 86400.0)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    return forest


def call(*argv: str, answer: str = "") -> Ran:
    result = CliRunner().invoke(stalker, argv, input=answer, **CONTEXT)
    error = result.exception
    if error is not None and not isinstance(error, (StalkerError, SystemExit)):
        raise error
    ours = error if isinstance(error, StalkerError) else None
    code = ours.exit_code if ours else result.exit_code
    return Ran(code, result.stdout, result.stderr, ours)


def fill(forest: Forest, name: str, *members) -> None:
    image = forest.engine.image(f"os/arch/sub/{name}")
    forest.engine.files[image.id] = {"": make_tar(*members)}


# images


def test_images_lists_each_name_with_what_is_known_of_it(forest):
    forest.fail("web:site", forest.engine.image("os/arch/sub/web:nginx"))

    ran = call("images")

    lines = [line.split() for line in ran.out.splitlines()]
    assert [line[0].replace("os/arch/sub/", "") for line in lines[1:]] == [
        "base:initial",
        "base:apt",
        "base:conf",
        "base:final",
        "db:initial",
        "db:pg",
        "db:final",
        "web:initial",
        "web:nginx",
        "web:site",
        "web:site.failed",
        "web:final",
    ]
    assert " ".join(lines[2]) == (
        "os/arch/sub/base:apt 100 B 1.08 KiB 10 d 010000000000 base:apt 20261121-020304-aaaaaa-1"
    )
    assert "FAILED" in ran.out
    assert ran.code == 0


def test_images_of_a_tree_are_only_its_own(forest):
    forest.grow("foreign:x", forest.base)

    assert "foreign" in call("images").out
    assert "foreign" not in call("images", "t").out


def test_images_of_a_tree_show_what_a_user_put_there_as_its_start(forest):
    forest.tag(forest.engine.add_image("debian:bookworm"), "other:initial")

    assert "os/arch/sub/other:initial" in call("images", "t").out


def test_one_base_of_two_stalks_is_listed_once_for_each(forest):
    image = forest.engine.add_image("debian:bookworm")
    for name in ("base:initial", "other:initial"):
        forest.tag(image, name)

    lines = [line.split()[0] for line in call("images", "t").out.splitlines()]

    assert [line for line in lines if line.endswith(("/base:initial", "/other:initial"))] == [
        "os/arch/sub/base:initial",
        "os/arch/sub/other:initial",
    ]


def test_a_variant_that_shares_all_its_steps_is_listed(forest):
    forest.tag(forest.engine.image("os/arch/sub/db:pg"), "lite:pg")

    assert "os/arch/sub/lite:pg" in call("images").out


def test_what_others_derived_is_not_listed(forest):
    image = forest.derive("os/arch/sub/web:mine", forest.engine.image("os/arch/sub/web:nginx"))

    ran = call("images", "t", "--json")

    assert image.id not in ran.out


def test_old_builds_are_one_line_unless_asked_for(forest):
    old = forest.engine.image("os/arch/sub/base:apt")
    forest.grow("base:apt", forest.base)

    short, long = call("images"), call("images", "--all")

    assert short.out.splitlines()[-3:] == [
        "1 old build holds 100 B more",
        "  stalker images --all  lists it",
        "  stalker prune trees/t.hjson --keep 1  removes it",
    ]
    assert "(old build)" not in short.out
    assert "(old build)" in long.out
    assert old.id in call("images", "--json").out


def test_what_is_said_of_old_builds_are_whole_commands(forest):
    """They name the tree as it was typed."""
    for _ in range(2):
        forest.grow("base:apt", forest.base)

    lines = call("images", "t").out.splitlines()[-3:]

    assert lines == [
        "2 old builds hold 200 B more",
        "  stalker images t --all  lists them",
        "  stalker prune t --keep 1  removes them",
    ]


def test_what_a_shell_left_is_listed_and_pruned(forest):
    """A tag of `shell --commit` goes with its stalk."""
    forest.keep("web:mine", forest.engine.image("os/arch/sub/web:nginx"), "web:nginx")

    listed, pruned = call("images", "t"), call("prune", "t", "web", "--yes")

    (line,) = [line.split() for line in listed.out.splitlines() if "web:mine" in line]
    assert line[-2:] == ["shell", "web:nginx"]
    assert "os/arch/sub/web:mine" in pruned.out
    assert pruned.err.splitlines()[-1] == "removed 3 images and 1 that only loses a name, about 205 B freed"
    assert not [name for name in forest.names() if name.startswith("web:")]


def test_images_for_programs(forest):
    rows = {row["name"]: row for row in json.loads(call("images", "--json").out)}

    nginx = rows["os/arch/sub/web:nginx"]
    image = forest.engine.image("os/arch/sub/web:nginx")
    assert nginx == {
        "name": "os/arch/sub/web:nginx",
        "kind": "step",
        "failed": False,
        "step": "os/arch/sub/web:nginx",
        "id": image.id,
        "fingerprint": image.labels[labels.FINGERPRINT],
        "tree": "trees/t.hjson",
        "run": "20261121-020304-aaaaaa-1",
        "log": "",
        "created_s": image.created_s,
        "own_bytes": 100,
        "total_bytes": image.size_bytes,
    }


def test_nothing_committed_is_no_error_and_no_result(forest):
    forest.engine.images_by_id.clear()

    ran = call("images")

    assert (ran.code, ran.out) == (0, "")
    assert "nothing is committed here" in ran.err


# diff


def test_diff_prints_a_line_for_each_change(forest):
    fill(
        forest, "web:nginx", ("etc/passwd", b"x" * 1200), ("old", b"y" * 900), (member("a", mode=0o644), b"1")
    )
    fill(
        forest,
        "web:site",
        ("etc/passwd", b"x" * 1400),
        ("etc/foo", b"z" * 12345),
        (member("a", mode=0o755), b"1"),
        folder("srv"),
        ("caf\udce9\x1b[31m", b""),
    )

    ran = call("diff", "web:nginx", "web:site", "--tree", "t")

    assert ran.out.splitlines() == [
        "C                   1 B  /a  (mode 0644 -> 0755)",
        "A                   0 B  /caf\\xe9\\x1b[31m",
        "A              12.1 KiB  /etc/foo",
        "C  1.18 KiB -> 1.37 KiB  /etc/passwd",
        "D                 900 B  /old",
        "A                folder  /srv",
    ]


def test_diff_for_programs(forest):
    fill(forest, "web:nginx", ("a", b"1"))
    fill(forest, "web:site", ("a", b"22"), ("caf\udce9", b""))

    changed, added = json.loads(call("diff", "web:nginx", "web:site", "--tree", "t", "--json").out)

    assert (changed["change"], changed["path"], changed["content"]) == ("C", "/a", True)
    assert (changed["old"]["size_bytes"], changed["new"]["size_bytes"]) == (1, 2)
    assert (added["change"], added["path"], added["old"]) == ("A", "/caf\\xe9", None)


def test_no_difference_prints_nothing(forest):
    ran = call("diff", "web:site", "web:final", "--tree", "t")

    assert (ran.code, ran.out) == (0, "")


# export


def test_export_writes_a_tar_and_says_what_it_wrote(forest, tmp_path):
    fill(forest, "web:site", ("a", b"1"), (member("b", mtime=5000), b"2"))
    path = tmp_path / "r.tar"

    ran = call("export", "web:site", "-o", str(path), "--tree", "t")

    assert list(read_tar(path.read_bytes())) == ["a", "b"]
    assert ran.out == ""
    assert "of os/arch/sub/web:site" in ran.err


def test_export_to_stdout_is_the_tar_and_nothing_else(forest, tmp_path, capfdbinary):
    fill(forest, "web:site", ("a", b"1"))

    commands.export.callback.__wrapped__(Settings(str(tmp_path)), "web:site", "-", None, "t")

    out, err = capfdbinary.readouterr()
    assert list(read_tar(out)) == ["a"]
    assert err == b""


def test_source_date_epoch_is_honoured(forest, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1234")
    fill(forest, "web:site", (member("b", mtime=5000), b"2"))

    call("export", "web:site", "-o", str(tmp_path / "r.tar"), "--tree", "t")

    assert read_tar((tmp_path / "r.tar").read_bytes())["b"][4] == 1234


@pytest.mark.parametrize(
    ("argv", "epoch", "said"),
    [
        (["web:site", "-o", "r.tar"], "yesterday", "SOURCE_DATE_EPOCH"),
        (["web:site", "-o", "r.zip"], "", "ending"),
        (["web:nothing", "-o", "r.tar"], "", "not there"),
    ],
)
def test_a_wrong_argument_is_exit_2_and_writes_nothing(forest, tmp_path, monkeypatch, argv, epoch, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)

    ran = call("export", *argv, "--tree", "t")

    assert ran.code == 2
    assert said in str(ran.error)
    assert os.listdir(tmp_path) == []


# prune


def test_prune_without_a_terminal_wants_a_word(forest):
    """In CI nothing hangs on a question and nothing is removed unasked."""
    before = forest.names()

    ran = call("prune", "t")

    assert ran.code == 2
    assert isinstance(ran.error, PlanError)
    assert "--dry-run" in ran.error.resolution
    assert forest.names() == before


def test_a_dry_run_says_what_would_go_and_removes_nothing(forest):
    before = forest.names()

    ran = call("prune", "t", "web", "--dry-run")

    assert ran.code == 0
    assert ran.out.splitlines() == [
        "remove  100 B   2 d  os/arch/sub/web:site, os/arch/sub/web:final",
        "remove  100 B   8 d  os/arch/sub/web:nginx",
        "untag          10 d  os/arch/sub/web:initial",
        "2 images and 1 that only loses a name, about 200 B",
    ]
    assert forest.names() == before
    assert forest.engine.calls["untag"] == 0


@pytest.mark.parametrize(("answer", "is_gone"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_a_terminal_is_asked(forest, monkeypatch, answer, is_gone):
    monkeypatch.setattr(Settings, "is_interactive", True)

    ran = call("prune", "t", answer=answer)

    assert "Remove them?" in ran.err
    assert ("web:site" not in forest.names()) == is_gone


def test_yes_is_an_answer_and_underscores_are_dashes(forest):
    ran = call("prune", "t", "--yes", "--older_than", "1w")

    assert ran.code == 0
    assert "web:nginx" in forest.names(), "web:site is young and grows on it"
    assert call("prune", "t", "--yes", "--older-than", "1d").code == 0
    assert forest.names() == {"base:initial"}


def test_what_a_run_works_on_is_not_pruned(forest):
    """A run that holds the names of a stalk is named, and nothing is removed."""
    before = forest.names()

    with ExitStack() as stack:
        stack.enter_context(
            hold_names("fake", ["os/arch/sub/db"], "run 1 (process 7)", wait=False, say=print)
        )
        ran = call("prune", "t", "--yes")

    assert isinstance(ran.error, LockHeld)
    assert "run 1 (process 7)" in ran.error.brief
    assert forest.names() == before


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["wbe"], "did you mean 'web'"),
        (["--older-than", "soon"], "not a duration"),
    ],
)
def test_wrong_arguments_of_prune_are_exit_2(forest, argv, said):
    ran = call("prune", "t", "--dry-run", *argv)

    assert ran.code == 2
    assert said in f"{ran.error.brief} {ran.error.details}"


def test_stores_go_only_when_asked(forest):
    for name in ("cache", "shared"):
        forest.engine.ensure_volume(name, {labels.VERSION: "0"})

    call("prune", "t", "web", "--yes")
    without = set(forest.engine.volumes_there)
    ran = call("prune", "t", "web", "--yes", "--stores")

    assert without == {"cache", "shared"}
    assert set(forest.engine.volumes_there) == {"shared"}
    assert "the store cache with all that is in it" in ran.out


def test_nothing_to_prune_is_said(forest):
    forest.engine.images_by_id.clear()

    ran = call("prune", "t", "--yes")

    assert (ran.code, ran.out) == (0, "nothing to prune\n")


BROKEN = "{ architecture: { OS: 'os', ARCH: 'arch', SUBARCH: 'sub' }, stalks: { base: { base: 'a:b' } } }"


@pytest.mark.parametrize("stalk", [None, "{ plugins: { a: ", "{ plugins: { a: { exec: true } } }"])
def test_images_and_prune_of_a_tree_do_without_its_stalk_files(monkeypatch, tmp_path, stalk):
    """Names come from the tree; a stalk file that is gone or wrong does not keep images from being removed."""
    forest = grown()
    forest.engine.address = Address("fake:")
    monkeypatch.setattr(commands, "connect", lambda: forest.engine)
    (tmp_path / "trees").mkdir()
    (tmp_path / "trees/t.hjson").write_text(BROKEN)
    if stalk is not None:
        (tmp_path / "stalks/base").mkdir(parents=True)
        (tmp_path / "stalks/base/base.hjson").write_text(stalk)

    listed = call("--workspace", str(tmp_path), "images", "t")
    pruned = call("--workspace", str(tmp_path), "prune", "t", "--dry-run")
    with_stores = call("--workspace", str(tmp_path), "prune", "t", "--stores", "--dry-run")

    assert (listed.code, pruned.code, with_stores.code) == (0, 0, 2)
    assert "os/arch/sub/base" in listed.out
    assert "os/arch/sub/base" in pruned.out
    assert "1 problem in the files, see `stalker check t`" in listed.err
