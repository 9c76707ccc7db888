import pytest

from stalker.model.image_name import parse_image_name, split_image_name

SHA = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("caddy", "docker.io/library/caddy:latest", "caddy:latest"),
        ("caddy:2.6-alpine", "docker.io/library/caddy:2.6-alpine", "caddy:2.6-alpine"),
        ("docker.io/caddy", "docker.io/library/caddy:latest", "caddy:latest"),
        ("index.docker.io/library/caddy", "docker.io/library/caddy:latest", "caddy:latest"),
        ("kiwix/serve:3", "docker.io/kiwix/serve:3", "kiwix/serve:3"),
        ("host.example/a/b/c/d:1", "host.example/a/b/c/d:1", "host.example/a/b/c/d:1"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/x:1", "localhost:5000/x:1", "localhost:5000/x:1"),
        ("Host/x", "Host/x:latest", "Host/x:latest"),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
        (f"caddy@{SHA}", f"docker.io/library/caddy@{SHA}", ""),
        (f"host:1/caddy:2@{SHA}", f"host:1/caddy:2@{SHA}", "host:1/caddy:2"),
        (" a__b.c-d--e ", "docker.io/library/a__b.c-d--e:latest", "a__b.c-d--e:latest"),
    ],
)
def test_names_are_read_as_docker_reads_them(text, full, familiar):
    name = parse_image_name(text)

    assert (str(name), name.familiar) == (full, familiar)
    assert str(parse_image_name(full)) == full


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not an image name"),
        ("Caddy", "capital"),
        ("a/../b", "not an image name"),
        ("a//b", "not an image name"),
        ("host.example/", "not an image name"),
        ("-a", "not an image name"),
        ("a:", "not a tag"),
        ("a:b/c", "not an image name"),
        ("a@sha256:12", "not a digest"),
        ("a@", "not a digest"),
        ("a b", "not an image name"),
        ("http://a/b", "not an image name"),
        ("user:word@host/a", "not a digest"),
        ("a.b/" + "c" * 255, "longer"),
    ],
)
def test_what_is_not_a_name_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        parse_image_name(text)


GOOD = {
    "debian": ("debian", "", ""),
    "debian:12": ("debian", "12", ""),
    "localhost:5000/a/b:c": ("localhost:5000/a/b", "c", ""),
    "reg.example.org/a": ("reg.example.org/a", "", ""),
    "a/b@sha256:" + "0" * 64: ("a/b", "", "sha256:" + "0" * 64),
    "a:b@sha256:" + "0" * 64: ("a", "b", "sha256:" + "0" * 64),
    "EXAMPLE.org/a": ("EXAMPLE.org/a", "", ""),
    "a__b/c.d/e---f": ("a__b/c.d/e---f", "", ""),
}


@pytest.mark.parametrize("text", GOOD)
def test_an_image_name_is_split(text):
    """Docker's grammar of references."""
    assert tuple(split_image_name(text)) == GOOD[text]


BAD = {
    "": "is not an image name",
    "Debian": "capital letters",
    "a b": "is not an image name",
    "a:": "is not a tag",
    "a:.x": "is not a tag",
    "a:" + "x" * 129: "is not a tag",
    "a//b": "is not an image name",
    "a/-b": "is not an image name",
    "a..b": "is not an image name",
    "a@sha256:12": "is not a digest",
    "a@md5:12": "is not a digest",
    "a" * 256: "is not an image name",
    "a\n": "is not an image name",
}


@pytest.mark.parametrize("text", BAD)
def test_a_name_that_no_image_can_have_is_refused(text):
    """Before the engine would."""
    with pytest.raises(ValueError, match=BAD[text]):
        split_image_name(text)


def test_a_registry_that_no_host_can_have_is_refused():
    """A part of a path may have an underscore, a host not."""
    assert split_image_name("a_b.c/d").repository == "a_b.c/d"
    with pytest.raises(ValueError, match="not a registry"):
        parse_image_name("a_b.c/d")
