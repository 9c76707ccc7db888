import pytest
import yaml
from click.testing import CliRunner

from stalker.cli.commands.image_info import sizes, stanza
from stalker.errors import InputError
from unit.fetch.oci.test_archive_reader import ARM, ONE, docker_archive, tarred
from unit.helpers.hub import hub_serving, layer


def run(*arguments):
    return CliRunner().invoke(sizes, [*map(str, arguments)], catch_exceptions=False)


@pytest.mark.parametrize("names", [["caddy:2.6"], []])
def test_an_archive_tells_its_sizes_as_lines_of_a_configuration(tmp_path, names):
    """With its name in full, or a place for one."""
    path = tmp_path / "x.tar"
    path.write_bytes(tarred(docker_archive([ONE], names=names)))

    (found,) = yaml.safe_load(run(path).stdout)["oci_images"]

    ident = "docker.io/library/caddy:2.6" if names else ""
    assert found == {"ident": ident, "filesize": path.stat().st_size, "fullsize": len(ONE)}


def test_a_name_is_asked_for_at_its_registry(tmp_path):
    with hub_serving() as hub:
        hub.push(layers=[layer(a=b"x" * 3_000_000)])
        done = run(f"{hub.address}/a/b:1", "--cache-dir", tmp_path / "cache")

    (found,) = yaml.safe_load(done.stdout)["oci_images"]
    assert (found["ident"], found["fullsize"]) == (f"{hub.address}/a/b:1", len(layer(a=b"x" * 3_000_000)))
    assert "# 2.88 MiB" in done.stdout
    assert not list((tmp_path / "cache").glob("content/*/*"))


@pytest.mark.parametrize("name", ["./none", "none.tar", "/none"])
def test_a_file_that_is_not_there_is_no_name(name):
    with pytest.raises(InputError, match="there is no file"):
        run(name)


def test_a_platform_can_be_asked_for(tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(tarred(docker_archive([ONE], platform="linux/amd64")))

    assert run(path, "--platform", "amd64").exit_code == 0
    with pytest.raises(InputError, match=f"not made for {ARM}"):
        run(path)


def test_a_name_with_brackets_is_quoted():
    """YAML would read a list."""
    assert yaml.safe_load(stanza("[::1]:5000/a:1", 1, 2))["oci_images"][0]["ident"] == "[::1]:5000/a:1"
