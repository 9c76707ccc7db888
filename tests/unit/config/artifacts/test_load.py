"""Artifacts of a node: kinds, names, what is written, gates."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stalker.model.artifacts import GATES, Artifact, Files, Gates, Repo, Rootfs
from stalker.model.tree import secret_marker
from unit.config.artifacts.space import ROOT, SECRETS, disk, problems, read, write

WRONG = {
    "no kind": (
        "x: { exclude: '/x' }",
        "11:1: x: an artifact is one of rootfs, files, repo, disk\n  like rootfs: root.tar.zst",
    ),
    "two kinds": (
        "x: { rootfs: 'x.tar', disk: 'x.img' }",
        "11:1: x: an artifact is one of rootfs, files, repo, disk, not rootfs and disk\n  make two artifacts of it",
    ),
    "unknown key": (
        "x: { rootfs: 'x.tar', exlude: '/x' }",
        "11:23: x.exlude: unknown key 'exlude'\n  did you mean 'exclude'?",
    ),
    "a key of another kind": (
        "x: { rootfs: 'x.tar', table: 'gpt' }",
        "11:23: x.table: 'table' does not go with rootfs\n  it goes with disk",
    ),
    "boot test of files": (
        "x: { files: 'x.tar', paths: '/x', boot_test: { machine: 'q35', expect: [{ wait: 'x' }] } }",
        "11:35: x.boot_test: 'boot_test' does not go with files\n  it goes with rootfs and disk",
    ),
    "an artifact's name": (
        "'a b': { rootfs: 'x.tar' }",
        "11:1: a b: 'a b' cannot name an artifact: letters, digits and _.-, not beginning with . or -, at most 100",
    ),
    "a name like a version": (
        "a-0123456789ab: { rootfs: 'x.tar' }",
        "11:1: a-0123456789ab: 'a-0123456789ab' looks like a version that is kept beside an artifact; end it in another way",
    ),
    "a name like a half-made one": (
        "a.unproven: { rootfs: 'x.tar' }",
        "11:1: a.unproven: 'a.unproven' looks like a version that is kept beside an artifact; end it in another way",
    ),
    "names that differ in capitals": (
        "a: { rootfs: 'x.tar' }\n A: { rootfs: 'y.tar' }",
        "12:2: A: 'A' differs from another artifact in capital letters only\n  that one stands at 11:1; not all disks tell them apart",
    ),
    "one file name twice": (
        "a: { rootfs: 'x.tar' }\n b: { files: 'X.tar', paths: '/x' }",
        "12:2: b: 'X.tar' is published by 'a', too\n  at 11:1; give one another name",
    ),
    "a bill of materials of an unknown form": (
        "x: { rootfs: 'x.tar', sbom: 'cyclondx' }",
        "11:29: x.sbom: 'cyclondx' is not possible here\n  did you mean 'cyclonedx'?",
    ),
    "a bill of materials of files": (
        "x: { files: 'x.tar', paths: '/x', sbom: 'spdx' }",
        "11:35: x.sbom: 'sbom' does not go with files\n  it goes with rootfs and disk",
    ),
    "a bill of materials with the name of a folder": (
        "a: { rootfs: 'x.tar', sbom: 'spdx' }\n b: { repo: 'a.spdx.json', from: '/x' }",
        "12:2: b: 'a.spdx.json' is published by 'a', too\n  at 11:1; give one another name",
    ),
    "boot of the same name": (
        "a: { rootfs: 'x.tar', boot: 'x.tar' }",
        "11:29: a.boot: 'x.tar' is the name of the root file system's tar, too",
    ),
    "a path as a name": (
        "a: { rootfs: 'out/x.tar' }",
        "11:14: a.rootfs: 'out/x.tar' is a path; a name alone, since each artifact has its own folder",
    ),
    "two points": (
        "a: { repo: '..', from: '/x' }",
        "11:12: a.repo: '..' cannot name a file: letters, digits and _.+-, not beginning with . or -",
    ),
    "a hidden file": (
        "a: { rootfs: '.x.tar' }",
        "11:14: a.rootfs: '.x.tar' cannot name a file: letters, digits and _.+-, not beginning with . or -",
    ),
    "our own file": (
        "a: { repo: 'manifest.json', from: '/x' }",
        "11:12: a.repo: 'manifest.json' is the name of a file that stalker writes beside it",
    ),
    "a checksum's name": (
        "a: { repo: 'x.sha256', from: '/x' }",
        "11:12: a.repo: 'x.sha256' is the name of a file that stalker writes beside it",
    ),
    "an ending of a tar": (
        "a: { rootfs: 'x.tgz' }",
        "11:14: a.rootfs: 'x.tgz' does not end in .tar, .tar.zst, .tar.xz or .tar.gz\n  write x.tar",
    ),
    "an ending alone": (
        "a: { rootfs: 'x' }",
        "11:14: a.rootfs: 'x' does not end in .tar, .tar.zst, .tar.xz or .tar.gz\n  write x.tar",
    ),
    "an ending of a disk": (
        f"a: {{ disk: 'x.img.zst', partitions: {{ {ROOT} }} }}",
        "11:12: a.disk: 'x.img.zst' does not end in .img\n  write x.img, and the compressed ones in formats",
    ),
    "a number as name": ("a: { rootfs: 12 }", '11:14: a.rootfs: must be text, is a number\n  write "12"'),
    "files without paths": (
        "a: { files: 'x.tar' }",
        "11:1: a: 'files' needs 'paths': what of the image it holds\n  a whole image is rootfs: FILE",
    ),
    "a relative pattern": (
        "a: { files: 'x.tar', paths: ['boot/*'] }",
        "11:30: a.paths.0: 'boot/*' is relative; a path in the image begins with /",
    ),
    "a pattern that climbs": (
        "a: { files: 'x.tar', paths: '/a/../*' }",
        "11:29: a.paths: '/a/../*' holds '..'; write the path it leads to",
    ),
    "two stars in a name": (
        "a: { files: 'x.tar', paths: '/lib/**.ko' }",
        "11:29: a.paths: '/lib/**.ko': '**' stands between slashes, for any folders: /lib/**/*.ko",
    ),
    "a pattern twice": (
        "a: { files: 'x.tar', paths: ['/a', '/a/'] }",
        "11:36: a.paths.1: /a stands here twice\n  keep one",
    ),
    "everything as a pattern": (
        "a: { files: 'x.tar', paths: '/' }",
        "11:29: a.paths: '/' is everything; /** is a pattern for that",
    ),
    "files of a mount": (
        "a: { files: 'x.tar', paths: ['/store/*.deb'] }",
        "11:30: a.paths.0: /store is in no image: the steps have /store mounted\n  publish it as repo: NAME, with from: the folder",
    ),
    "a repository without from": (
        "a: { repo: 'repo' }",
        "11:1: a: 'repo' needs 'from': the folder as the steps see it",
    ),
    "the root as a repository": (
        "a: { repo: 'repo', from: '/' }",
        "11:26: a.from: the whole root is not a repository\n  a whole image is rootfs: FILE",
    ),
    "a relative repository": (
        "a: { repo: 'repo', from: 'srv' }",
        "11:26: a.from: 'srv' is relative; a path in the image begins with /",
    ),
    "writing a relative path": (
        "a: { rootfs: 'x.tar', write: { etc: 'x' } }",
        "11:32: a.write.etc: 'etc' is relative; a path in the image begins with /",
    ),
    "writing a folder": (
        "a: { rootfs: 'x.tar', write: { '/etc/': 'x' } }",
        "11:32: a.write./etc/: '/etc/' is a folder; files are written",
    ),
    "writing for the kernel": (
        "a: { rootfs: 'x.tar', write: { '/proc/x': 'x' } }",
        "11:32: a.write./proc/x: /proc is the kernel's and empty in every image",
    ),
    "writing twice": (
        "a: { rootfs: 'x.tar', write: { '/a': 'x', '/./a': 'y' } }",
        "11:43: a.write././a: /a is written twice\n  at 11:32, too",
    ),
    "writing below a file": (
        "a: { rootfs: 'x.tar', write: { '/a': 'x', '/a/b': 'y' } }",
        "11:43: a.write./a/b: /a/b is below the file /a, which is written, too",
    ),
    "a mode that is none": (
        "a: { rootfs: 'x.tar', write: { '/a': { text: 'x', mode: '0888' } } }",
        "11:57: a.write./a.mode: '0888' is not a mode\n  permission bits in octal, like \"0644\"",
    ),
    "a write without text": (
        "a: { rootfs: 'x.tar', write: { '/a': { mode: '0644' } } }",
        "11:38: a.write./a: the key 'text' is missing",
    ),
    "a variable that nobody set": (
        "a: { rootfs: 'x.tar', HOST_NAM: '', write: { '/a': '{HOST_NAM}' } }",
        "11:23: a.HOST_NAM: '' inherits, but nobody set HOST_NAM\n  set it in the tree, or with --set HOST_NAM=VALUE",
    ),
    "an unknown gate": (
        "a: { rootfs: 'x.tar', gates: { waive: { log: 'x' } } }",
        "11:41: a.gates.waive.log: unknown key 'log'\n  did you mean 'logs'?",
    ),
    "a waiver without a reason": (
        "a: { rootfs: 'x.tar', gates: { waive: { logs: ' ' } } }",
        "11:47: a.gates.waive.logs: the gate logs is waived without a reason\n  say why this image may be published all the same",
    ),
    "gates of files": (
        "a: { files: 'x.tar', paths: '/x', gates: {} }",
        "11:35: a.gates: 'gates' does not go with files\n  it goes with rootfs and disk",
    ),
    "all of it excluded": (
        "a: { rootfs: 'x.tar', exclude: ['/lost+found', '/**'] }",
        "11:48: a.exclude.1: '/**' leaves nothing; name what is not wanted, like /usr/share/doc",
    ),
    "the root excluded": (
        "a: { rootfs: 'x.tar', exclude: '/' }",
        "11:32: a.exclude: '/' leaves nothing; name what is not wanted, like /usr/share/doc",
    ),
    "all of it excluded by name": (
        "a: { rootfs: 'x.tar', exclude: '/*' }",
        "11:32: a.exclude: '/*' leaves nothing; name what is not wanted, like /usr/share/doc",
    ),
    "a relative setuid": (
        "a: { rootfs: 'x.tar', gates: { setuid: ['usr/bin/x'] } }",
        "11:41: a.gates.setuid.0: 'usr/bin/x' is relative; a path in the image begins with /",
    ),
}


@pytest.mark.parametrize(("artifacts", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_with_its_place(space, artifacts, message):
    """One problem, where it stands, and what to do."""
    assert problems(space, artifacts) == [message]


def test_each_kind_is_read(space):
    """A root file system, files, a repository, in the order of the tree."""
    write(
        space,
        """
        stage4: { rootfs: 'stage4.tar.zst', boot: 'boot.tar.xz', exclude: ['/var/cache/apt/archives/'] }
        kernel: { files: 'kernel.tar.gz', paths: ['/boot/vmlinuz*', '/lib/modules/**'] }
        repo: { repo: 'repo', from: '/store/repo' }
        """,
    )

    stage4, kernel, repo = space.read().stalks[0].artifacts

    assert stage4.kind == Rootfs("stage4.tar.zst", "boot.tar.xz")
    assert stage4.exclude == ("/var/cache/apt/archives",)
    assert kernel.kind == Files("kernel.tar.gz", ("/boot/vmlinuz*", "/lib/modules/**"))
    assert repo.kind == Repo("repo", "/store/repo")
    assert [one.id for one in (stage4, kernel, repo)] == ["web/stage4", "web/kernel", "web/repo"]
    assert stage4.place.line == 12


def test_all_problems_are_told_at_once(space):
    """A slip in the first artifact hides none in the second."""
    found = problems(space, "a: { rootfs: 'x' }\n b: { repo: 'r' }\n" + disk("size: 'big'"))

    assert [line.partition(" ")[0] for line in found] == ["11:14:", "12:2:", "14:8:"]


def test_an_artifact_pickles(space):
    """It crosses a process with the tree."""
    artifact = read(space, disk())

    assert pickle.loads(pickle.dumps(artifact)) == artifact


# gates


@pytest.mark.parametrize(
    ("artifact", "gates"),
    [
        ("a: { rootfs: 'x.tar' }", Gates()),
        (disk(), Gates()),
        ("a: { files: 'x.tar', paths: '/x' }", None),
        ("a: { repo: 'x', from: '/x' }", None),
        (
            "a: { rootfs: 'x.tar', gates: { waive: { logs: 'wanted' }, setuid: '/bin/x' } }",
            Gates((("logs", "wanted"),), ("/bin/x",)),
        ),
    ],
)
def test_what_boots_is_checked(space, artifact, gates):
    """A root file system and a disk pass the gates, unless the tree waives one with a reason."""
    assert read(space, artifact).gates == gates


@pytest.mark.parametrize("gate", GATES)
def test_each_gate_can_be_waived(space, gate):
    """The names are those of the gates."""
    assert read(space, f"a: {{ rootfs: 'x.tar', gates: {{ waive: {{ {gate}: why }} }} }}").gates == Gates(
        ((gate, "why"),)
    )


# what is written


def written(artifact: Artifact) -> dict[str, tuple[bytes, int]]:
    return {one.path: (one.content, one.mode) for one in artifact.writes}


def test_files_are_written_with_the_variables_that_the_artifact_names(space):
    """Other braces stay as they are, as in file plugins; a file's own variables win."""
    artifact = read(
        space,
        """a: {
          rootfs: 'x.tar', HOST_NAME: '', PORT: 22
          write: {
            '/etc/hostname': "{HOST_NAME}\\n"
            '//etc/./motd': { text: '{PORT} {GREETING} {OTHER}', PORT: 23, GREETING: '', mode: '0600' }
          }
        }""",
        "HOST_NAME: pi\n GREETING: hello\n UNUSED: x",
    )

    assert written(artifact) == {
        "/etc/hostname": (b"pi\n", 0o644),
        "/etc/motd": (b"23 hello {OTHER}", 0o600),
    }


