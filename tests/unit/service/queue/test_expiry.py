"""Old builds go with all that is theirs; what is in use stays."""

from __future__ import annotations

import functools
import os
import time

import pytest

from stalker.service.queue.expiry import remove_expired
from stalker.service.store import builds, deliveries, files, messages
from stalker.service.store.builds import Wish
from stalker.service.store.deliveries import Delivery
from stalker.service.store.files import File
from unit.helpers.sites import COMMIT, configuration, make_site


@pytest.fixture
def keeping(tmp_path, monkeypatch):
    """Return a service that keeps what is given."""
    sites = []

    def make(**keep):
        (tmp_path / "trees").mkdir(exist_ok=True)
        text = configuration(builds={"min_free": 1, "keep": keep} if keep else {"min_free": 1})
        sites.append(make_site(tmp_path, monkeypatch, text))
        return sites[-1]

    yield make
    for site in sites:
        site.database.close()


def build(site, state="success", *, ref="refs/heads/main", project="first", file=""):
    """Put a build that is over into the service, with a directory and a published file."""
    wish = Wish(project, project, ref, COMMIT, "push")
    write = functools.partial(site.database.write)
    made = write(functools.partial(builds.enqueue, wish=wish, queued_max=100, is_newer=False))
    write(lambda connection: builds.claim(connection, made.id))
    if state != "running":
        write(lambda connection: builds.finish(connection, made.id, state))
    root = site.places.build(made.id).root
    root.mkdir(parents=True)
    (root / "events.jsonl").write_text("{}\n")
    if file:
        directory = site.storage / project
        directory.mkdir(parents=True, exist_ok=True)
        (directory / file).write_text(file)
        link = directory / "newest"
        link.unlink(missing_ok=True)
        link.symlink_to(file)
        write(lambda connection: files.add(connection, File(made.id, project, file, "newest", 1, "0" * 64)))
    return made.id


def left(site):
    return {one.id for one in site.database.read(lambda connection: builds.listed(connection, limit=0))}


def test_the_newest_builds_of_each_project_are_kept_with_the_newest_success_of_each_ref(keeping):
    site = keeping(number=2)
    old = build(site, file="v1")
    branch = build(site, ref="refs/heads/other", file="v2")
    success = build(site, file="v3")
    failed = [build(site, "error") for _ in range(3)]
    second = build(site, project="second")

    remove_expired(site)

    assert left(site) == {branch, success, *failed[1:], second}
    assert sorted(os.listdir(site.storage / "first")) == ["newest", "v2", "v3"]
    assert not site.places.build(old).root.exists()
    assert site.places.build(success).root.exists()


def test_builds_are_kept_for_a_time(keeping, monkeypatch):
    site = keeping(age="1d")
    old, newest = build(site), build(site)
    remove_expired(site)
    assert left(site) == {old, newest}
    later = time.time() + 2 * 86400
    monkeypatch.setattr(time, "time", lambda: later)

    remove_expired(site)

    assert left(site) == {newest}


def test_without_keep_all_are_kept(keeping):
    site = keeping()
    made = {build(site), build(site), build(site)}

    remove_expired(site)

    assert left(site) == made


def test_a_build_that_runs_or_has_a_status_to_send_is_kept(keeping):
    site = keeping(number=1)
    runs, unsent = build(site, "running"), build(site, "error")
    site.database.write(lambda connection: messages.add(connection, unsent, "status", {}))
    build(site, "error")

    remove_expired(site)

    assert {runs, unsent} <= left(site)


def test_the_push_of_a_removed_build_is_still_known(keeping):
    """Its signed body, sent again later, builds nothing."""
    site = keeping(number=1)
    delivery = Delivery("first", "1", "push", b"a body")
    wish = Wish("first", "first", "refs/heads/main", COMMIT, "push")
    accept = functools.partial(deliveries.accept, delivery=delivery, wish=wish, reason="", queued_max=10)
    pushed = site.database.write(accept).build
    site.database.write(lambda connection: builds.cancel(connection, pushed))
    build(site)

    remove_expired(site)

    assert pushed not in left(site)
    assert site.database.write(accept).outcome == "duplicate"


def test_a_link_that_leads_to_another_file_stays(keeping):
    site = keeping(number=1)
    build(site, file="v1")
    build(site, file="v2")

    remove_expired(site)

    assert os.readlink(site.storage / "first" / "newest") == "v2"
    assert not (site.storage / "first" / "v1").exists()
