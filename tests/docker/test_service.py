"""The service with a real engine and real git repositories: a push becomes an image, and a kill loses nothing."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from run_space import docker
from workspace import LIB

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(importlib.util.find_spec("fastapi") is None, reason="needs the extra [service]"),
]

SECRET = "hook secret"
DEADLINE_S = 240


def git(*arguments, cwd):
    names = {"GIT_AUTHOR_NAME": "Ann", "GIT_COMMITTER_NAME": "Ann"}
    mails = {"GIT_AUTHOR_EMAIL": "ann@example.org", "GIT_COMMITTER_EMAIL": "ann@example.org"}
    done = subprocess.run(
        ["git", *arguments],
        cwd=cwd,
        env={**os.environ, **names, **mails},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


class Repository:
    """A git repository with a tree of its name; `push` sends what a forge would send."""

    def __init__(self, path, name, space, owner):
        self.path, self.name, self.space = path / name, name, space
        self.full_name = f"{owner}/{name}"
        self.path.mkdir()
        git("init", "--quiet", "-b", "main", cwd=self.path)

    def write(self, file, content):
        target = self.path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)

    def tree(self, stalks, plugins, options=None):
        architecture = {"OS": self.space.os, "ARCH": self.space.arch, "SUBARCH": self.space.subarch}
        self.write(f"trees/{self.name}.hjson", json.dumps({"architecture": architecture, "stalks": stalks}))
        steps = {name: {"exec": True, "text": f"#!/bin/sh\n{text}\n"} for name, text in plugins.items()}
        stalk = {"DOCKER_OPTS": options or {"network": "none"}, "plugins": steps}
        self.write(f"stalks/{self.name}/{self.name}.hjson", json.dumps(stalk))

    def commit(self, message="a change", branch="main"):
        git("checkout", "--quiet", "-B", branch, cwd=self.path)
        git("add", "-A", cwd=self.path)
        git("commit", "--quiet", "--allow-empty", "-m", message, cwd=self.path)
        return git("rev-parse", "HEAD", cwd=self.path)

    def payload(self, commit, branch="main"):
        return json.dumps(
            {
                "ref": f"refs/heads/{branch}",
                "after": commit,
                "repository": {"full_name": self.full_name},
                "pusher": {"username": "ann"},
                "commits": [
                    {"id": commit, "message": "<img src=x onerror=alert(1)>", "author": {"name": "Ann"}}
                ],
            }
        ).encode()


class Service:
    """`stalker serve` as a process, and its API."""

    def __init__(self, path):
        self.path = path
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = None
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def configure(self, projects, **more):
        document = {
            "listen": f"127.0.0.1:{self.port}",
            "builds": {"parallel": 2, "min_free": "1m"},
            "secrets": {"HOOK_SECRET": {"env": "HOOK_SECRET"}},
            "projects": projects,
            **more,
        }
        (self.path / "service.hjson").write_text(json.dumps(document, indent=1))

    def start(self):
        environment = {**os.environ, "HOOK_SECRET": SECRET, "PYTHONPATH": str(LIB)}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "stalker.cli", "serve"],
            cwd=self.path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.process.stderr.readline()
        assert line.startswith("listening at"), line + self.process.stderr.read()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stderr.close()

    def push(self, repository, commit, branch="main", body=None):
        body = body or repository.payload(commit, branch)
        digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "X-Gitea-Event": "push",
            "X-Gitea-Signature": digest,
            "X-Gitea-Delivery": str(uuid.uuid4()),
        }
        return self.http.post(f"/build/{repository.name}/hook", content=body, headers=headers)

    def get(self, path):
        answer = self.http.get(path)
        assert answer.is_success, answer.text
        return answer.json()

    def wait(self, is_so, what):
        """Return what `is_so` finds in the list of builds, newest first."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            builds = self.get("/api/v1/builds?limit=50")
            found = is_so(builds)
            if found:
                return found
            time.sleep(0.2)
        pytest.fail(f"{what}: {json.dumps(builds, indent=1)}")

    def ended(self, build_id):
        """Wait for the end of a build and return it."""
        over = {"success", "error", "timeout", "cancelled", "replaced"}
        return self.wait(
            lambda builds: next(
                (one for one in builds if one["id"] == build_id and one["state"] in over), None
            ),
            f"{build_id} does not end",
        )


