"""The service over HTTP: hooks, roles, pages and the API, without an engine."""

from __future__ import annotations

import json

import pytest
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from stalker.io.atomic import write_file
from stalker.service.store import builds, deliveries, files
from stalker.service.store.builds import Wish
from stalker.service.store.files import File
from stalker.service.web.app import create_app
from unit.helpers.sites import COMMIT, configuration, make_site, payload, signed

TOKENS = {"team": {"secret": "TEAM", "may": ["read"]}}


@pytest.fixture
def client(site):
    with TestClient(create_app(site), base_url="http://127.0.0.1:8520", raise_server_exceptions=True) as made:
        yield made


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    """A service with a token that may read."""
    site = make_site(tmp_path, monkeypatch, configuration(tokens=TOKENS))
    with TestClient(create_app(site), base_url="http://images.example.org") as made:
        yield made
    site.database.close()


def queue(site, **more):
    wish = Wish("first", "first", "refs/heads/feature/x", COMMIT, "push", **more)
    return site.database.write(
        lambda connection: builds.enqueue(connection, wish, queued_max=10, is_newer=True)
    )


def post(client, body, **more):
    return client.post("/build/first/hook", content=body, headers=signed(body, **more))


# Hooks


def test_a_signed_push_is_queued(client):
    """Answered with the build's id, after it is stored."""
    answer = post(client, payload())

    assert (answer.status_code, answer.json()["status"]) == (202, "success")
    (build,) = client.get("/api/v1/queue").json()
    assert (build["id"], build["commit"]) == (answer.json()["build"], COMMIT)


def test_a_replayed_push_is_answered_and_not_built(client):
    first = post(client, payload())

    for delivery in ("1", "2"):
        again = post(client, payload(), delivery=delivery)
        assert (again.status_code, again.json()["build"]) == (200, first.json()["build"])
    assert len(client.get("/api/v1/builds").json()) == 1


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (payload(repository="o/x"), 200, "repository not tracked: o/x"),
        (payload(ref="refs/tags/v1"), 200, "tag not tracked: v1"),
        (payload(commit="0" * 40), 200, "refs/heads/main was deleted"),
        (b"{}", 400, ""),
        (b"no json", 400, ""),
    ],
)
def test_what_builds_nothing_is_answered_with_the_reason(client, body, status, message):
    answer = post(client, body)

    assert answer.status_code == status
    assert answer.json().get("message", "") == message
    assert client.get("/api/v1/builds").json() == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"X-Gitea-Signature": "0" * 64}, 401),
        ({"X-Gitea-Signature": ""}, 401),
        ({"Content-Length": str(26 << 20)}, 413),
        ({"Content-Length": "x"}, 413),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Transfer-Encoding": "chunked"}, 411),
    ],
)
def test_what_is_forged_or_of_another_form_is_refused(client, change, status):
    body = payload()
    answer = client.post("/build/first/hook", content=body, headers={**signed(body), **change})

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert client.get("/api/v1/builds").json() == []


def test_a_hook_without_a_secret_is_closed(client, monkeypatch):
    monkeypatch.delenv("TEST_HOOK_SECRET")

    assert post(client, payload(), secret="").status_code == 503


def test_a_hook_is_a_post_of_a_known_project(client):
    assert client.get("/build/first/hook").status_code == 405
    assert client.post("/build/none/hook", content=b"").status_code == 404


def test_a_full_queue_keeps_the_push(tmp_path, monkeypatch):
    """429 with a time; the push is stored."""
    site = make_site(tmp_path, monkeypatch, configuration(builds={"queued": 1}))
    with TestClient(create_app(site), base_url="http://localhost") as client:
        assert post(client, payload()).status_code == 202
        body = payload(repository="o/second")
        answer = client.post("/build/second/hook", content=body, headers=signed(body))

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    site.database.close()


