"""Gates on real images, and the toolbox where this host's library knows a hash not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from stalker.app.toolbox_image import image_maker
from stalker.artifacts.gates import passwords
from stalker.artifacts.gates.gates import Hygiene
from stalker.artifacts.gates.passwords import find_crypt
from stalker.engine.run_id import new_run_id
from stalker.model.artifacts import Artifact, Gates, Rootfs
from stalker.model.diagnostics import Place
from stalker.rootfs.filter import Content
from stalker.toolbox.container import Toolbox
from unit.helpers.tars import folder, make_tar

if TYPE_CHECKING:
    from stalker.engine.docker.adapter import DockerEngine

pytestmark = pytest.mark.docker

YESCRYPT = b"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$"


def test_a_hash_that_this_host_does_not_know_is_tried_in_the_toolbox(
    engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a host without such a library, in the container that disks are made in."""
    crypt = find_crypt()
    assert crypt is not None
    lines = [b"root:%s:1::::::" % crypt(b"toor", YESCRYPT), b"pi:%s:1::::::" % crypt(b"my own", YESCRYPT)]
    monkeypatch.setattr(passwords, "find_crypt", lambda: None)
    toolbox = Toolbox(engine, image_maker(engine, lambda _: None), new_run_id(time.time()))

    def run(argv, stdin):
        with toolbox.opened() as tool:
            return tool.run(argv, stdin)

    hygiene = Hygiene(Gates(), run=run)
    content = Content(Artifact("a", "s", Place("t"), Rootfs("x.tar")), made_s=1, watchers=[hygiene])
    for _ in content.stream([make_tar(folder("etc"), ("etc/shadow", b"\n".join(lines)))]):
        pass

    assert [one.what for one in hygiene.findings()] == [
        "root has the password 'toor', which a stranger tries first"
    ]


def test_an_image_of_nothing_but_a_program_passes(engine: DockerEngine, busybox: str) -> None:
    """What Docker lays over a container is none of its faults."""
    hygiene = Hygiene(Gates(), frozenset({"10.1.2.3"}))
    content = Content(Artifact("a", "s", Place("t"), Rootfs("x.tar")), made_s=1, watchers=[hygiene])
    for _ in content.stream(engine.export(busybox)):
        pass

    assert hygiene.findings() == ()