def test_a_secret_stays_a_marker(space):
    """No tree holds a secret: its value is filled in when the file is written."""
    artifact = read(
        space,
        "a: { rootfs: 'x.tar', ROOT_PASSWORD: '', write: { '/a': 'x={ROOT_PASSWORD}', '/b': 'x' } }",
    )
    first, second = artifact.writes

    assert first.content == b"x=" + secret_marker("ROOT_PASSWORD").encode()
    assert [one.secret for one in first.variables] == ["ROOT_PASSWORD"]
    assert second.variables == ()


@pytest.mark.parametrize(
    ("text", "is_warned"), [("{HOST_NAME}", True), ("${HOST_NAME}", False), ("{OTHER}", False)]
)
def test_a_variable_that_the_artifact_forgot_is_warned_of(space, text, is_warned):
    """Who writes {HOST_NAME} of the node means its value; who writes ${HOST_NAME} means the shell's."""
    write(space, f"a: {{ rootfs: 'x.tar', write: {{ '/a': '{text}' }} }}", "HOST_NAME: pi")

    warnings = space.warnings()

    assert [line.partition("warning: ")[2] for line in warnings] == (
        [
            (
                "stalks.web.artifacts.a.write./a: {HOST_NAME} stays as it is: HOST_NAME is not a variable of this artifact\n"
                "  HOST_NAME: '' beside 'write' puts its value in"
            )
        ]
        if is_warned
        else []
    )


