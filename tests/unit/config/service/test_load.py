"""service.hjson: what is right becomes a Service, and all that is wrong is reported at once."""

from __future__ import annotations

import json

import pytest

from stalker.config.check import check_files
from stalker.config.schema.service import SERVICE, service_schema
from stalker.config.service.load import check_service, read_secret_values, read_service
from stalker.errors import FilesError
from stalker.model.service import Published, brace_problem, fill


def text(**changes):
    project = {
        "hook": {"forge": "gitea", "secret": "HOOK", "repository": "example/core"},
        "source": {"git": "https://git.example.org/core.git"},
        "tree": "core",
        "set": {"BRANCH": "{branch}"},
    }
    base = {"secrets": {"HOOK": {"env": "HOOK"}}, "projects": {"core": project}}
    return json.dumps({**base, **changes})


def project(**changes):
    whole = json.loads(text())
    whole["projects"]["core"] |= changes
    return json.dumps(whole)


def problems(content):
    return [problem.what for problem in check_service(content, "service.hjson", "/w")]


def test_defaults_are_for_one_machine():
    """Without `listen` the service answers this machine alone, keeps SQLite and one build at a time."""
    service = read_service(text(), "service.hjson", "/w")

    assert (service.host, service.port, service.is_local) == ("127.0.0.1", 8520, True)
    assert service.database == "sqlite:////w/workspace/service.db"
    assert (service.storage, service.work_directory) == ("/w/workspace/published", "/w/workspace/service")
    assert (service.limits.parallel, service.limits.timeout_s) == (1, 7200)
    assert service.projects[0].hook.refs == ("heads/*",)


def test_sizes_and_durations_are_read():
    service = read_service(text(builds={"timeout": "90m", "min_free": "2g"}), "service.hjson", "/w")

    assert (service.limits.timeout_s, service.limits.min_free_bytes) == (5400, 2 * 1024**3)


def test_builds_are_kept_by_number_and_age():
    keep = {"number": 100, "age": "90d"}
    service = read_service(text(builds={"keep": keep}), "service.hjson", "/w")

    assert (service.limits.keep_number, service.limits.keep_s) == (100, 90 * 86400)


def test_published_files_have_names_and_links():
    """`link` beside one file is the link of that file; a mapping has its own."""
    one = read_service(project(publish={"a": "a-{branch}", "link": "a"}), "service.hjson", "/w")
    two = read_service(
        project(publish={"a": "a-{branch}", "b": {"as": "b-{commit:.10}", "link": "b"}}),
        "service.hjson",
        "/w",
    )

    assert one.projects[0].publish == (Published("a", "a-{branch}", "a"),)
    assert two.projects[0].publish == (Published("a", "a-{branch}"), Published("b", "b-{commit:.10}", "b"))


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (text(listen="0.0.0.0:80"), "could start builds"),
        (text(listen="80"), "not host:port"),
        (text(public_url="example.org"), "not an http or https address"),
        (text(database="mysql://x"), "not the address of a database"),
        (text(builds={"timeout": "soon"}), "'soon'"),
        (text(builds={"timeout": "0s"}), "more than zero"),
        (text(tokens={"a": {"secret": "NONE", "may": ["read"]}}), "no secret named 'NONE'"),
        (text(tokens={"a": {"secret": "HOOK", "may": ["all"]}}), "'all' is not possible here"),
        (text(secrets={"HOOK": {}}), "a secret has env or file"),
        (text(unknown=1), "unknown key 'unknown'"),
        (project(hook={"forge": "svn", "secret": "HOOK", "repository": "a"}), "'svn' is not possible here"),
        (
            project(hook={"forge": "git", "secret": "HOOK", "repository": "a", "refs": "main"}),
            "matches no ref",
        ),
        (project(source={"git": "--upload-pack=x"}), "not the address of a git repository"),
        (project(source={"git": "ext::sh -c id"}), "not the address of a git repository"),
        (project(set={"BRANCH": "{brunch}"}), "'{brunch}' is not a field"),
        (project(publish={"a": "../etc/{branch}"}), "not the name of a file"),
        (project(publish={"../a": "a"}), "not the name of a file"),
        (project(publish={"a": "a", "b": "b", "link": "c"}), "'link' goes with one published file"),
        (project(tag="No Image"), "not the name of an image"),
        (project(after=["other"]), "no project named 'other'"),
        (project(after=["core"]), "'core' is built after itself"),
        (project(status={"token": "HOOK"}), "the key 'api' is missing"),
        (project(allow={"host_paths": ["relative"]}), "not an absolute path"),
    ],
)
def test_a_slip_is_reported(content, part):
    """Each is one problem with its place."""
    assert any(part in what for what in problems(content)), problems(content)


def test_all_problems_are_reported_at_once():
    content = text(listen="80", public_url="x", database="y")

    assert len(problems(content)) == 3
    with pytest.raises(FilesError) as raised:
        read_service(content, "service.hjson", "/w")
    assert len(raised.value.problems) == 3


def test_check_knows_the_file_by_its_name(tmp_path):
    """`stalker check service.hjson` reports with file, line and column."""
    (tmp_path / "service.hjson").write_text(text(listen="80"))

    (problem,) = check_files([str(tmp_path / "service.hjson")], str(tmp_path))

    assert str(problem).startswith("service.hjson:1:")


def test_the_schema_is_made_of_the_declaration():
    document = service_schema()

    assert set(document["properties"]) == set(SERVICE.keys)
    assert [key for key, shape in SERVICE.keys.items() if not shape.help] == []


def test_secrets_come_from_the_environment_or_a_file(tmp_path):
    """A secret that is missing is missing in the result: who needs it reports that."""
    (tmp_path / "key").write_text("from a file\n")
    service = read_service(
        text(secrets={"HOOK": {"env": "HOOK"}, "KEY": {"file": "key"}, "NONE": {"file": "none"}}),
        "service.hjson",
        str(tmp_path),
    )

    values = read_secret_values(service.secrets, {"HOOK": "h"}, str(tmp_path))

    assert values == {"HOOK": "h", "KEY": "from a file"}


def test_fields_are_replaced_and_cut():
    assert fill("x-{branch}-{commit:.4}", {"branch": "main", "commit": "0123456789"}) == "x-main-0123"
    assert all(brace_problem(text) for text in ("{branch}{", "{0}", "{branch!r}"))
    assert not brace_problem("{branch}-{commit:.10}")