@pytest.mark.parametrize(
    ("what", "status"),
    [("database or disk is full", 507), ("server closed the connection unexpectedly", 503)],
)
def test_a_push_that_cannot_be_stored_is_not_accepted(site, client, monkeypatch, what, status):
    """The forge shows the failure, and sends it again by hand or by itself."""

    def fail(*_args, **_more):
        raise OperationalError("INSERT", {}, Exception(what))

    monkeypatch.setattr(deliveries, "accept", fail)

    answer = post(client, payload())

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    monkeypatch.undo()
    assert site.database.read(builds.listed) == []


# Roles


def test_nothing_is_shown_without_a_token(guarded):
    """But for health, the login, and hooks, which are signed."""
    for path in (
        "/api/v1/builds",
        "/build/status",
        "/build/history",
        "/report/x",
        "/files/a/b",
        "/api/v1/metrics",
    ):
        assert guarded.get(path).status_code == 401, path
    page = guarded.get("/", headers={"Accept": "text/html"}, follow_redirects=False)
    assert (page.status_code, page.headers["location"]) == (303, "/login?to=/")
    assert guarded.get("/login").status_code == 200
    assert guarded.get("/api/v1/health").status_code == 200
    assert post(guarded, payload()).status_code == 202


def test_a_token_has_its_role_and_no_more(guarded):
    headers = {"Authorization": "Bearer team token"}

    assert guarded.get("/api/v1/builds", headers=headers).status_code == 200
    start = {"project": "first", "branch": "main"}
    answer = guarded.post("/api/v1/builds", headers=headers, json=start)
    assert (answer.status_code, "'team' may not do this" in answer.json()["title"]) == (403, True)


def test_wrong_tokens_are_slowed(guarded):
    """After ten none is looked at, not even the right one."""
    for number in range(10):
        headers = {"Authorization": f"Bearer wrong {number}"}
        assert guarded.get("/api/v1/builds", headers=headers).status_code == 401

    answer = guarded.get("/api/v1/builds", headers={"Authorization": "Bearer team token"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")


def test_a_browser_logs_in_with_a_token(guarded):
    """The cookie is for this site alone and no script reads it; a changed one is worth nothing."""
    wrong = guarded.post("/login", data={"token": "no"})
    assert (wrong.status_code, "This token is unknown" in wrong.text) == (401, True)

    answer = guarded.post(
        "/login", data={"token": "team token", "to": "//evil.example"}, follow_redirects=False
    )

    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert guarded.get("/").status_code == 200
    guarded.cookies.set("stalker_session", guarded.cookies["stalker_session"][:-1] + "x")
    assert guarded.get("/", follow_redirects=False).status_code in {303, 401}


def test_a_replaced_token_ends_its_sessions(guarded, monkeypatch):
    guarded.post("/login", data={"token": "team token"})
    assert guarded.get("/api/v1/builds").status_code == 200

    monkeypatch.setenv("TEST_TEAM_TOKEN", "another")

    assert guarded.get("/api/v1/builds").status_code == 401


def test_a_cookie_alone_starts_nothing(tmp_path, monkeypatch):
    """A form has a token of its page, a program sends its own."""
    tokens = {"team": {"secret": "TEAM", "may": ["run"]}}
    site = make_site(tmp_path, monkeypatch, configuration(tokens=tokens))
    with TestClient(create_app(site), base_url="http://images.example.org") as client:
        client.post("/login", data={"token": "team token"})
        start = {"project": "first", "branch": "main"}
        assert client.post("/api/v1/builds", json=start).status_code == 403
        assert client.post("/projects/first/start", data={"branch": "main"}).status_code == 403
        page = client.get("/projects/first").text
        csrf = page.split('name="csrf" value="')[1].split('"')[0]
        answer = client.post(
            "/projects/first/start", data={"branch": "main", "csrf": csrf}, follow_redirects=False
        )
        assert answer.status_code == 303
        assert client.get(answer.headers["location"]).status_code == 200
    site.database.close()


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_page_of_another_site_starts_nothing(client, headers):
    answer = client.post("/api/v1/builds", json={"project": "first", "branch": "main"}, headers=headers)

    assert answer.status_code == 403


def test_a_name_of_another_site_does_not_reach_a_local_service(client):
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert client.get("/", headers={"Host": "localhost:8520"}).status_code == 200


# The API


def test_a_build_is_started_cancelled_and_run_again(client):
    build = client.post("/api/v1/builds", json={"project": "first", "branch": "feature/x"}).json()
    assert (build["state"], build["cause"], build["ref"]) == (
        "queued",
        "started by local",
        "refs/heads/feature/x",
    )

    cancelled = client.post(f"/api/v1/builds/{build['id']}/cancel").json()
    assert cancelled["state"] == "cancelled"
    assert client.post(f"/api/v1/builds/{build['id']}/cancel").status_code == 409

    again = client.post(f"/api/v1/builds/{build['id']}/again", json={"start_from": "first:step"}).json()
    assert (again["start_from"], again["state"]) == ("first:step", "queued")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/v1/builds", {"project": "none", "branch": "main"}, 404),
        ("/api/v1/builds", {"project": "first", "branch": "a b"}, 422),
        ("/api/v1/builds", {"project": "first", "branch": "main", "commit": "--help"}, 422),
        ("/api/v1/builds", {}, 422),
        ("/api/v1/builds/none/cancel", None, 404),
        ("/api/v1/builds/none/again", {"start_from": "a;b"}, 422),
    ],
)
def test_what_is_wrong_is_a_problem(client, path, body, status):
    answer = client.post(path, json=body)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status