# times and folders


@pytest.mark.parametrize(
    ("where", "epoch_s"),
    [(("", ""), None), (("SOURCE_DATE_EPOCH: 17", ""), 17), (("", "SOURCE_DATE_EPOCH: 18"), 18)],
)
def test_no_time_is_later_than_source_date_epoch(space, where, epoch_s):
    """The variable of the node, or of the tree."""
    node, top = where

    artifact = read(space, "a: { rootfs: 'x.tar' }", node, f"globals: {{\n{top} }}")

    assert artifact.epoch_s == epoch_s


def test_an_epoch_that_is_typed_is_not_in_vain(space):
    """--set SOURCE_DATE_EPOCH=... is one that artifacts ask for."""
    write(space, "a: { rootfs: 'x.tar', SOURCE_DATE_EPOCH: 3 }\n b: { rootfs: 'y.tar' }")

    artifacts = space.read({"SOURCE_DATE_EPOCH": "5"}).stalks[0].artifacts

    assert [one.epoch_s for one in artifacts] == [3, 5]


@pytest.mark.parametrize("value", ["now", "-1", "1.5", str(10**12)])
def test_an_epoch_that_is_no_time_is_told_where_it_is_set(space, value):
    write(space, "a: { rootfs: 'x.tar' }", f"SOURCE_DATE_EPOCH: '{value}'")

    assert space.problems() == [
        (
            f"trees/t/t.hjson:12:1: stalks.web.SOURCE_DATE_EPOCH: SOURCE_DATE_EPOCH is '{value}', "
            "which is not a Unix timestamp in seconds\n  a whole number, like 1700000000"
        )
    ]