@pytest.fixture
def owner(engine):
    """The name that all tagged images of a test begin with."""
    name = f"stalker-service-{uuid.uuid4().hex[:8]}"
    yield name
    listed = docker("images", "--format", "{{.Repository}}:{{.Tag}}", f"{name}/*").stdout.split()
    if listed:
        docker("rmi", *listed, check=False)


@pytest.fixture
def service(tmp_path):
    (tmp_path / "site").mkdir()
    made = Service(tmp_path / "site")
    yield made
    made.http.close()
    if made.process is not None and made.process.poll() is None:
        made.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            made.process.wait(20)
        made.process.kill()
        made.process.wait()
        made.process.stderr.close()


def project(repository, **more):
    return {
        "hook": {"forge": "git", "secret": "HOOK_SECRET", "repository": repository.full_name},
        "source": {"git": str(repository.path)},
        "tree": repository.name,
        **more,
    }


@pytest.fixture
def pair(tmp_path, workspace, owner):
    """Two repositories: core grows on the image of initramfs of the nearest branch."""
    first = Repository(tmp_path, "initramfs", workspace, owner)
    node = {
        "base": {"tag": workspace.base},
        "artifacts": {"kernel": {"files": "kernel.tar", "paths": ["/kernel"]}},
    }
    first.tree({"initramfs": node}, {"make": 'echo "made one" >/kernel; echo built'})
    second = Repository(tmp_path, "core", workspace, owner)
    base = {"tag": f"{owner}/initramfs:{{BRANCH}}", "nearest": True, "fallback": "main"}
    second.tree({"core": {"base": base, "BRANCH": "main"}}, {"use": "cat /kernel; cp /kernel /core"})
    return first, second


def test_a_push_becomes_an_image_its_files_and_the_build_after_it(service, pair, owner, engine):
    """Push -> queue -> build -> tag -> published file -> dependent, which starts from the tag."""
    first, second = pair
    commit = first.commit("make it")
    second.commit("use it")
    publish = {"kernel.tar": "kernel-{branch}-{commit:.10}.tar", "link": "kernel-{branch}.tar"}
    service.configure(
        {
            "initramfs": project(first, tag=f"{owner}/initramfs:{{branch}}", publish=publish),
            "core": project(second, set={"BRANCH": "{branch}"}, after=["initramfs"]),
        }
    )
    service.start()

    answer = service.push(first, commit)

    assert answer.status_code == 202, answer.text
    build = service.ended(answer.json()["build"])
    assert (build["state"], build["error"]) == ("success", "")
    assert build["tag"] == f"{owner}/initramfs:main"
    assert engine.image(build["tag"]) is not None
    (file,) = service.get(f"/api/v1/builds/{build['id']}/files")
    assert file["name"] == f"kernel-main-{commit[:10]}.tar"
    content = service.http.get(file["url"]).content
    assert hashlib.sha256(content).hexdigest() == file["sha256"]
    assert service.http.get(file["link_url"]).content == content
    part = service.http.get(file["url"], headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, content[:10])

    after = service.wait(
        lambda builds: next((one for one in builds if one["project"] == "core"), None), "core is not built"
    )
    after = service.ended(after["id"])
    assert (after["state"], after["error"]) == ("success", "")
    assert after["commit"] == git("rev-parse", "HEAD", cwd=second.path)
    assert "made one" in service.http.get(f"/report/{after['id']}").text

    history = service.get("/build/history")
    assert [one["name"] for one in history] == ["core/main", "initramfs/main"]
    assert history[1]["commits"][0]["message"] == "<img src=x onerror=alert(1)>"
    assert history[1]["artifact"] == f"initramfs/kernel-main-{commit[:10]}.tar"
    assert "built" in history[1]["monitor"]
    page = service.http.get(f"/builds/{build['id']}").text
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    again = service.push(first, commit, body=first.payload(commit))
    assert (again.status_code, again.json()["build"]) == (200, build["id"])


