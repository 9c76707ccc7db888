import pytest

from stalker.model.image_names import parse_image_name

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
        ("", "no name"),
        ("Caddy", "capital"),
        ("a/../b", "no name"),
        ("a//b", "no name"),
        ("host.example/", "no name"),
        ("-a", "no name"),
        ("a:", "no tag"),
        ("a:b/c", "no registry"),
        ("a@sha256:12", "no digest"),
        ("a@", "no digest"),
        ("a b", "no name"),
        ("http://a/b", "no registry"),
        ("user:word@host/a", "no digest"),
        ("a.b/" + "c" * 255, "longer"),
    ],
)
def test_what_is_no_name_is_told(text, why):
    with pytest.raises(ValueError, match=why):
        parse_image_name(text)
