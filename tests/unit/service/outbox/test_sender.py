"""Statuses reach the forge in the form that it documents; its outage delays them and nothing else."""

from __future__ import annotations

import http.server
import json
import threading

import pytest

from stalker.service.outbox.sender import Sender
from stalker.service.outbox.statuses import CommitStatus, NotAccepted, send_status
from stalker.service.store import messages
from unit.helpers.sites import COMMIT, configuration

STATUS = CommitStatus("o/first", COMMIT, "error", "no luck", "http://x/builds/1")


@pytest.fixture
def forge():
    """A server that records what it is sent, and answers with `answer`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.seen.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(server.answer)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen, server.answer = [], 201
    server.api = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("name", "path", "header", "state"),
    [
        ("github", f"/repos/o/first/statuses/{COMMIT}", ("Authorization", "Bearer t"), "error"),
        ("gitea", f"/repos/o/first/statuses/{COMMIT}", ("Authorization", "token t"), "error"),
        ("gitlab", f"/projects/o%2Ffirst/statuses/{COMMIT}", ("PRIVATE-TOKEN", "t"), "failed"),
    ],
)
def test_each_forge_gets_its_form(forge, name, path, header, state):
    send_status(name, forge.api, "t", STATUS)

    ((seen, headers, body),) = forge.seen
    lower = {key.lower(): value for key, value in headers.items()}
    assert (seen, lower[header[0].lower()]) == (path, header[1])
    assert (body["state"], body["target_url"], body["description"]) == (state, STATUS.target_url, "no luck")


@pytest.mark.parametrize(("answer", "is_final"), [(500, False), (429, False), (401, True), (404, True)])
def test_a_refusal_is_tried_again_where_that_may_help(forge, answer, is_final):
    forge.answer = answer

    with pytest.raises(NotAccepted) as raised:
        send_status("gitea", forge.api, "t", STATUS)

    assert raised.value.is_final == is_final


def configure(tmp_path, api):
    document = json.loads(configuration())
    document["projects"]["first"] |= {"status": {"token": "TEAM", "api": api}, "notify": ["TEAM"]}
    (tmp_path / "service.hjson").write_text(json.dumps(document))


def status_message(site):
    content = {"project": "first", "commit": COMMIT, "state": "success", "said": "success"}
    site.database.write(lambda connection: messages.add(connection, "b", "status", content))


def test_a_stored_status_is_sent_once(site, forge, tmp_path):
    configure(tmp_path, forge.api)
    status_message(site)

    Sender(site).send_due()
    Sender(site).send_due()

    assert [body["state"] for _, _, body in forge.seen] == ["success"]
    assert site.database.read(lambda connection: messages.of_build(connection, "b")) == [
        ("status", "sent", "")
    ]


def test_an_outage_keeps_the_message(site, forge, tmp_path):
    configure(tmp_path, forge.api)
    forge.answer = 503
    status_message(site)

    Sender(site).send_due()

    ((_, state, error),) = site.database.read(lambda connection: messages.of_build(connection, "b"))
    assert (state, error.startswith("503")) == ("waiting", True)


def test_a_notification_goes_to_its_address(site, forge, tmp_path, monkeypatch):
    """By Apprise: here its plain JSON over HTTP."""
    configure(tmp_path, forge.api)
    monkeypatch.setenv("TEST_TEAM_TOKEN", forge.api.replace("http://", "json://"))
    content = {"secret": "TEAM", "title": "first main: error", "body": "no luck"}
    site.database.write(lambda connection: messages.add(connection, "b", "notify", content))

    Sender(site).send_due()

    ((_, _, body),) = forge.seen
    assert (body["title"], body["message"]) == ("first main: error", "no luck")


def test_a_secret_is_in_no_message(site, tmp_path, monkeypatch):
    configure(tmp_path, "http://127.0.0.1:9/team token")
    status_message(site)

    Sender(site).send_due()

    ((_, _, error),) = site.database.read(lambda connection: messages.of_build(connection, "b"))
    assert error
    assert "team token" not in error