def test_a_killed_service_loses_no_build(service, pair):
    """The build that runs goes on without the service, the next start watches it and builds what waits."""
    first, second = pair
    first.tree({"initramfs": {"base": {"tag": first.space.base}}}, {"slow": "echo begun; sleep 6; echo over"})
    commit = first.commit()
    second.tree({"core": {"base": {"tag": first.space.base}}}, {"quick": "echo quick"})
    other = second.commit()
    service.configure(
        {"initramfs": project(first), "core": project(second)}, builds={"parallel": 1, "min_free": "1m"}
    )
    service.start()
    build = service.push(first, commit).json()["build"]
    waiting = service.push(second, other).json()["build"]
    service.wait(
        lambda _: any(step["state"] == "running" for step in service.get(f"/api/v1/builds/{build}/steps")),
        "no step",
    )

    service.kill()
    service.start()

    ends = [service.ended(one) for one in (build, waiting)]
    assert [(one["state"], one["attempts"], one["error"]) for one in ends] == [("success", 1, "")] * 2
    assert service.http.get(f"/report/{build}").text.count("begun\n") == 1


def test_a_build_that_dies_goes_on_from_the_last_committed_step(service, pair):
    """Killed with the service, it is taken up at its next start; what is committed is not done again."""
    first, _ = pair
    first.tree(
        {"initramfs": {"base": {"tag": first.space.base}}},
        {"one": "echo first step", "two": "test -e /tmp/never || sleep 5; echo second step"},
    )
    commit = first.commit()
    service.configure({"initramfs": project(first)})
    service.start()
    build = service.push(first, commit).json()["build"]

    def second_runs(_):
        steps = service.get(f"/api/v1/builds/{build}/steps")
        return len(steps) == 2 and steps[1]["state"] == "running"

    service.wait(second_runs, "the second step does not run")
    group = int((service.path / "workspace/service/builds" / build / "process").read_text())
    service.kill()
    os.killpg(group, signal.SIGKILL)
    service.start()

    ended = service.ended(build)
    assert (ended["state"], ended["attempts"]) == ("success", 2)
    assert service.http.get(f"/report/{build}").text.count("first step\n") == 1


def test_a_build_is_cancelled_and_run_again_from_a_step(service, pair):
    """The container goes, the state is clear, and a step named by hand runs again."""
    first, _ = pair
    first.tree({"initramfs": {"base": {"tag": first.space.base}}}, {"one": "echo one", "two": "echo two"})
    done = first.commit()
    service.configure({"initramfs": project(first)})
    service.start()
    build = service.push(first, done).json()["build"]
    assert service.ended(build)["state"] == "success"

    again = service.http.post(f"/api/v1/builds/{build}/again", json={"start_from": "initramfs:two"}).json()
    assert service.ended(again["id"])["state"] == "success"
    steps = service.get(f"/api/v1/builds/{again['id']}/steps")
    assert [step["state"] for step in steps] == ["reused", "done"]

    first.tree({"initramfs": {"base": {"tag": first.space.base}}}, {"slow": "echo begun; sleep 600"})
    build = service.push(first, first.commit()).json()["build"]
    service.wait(
        lambda _: any(one["state"] == "running" for one in service.get(f"/api/v1/builds/{build}/steps")),
        "no step",
    )
    service.http.post(f"/api/v1/builds/{build}/cancel").raise_for_status()
    ended = service.ended(build)
    assert (ended["state"], ended["is_cancelled"]) == ("cancelled", True)
    assert service.http.post(f"/api/v1/builds/{build}/cancel").status_code == 409


