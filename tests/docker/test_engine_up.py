"""An engine that is down comes up: dockerd itself, in namespaces of its own, beside the host's engine.

Each test has its own mounts, network and processes: an empty /run, image store and log folder. What it
starts ends with it, and the engine of the host sees nothing of it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LIB = Path(__file__).resolve().parents[2] / "lib"

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and dockerd need root"),
    pytest.mark.skipif(not shutil.which("dockerd", path="/usr/sbin:/usr/bin"), reason="no dockerd"),
]

INSIDE = """
set -e
mount --make-rprivate /
for folder in /run /var/lib/docker /var/log; do mkdir -p $folder; mount -t tmpfs none $folder; done
ip link set lo up
"""

UP = """
import json, os, sys
from stalker.engine.discovery import ping
from stalker.host.start_engine import engine_up
from stalker.errors import NoEngine
said = []
try:
    found = engine_up(yes=False, ask=None, say=said.append, environ=os.environ)
    print(json.dumps({"url": found.address.url, "api": ping(found).api_version, "said": said}))
except NoEngine as error:
    print(json.dumps({"brief": error.brief, "details": error.details, "resolution": error.resolution, "said": said}))
"""


def in_namespaces(script, **environ):
    """Run a shell script on what looks like a fresh boot; return the JSON lines that it printed.

    `$UP` in it runs `engine_up`.
    """
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    environ = {
        "PATH": path,
        "HOME": "/nonexistent",
        "PYTHONPATH": str(LIB),
        "PYTHON": sys.executable,
        "CODE": UP,
        **environ,
    }
    shell = f'{INSIDE}\nup() {{ "$PYTHON" -c "$CODE"; }}\nset +e\n{script}'
    command = ["unshare", "-m", "-n", "-p", "-f", "--mount-proc", "--kill-child", "sh", "-c", shell]
    # Output by files: dockerd in the background must not keep this waiting.
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    if "unshare" in done.stderr:
        pytest.skip(done.stderr.strip())
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, done.stderr
    return lines


def test_the_installed_engine_is_started():
    """After a boot without an init system `engine up` starts dockerd and says so."""
    first, second = in_namespaces("up; up")

    assert first["url"] == "unix:///var/run/docker.sock"
    assert tuple(map(int, first["api"].split("."))) >= (1, 41)
    assert any("starting" in line for line in first["said"])
    assert second["said"] == ["an engine answers at unix:///var/run/docker.sock (the default socket)"]


def test_what_a_killed_engine_left_is_no_obstacle():
    """After kill -9 its pid file now names another process, its socket is dead: the next one starts."""
    first, second = in_namespaces(
        """
        up
        kill -9 $(cat /run/docker.pid)
        while kill -0 $(cat /run/docker.pid) 2>/dev/null; do :; done
        echo $$ > /run/docker.pid
        up
        """
    )

    assert "url" in first
    assert second["url"] == "unix:///var/run/docker.sock"
    assert any(line.startswith("removed /var/run/docker.pid") for line in second["said"])


def test_two_at_once_share_one_engine():
    """Both callers get the engine, whichever started it."""
    found = in_namespaces("up & up & wait $!; wait %1")

    assert [one.get("url") for one in found] == ["unix:///var/run/docker.sock"] * 2, found


def test_an_engine_that_cannot_start_is_quoted(tmp_path):
    """The end of its log is in the message."""
    (tmp_path / "daemon.json").write_text('{"no-such-option": true}')

    (found,) = in_namespaces(f"mkdir -p /etc/docker; mount --bind {tmp_path} /etc/docker; up")

    assert found["brief"] == "the engine ended as soon as it was started"
    assert "no-such-option" in found["details"]
    assert "log" in found["resolution"]


def test_another_engine_that_the_user_named_is_never_replaced():
    """DOCKER_HOST that does not answer: nothing is started."""
    (found,) = in_namespaces("up", DOCKER_HOST="unix:///run/other.sock")

    assert found["brief"] == "no engine answers at unix:///run/other.sock"
    assert found["said"] == []


def test_who_is_not_root_is_told_the_command():
    """An ordinary user cannot start the system's engine, and learns how root does."""
    if not Path("/usr/bin/python3").exists() or not os.access("/usr/bin/python3", os.X_OK):
        pytest.skip("no python3 that other users may run")
    (found,) = in_namespaces(
        'mkdir -p /run/lib; cp -r "$PYTHONPATH/stalker" /run/lib; '
        'PYTHONPATH=/run/lib setpriv --reuid 65534 --regid 65534 --clear-groups /usr/bin/python3 -c "$CODE"'
    )

    assert found["brief"] == "the installed engine does not run"
    assert found["resolution"].startswith("sudo ")
    assert found["said"] == []