def test_each_route_of_the_api_is_described(client):
    document = client.get("/api/openapi.json").json()

    assert all(one.get("description") for methods in document["paths"].values() for one in methods.values())
    assert client.get("/api/docs").status_code == 200


def test_events_begin_where_the_reader_was(site, client):
    """Each has an id; the last says how the build ended."""
    build = queue(site)
    client.post(f"/api/v1/builds/{build.id}/cancel")
    events = [{"event": "note", "at": 1.0, "level": "info", "text": str(number)} for number in range(3)]
    file = site.places.build(build.id).events
    file.parent.mkdir(parents=True)
    file.write_text("".join(json.dumps(event) + "\n" for event in events))

    whole = client.get(f"/api/v1/builds/{build.id}/events").text
    ids = [line.split(": ")[1] for line in whole.splitlines() if line.startswith("id: ")]
    rest = client.get(f"/api/v1/builds/{build.id}/events", headers={"Last-Event-ID": ids[1]}).text

    assert whole.count("event: note") == 3
    assert rest.count("event: note") == 1
    assert '"text": "2"' in rest
    assert '{"state": "cancelled"}' in rest
    assert "=== info: 1" in client.get(f"/report/{build.id}").text


def test_metrics_count_builds(site, client):
    queue(site)

    assert 'stalker_builds{state="queued"} 1.0' in client.get("/api/v1/metrics").text


def test_a_service_that_cannot_start_builds_is_not_ready(site, client):
    assert client.get("/api/v1/ready").status_code == 200
    site.trouble = "no space"
    assert client.get("/api/v1/ready").status_code == 503
    assert "no space" in client.get("/").text


# Files


def test_only_published_files_are_served(site, client, tmp_path):
    directory = site.storage / "first"
    directory.mkdir(parents=True)
    (directory / "x-1.tar").write_text("content")
    (directory / "other").write_text("not published")
    (tmp_path / "outside").write_text("outside")
    file = File("b", "first", "x-1.tar", "x.tar", 7, "0" * 64)
    site.database.write(lambda connection: files.add(connection, file))

    assert client.get("/files/first/x-1.tar").text == "content"
    assert client.get("/files/first/x.tar").headers["etag"] == f'"{"0" * 64}"'
    part = client.get("/files/first/x.tar", headers={"Range": "bytes=2-3"})
    assert (part.status_code, part.text) == (206, "nt")
    for path in ("/files/first/other", "/files/first/..%2f..%2foutside", "/files/%2e%2e/outside"):
        assert client.get(path).status_code == 404, path