def test_what_a_pushed_tree_asks_beyond_its_project_is_refused(service, pair):
    """With the line that asks; nothing of it runs."""
    first, _ = pair
    first.tree({"initramfs": {"base": {"tag": first.space.base}}}, {"x": "true"}, {"privileged": True})
    service.configure({"initramfs": project(first)})
    service.start()

    ended = service.ended(service.push(first, first.commit()).json()["build"])

    assert (ended["state"], ended["exit_code"]) == ("error", 2)
    assert "privileged gives rights over the machine" in ended["error"]
    assert "stalks/initramfs/initramfs.hjson:" in ended["error"]

    first.tree({"initramfs": {"base": {"tag": first.space.base}}}, {"x": "true"})
    (first.path / "sysroot").mkdir()
    (first.path / "sysroot/host").symlink_to("/etc")
    ended = service.ended(service.push(first, first.commit()).json()["build"])
    assert "sysroot/host -> /etc" in ended["error"]


def test_a_failed_step_and_a_base_that_is_missing_are_errors(service, pair, owner):
    first, second = pair
    first.tree({"initramfs": {"base": {"tag": first.space.base}}}, {"x": "echo no luck; exit 3"})
    service.configure({"initramfs": project(first), "core": project(second, set={"BRANCH": "{branch}"})})
    service.start()

    failed = service.push(first, first.commit()).json()["build"]
    missing = service.push(second, second.commit()).json()["build"]

    ended = service.ended(failed)
    assert (ended["state"], ended["exit_code"]) == ("error", 1)
    assert "initramfs:x" in ended["error"]
    ended = service.ended(missing)
    assert f"there is no image {owner}/initramfs:main" in ended["error"]


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, without the programs that it starts beside a page."""
    with sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
        made = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=quiet)
        yield made
        made.close()


WINDOWS = {
    "desk": {"viewport": {"width": 1280, "height": 900}},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}},
}


def test_the_page_is_live_and_can_be_used_by_everyone(service, pair, browser):
    """A build is followed, cancelled and run again from a step; any window, dark, and without JavaScript."""
    first, _ = pair
    base = {"initramfs": {"base": {"tag": first.space.base}}}
    first.tree(base, {"one": "echo one", "two": "echo two"})
    service.configure({"initramfs": project(first)})
    service.start()
    done = service.push(first, first.commit()).json()["build"]
    assert service.ended(done)["state"] == "success"
    first.tree(base, {"one": "echo one", "slow": "for n in $(seq 600); do echo line $n; sleep 0.5; done"})
    runs = service.push(first, first.commit()).json()["build"]

    address = str(service.http.base_url)
    page = browser.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{address}/builds/{runs}")
    page.evaluate("window.isStillHere = true")
    page.get_by_text("line 4").wait_for()  # it came while the page was open
    page.get_by_role("button", name="Cancel").wait_for()
    for name, window in WINDOWS.items():
        context = browser.new_context(**window)
        for path in (
            "/",
            f"/builds/{runs}",
            f"/builds/{done}",
            f"/builds/{done}/steps/initramfs:one",
            "/builds",
        ):
            other = context.new_page()
            other.goto(address + path)
            found = Axe().run(other)
            assert found.violations_count == 0, f"{name} {path}: {found.generate_report()}"
            assert other.evaluate("document.documentElement.scrollWidth") == window["viewport"]["width"]
            other.close()
        context.close()
    assert page.evaluate("window.isStillHere")

    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("cancelled", exact=True).first.wait_for()
    assert service.ended(runs)["state"] == "cancelled"

    page.goto(f"{address}/builds/{done}")
    page.get_by_label("From").select_option("initramfs:two")
    page.get_by_role("button", name="Run again").click()
    page.wait_for_url(lambda url: "/builds/" in url and done not in url)
    again = page.url.rpartition("/")[2]
    assert service.ended(again)["state"] == "success"
    assert [step["state"] for step in service.get(f"/api/v1/builds/{again}/steps")] == ["reused", "done"]
    assert errors == []

    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(f"{address}/builds/{again}")
    assert plain.get_by_role("link", name="initramfs:two").is_visible()
    assert "=== initramfs:two done" in plain.locator("pre.log").inner_text()