def test_artifacts_have_a_folder(space):
    """`artifacts`, or what the tree says."""
    assert space.read().artifacts_dir == "artifacts"
    space.tree("", "paths: { ARTIFACTS_DIR: 'out/images' }")
    assert space.read().artifacts_dir == "out/images"
    assert space.read({"ARTIFACTS_DIR": "/srv/out"}).artifacts_dir == "/srv/out"


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("../out", "'../out' leaves the workspace\n  write an absolute path"),
        (
            ".",
            (
                "artifacts cannot stand in the workspace itself, where a run reads its files\n"
                "  name a folder of their own, like artifacts"
            ),
        ),
        (
            "sysroot/srv",
            (
                "artifacts cannot stand in sysroot, where a run reads its files\n"
                "  name a folder of their own, like artifacts"
            ),
        ),
    ],
)
def test_a_folder_for_artifacts_that_cannot_be_is_told(space, folder, message):
    """What is published must not be read by the next run."""
    space.tree("", f"paths: {{ ARTIFACTS_DIR: '{folder}' }}")

    assert space.problems() == [f"trees/t/t.hjson:7:12: paths.ARTIFACTS_DIR: {message}"]


# whatever stands there

WHOLE = {
    "SOURCE_DATE_EPOCH": 1,
    "artifacts": {
        "root": {"rootfs": "r.tar", "boot": "b.tar", "exclude": ["/x"], "X": "", "write": {"/a": "{X}"}},
        "some": {
            "files": "f.tar",
            "paths": ["/a/**"],
            "write": {"/a": {"text": "x", "mode": "0600", "Y": "y"}},
        },
        "repo": {"repo": "r", "from": "/store/r"},
        "disk": {
            "disk": "d.img",
            "table": "gpt",
            "size": "1GB card",
            "align": "1MiB",
            "disk_id": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
            "formats": ["img"],
            "fill": ["/etc/fstab"],
            "exclude": "/y",
            "write": {"/etc/fstab": "@UUID:b@ @LABEL:a@"},
            "partitions": {
                "a": {
                    "filesystem": "vfat",
                    "size": "64MiB",
                    "from": "/b",
                    "label": "A",
                    "uuid": "1A2B-3C4D",
                    "type": "esp",
                },
                "b": {"filesystem": "ext4", "size": "auto", "margin": "10%", "from": "/"},
                "c": {"filesystem": "ext4", "directory": "data", "bootable": True},
                "d": {"filesystem": "squashfs", "artifact": "repo"},
            },
            "gates": {"waive": {"logs": "why"}, "setuid": ["/bin/x"]},
            "boot_test": {
                "machine": "virt",
                "architecture": "arm",
                "cpu": "max",
                "cpus": 2,
                "memory": "1GiB",
                "kernel": "a:vmlinuz",
                "initrd": "a:initrd",
                "dtb": "/x.dtb",
                "append": "x",
                "network": True,
                "timeout": "5m",
                "expect": [
                    {"wait": "login:", "timeout": 3},
                    {"type": {"secret": "ROOT_PASSWORD"}},
                    {"run": "x", "matches": "y", "exit": 1},
                    {"power_off": True},
                ],
            },
        },
    },
}

