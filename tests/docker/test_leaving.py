"""Files that were placed leave again, whatever a script did to them or to us."""

import pytest

pytestmark = pytest.mark.docker

PREPARED = "mkdir /conf /gone; echo mine >/conf/a; echo mine >/conf/b; echo mine >/gone/a"


def two_stalks(space, plugins):
    """Write a stalk that prepares files, and one on it with some plugins."""
    space.tree({"first": {"s": {}}}, secrets={"KEY": {"env": "KEY"}})
    space.stalk("first", {"prepare": PREPARED})
    space.stalk("s", plugins)


def test_what_a_script_does_to_the_folder_of_a_placed_file_is_done(workspace):
    """The folder above removed, a folder in the file's place: so it is, and nothing of ours is left."""
    two_stalks(
        workspace,
        {
            "one": {"bind": "/conf/a", "text": "shown"},
            "two": {"bind": "/gone/a", "text": "shown"},
            "three": {"bind": "/conf/b", "text": "shown"},
            "a": "rm /conf/a; mkdir /conf/a; echo z >/conf/a/z; rm -r /gone; rm /conf/b",
        },
    )

    done = workspace.run()

    assert done.code == 0, done.err
    content = {path: entry.content for path, entry in workspace.added("s:a").items() if entry.content}
    assert content == {"/conf/a/z": b"z\n", "/conf/b": b"mine\n"}
    assert workspace.added("s:a").keys() == {"/conf", "/conf/a", *content}


def test_the_state_of_a_step_whose_shell_was_killed_has_no_secret(workspace):
    """The shell that ran it cannot clear up any more: that is done before anything is kept."""
    two_stalks(
        workspace,
        {
            "key": {"bind": "/conf/a", "KEY": "", "text": "key={KEY}"},
            "plain": {"bind": "/new/a", "text": "shown"},
            "a": {"exec": True, "text": "#!/bin/sh\nkill -9 $PPID; sleep 1; echo half >/half\n"},
        },
    )

    done = workspace.run(KEY="quite-secret")

    assert done.code == 1
    content = {path: entry.content for path, entry in workspace.added("s:a.failed").items() if entry.content}
    assert content == {
        "/conf/a": b"mine\n",
        "/conf/b": b"mine\n",
        "/gone/a": b"mine\n",
        "/half": b"half\n",
    }
    assert workspace.added("s:a.failed").keys() == {"/conf", "/gone", *content}
