"""The configuration that is in force: read again when it is right."""

from __future__ import annotations

import json

from unit.helpers.sites import configuration


def test_a_changed_configuration_counts_at_once(site, tmp_path):
    document = json.loads(configuration())
    document["projects"]["third"] = {**document["projects"]["first"]}
    (tmp_path / "service.hjson").write_text(json.dumps(document))

    assert [project.name for project in site.service.projects] == ["first", "second", "third"]


def test_a_wrong_configuration_leaves_the_one_before(site, tmp_path):
    """With its problems for the page, until it is right again."""
    (tmp_path / "service.hjson").write_text(configuration(listen="x"))

    assert len(site.service.projects) == 2
    (problem,) = site.configuration.problems
    assert "not host:port" in problem.what

    (tmp_path / "service.hjson").write_text(configuration(builds={"parallel": 3}))
    assert site.service.limits.parallel == 3
    assert site.configuration.problems == ()


def test_a_removed_configuration_leaves_the_one_before(site, tmp_path):
    (tmp_path / "service.hjson").unlink()

    assert len(site.service.projects) == 2
    assert "cannot be read" in site.configuration.problems[0].what


def test_what_only_a_restart_changes_is_reported(site, tmp_path):
    (tmp_path / "service.hjson").write_text(configuration(storage={"directory": "elsewhere"}))

    assert site.storage == tmp_path / "workspace/published"
    assert "storage counts after a restart" in site.configuration.problems[0].what