JUNK = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-1, 1 << 70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(
            ["", "/", "..", "a", "/a/../b", "10%", "8GB card", "auto", "a:b", "@UUID:x@", "[", "\ud7ff"]
        ),
        st.text(max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["a", "A", "/a", "text", "secret", "wait", "disk", "rootfs"]), inner, max_size=3
        ),
    ),
    max_leaves=4,
)


def spots(value, path=()):
    """Give the path to each value in a document."""
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in pairs:
        yield from spots(child, (*path, key))


SPOTS = [path for path in spots(WHOLE) if path]


def replaced(path, junk):
    document = json.loads(json.dumps(WHOLE))
    around = document
    for key in path[:-1]:
        around = around[key]
    around[path[-1]] = junk
    return document


def test_the_whole_example_is_right(space):
    write(space, "")
    space.tree(json.dumps(WHOLE)[1:-1] + "\n X: x", SECRETS)

    assert space.problems() == []


@given(st.sampled_from(SPOTS), JUNK)
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_value_anywhere_is_more_than_a_problem_of_the_files(space, path, junk):
    """Whatever stands in place of any value: it is taken or told, with a place in the tree."""
    write(space, "")
    space.tree(json.dumps(replaced(path, junk))[1:-1] + "\n X: x", SECRETS)

    for problem in space.problems():
        assert problem.startswith("trees/t/t.hjson:")