# Pages and the routes of the original


def test_texts_of_strangers_are_text(site, client):
    """Commit messages, names and output, on every page."""
    evil = "<img src=x onerror=alert(1)>"
    commits = [{"id": COMMIT, "message": evil, "author": evil, "url": ""}]
    build = queue(site, push={"pusher": evil, "commits": commits})
    file = site.places.build(build.id).events
    file.parent.mkdir(parents=True)
    output = {"event": "step_output", "step": "a:b", "data": evil + "\n", "stream": "stdout"}
    file.write_text(json.dumps(output) + "\n")

    for path in (
        "/",
        "/monitor",
        "/builds",
        "/projects/first",
        f"/builds/{build.id}",
        f"/builds/{build.id}/steps/a:b",
    ):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert evil not in answer.text, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    client.post(f"/api/v1/builds/{build.id}/cancel")
    assert client.get(f"/report/{build.id}").headers["content-type"].startswith("text/plain")


def test_a_page_is_whole_without_javascript(site, client):
    """Nothing of it waits for a script, nothing comes from elsewhere."""
    build = queue(site)
    text = client.get(f"/builds/{build.id}").text

    assert "feature/x" in text
    assert "http://" not in text.replace("http://127.0.0.1", "")
    assert "https://" not in text
    assert "style=" not in text
    for asset in ("style.css", "live.js", "icon.svg"):
        assert client.get(f"/static/{asset}").status_code == 200


def test_a_page_of_300_steps_is_small(site, client):
    """At most 150 kB."""
    build = queue(site)
    steps = [
        {
            "step": f"stalk{number}:step_with_a_name",
            "verdict": "RUN",
            "reason": "the script of the step was changed in stalks/x/x.hjson:12",
            "parent": None,
            "needs": [],
            "estimate_s": None,
            "image": "",
        }
        for number in range(300)
    ]
    file = site.places.build(build.id).events
    file.parent.mkdir(parents=True)
    planned = {"event": "planned", "steps": steps, "bases": [], "artifacts": []}
    output = {
        "event": "step_output",
        "step": "stalk1:step_with_a_name",
        "data": "x" * 100 + "\n",
        "stream": "stdout",
    }
    file.write_text(json.dumps(planned) + "\n" + (json.dumps(output) + "\n") * 2000)

    assert len(client.get(f"/builds/{build.id}").content) < 150_000


def test_history_and_status_have_the_fields_of_the_original(site, client):
    build = queue(site, push={"commits": [{"id": COMMIT}]})
    (status,) = client.get("/build/status").json().values()
    fields = {
        "status",
        "name",
        "monitor",
        "docker",
        "started",
        "ended",
        "error",
        "commits",
        "artifact",
        "tag",
    }
    assert set(status) == fields
    assert (status["status"], status["name"]) == ("creating", "first/feature/x")

    site.database.write(lambda connection: builds.claim(connection, build.id))
    write_file(_events(site, build), json.dumps({"event": "run_started", "run": "r", "tree": "first"}) + "\n")
    assert client.get("/build/status").json()[build.id]["status"] == "initializing"
    site.database.write(lambda connection: builds.finish(connection, build.id, "error", error="no luck"))

    (past,) = client.get("/build/history").json()
    assert set(past) == fields | {"id", "baseimage"}
    assert (past["id"], past["status"], past["error"]) == (build.id, "error", "no luck")
    assert client.get("/build/history/full").json() == [past]
    assert "=== error: no luck" in client.get("/build/logs/o/first/feature/x").text
    assert client.get("/build/logs/o/first/none").status_code == 404


def _events(site, build):
    file = site.places.build(build.id).events
    file.parent.mkdir(parents=True, exist_ok=True)
    return file
