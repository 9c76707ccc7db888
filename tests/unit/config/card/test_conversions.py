from __future__ import annotations

import contextlib
import posixpath
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.config.card.conversions import country_code, full_name, hostname, mode_bits, owner, path_below

DIGEST = "sha256:" + "ab" * 32
LONGEST = "a" * 63
NAMES = st.sampled_from(["a", "b.txt", ".", "..", "...", "", "ü", "data", "a b"])
PATHS = st.lists(NAMES, max_size=8).map("/".join)


# paths


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/data/a", "/a"),
        ("/data//a/./b/", "/a/b"),
        ("//data/a", "/a"),
        ("/data/a/../b", "/b"),
        ("/data/../data/b", "/b"),
        ("/data", "/"),
        ("/data/", "/"),
        ("/data/...", "/..."),
    ],
)
def test_a_path_is_normal_and_below_its_folder(text, path):
    """Whatever way leads there."""
    assert path_below(text, "/data") == path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/data/../x", "'/data/../x', which is /x, is not below /data"),
        ("/database/a", "'/database/a' is not below /data"),
        ("/", "'/' is not below /data"),
        ("data/a", "'data/a' is relative; did you mean /data/data/a?"),
        ("../x", "'../x' is relative"),
        ("", "'' is relative"),
        ("/data/a\n", "control characters"),
        ("/data/a\0", "control characters"),
        ("/data/" + "ü" * 128, "more than 255 bytes"),
    ],
)
def test_what_leads_out_of_its_folder_is_refused(text, told):
    """With where it leads."""
    with pytest.raises(ValueError, match=re.escape(told)):
        path_below(text, "/data")


@given(PATHS, st.sampled_from(["/data", "/"]))
def test_a_path_never_leaves_its_folder_and_is_normal_once_it_is(text, root):
    """Normalising it again changes nothing, and it is what the kernel makes of it without links."""
    written = f"{root.rstrip('/')}/{text}"
    real = posixpath.normpath(written)
    real = "/" + real.lstrip("/")
    try:
        path = path_below(written, root)
    except ValueError:
        assert not (real + "/").startswith(root.rstrip("/") + "/")
    else:
        joined = posixpath.join(root, path.lstrip("/")).rstrip("/") or "/"
        assert joined == real
        assert ".." not in path.split("/")
        assert path_below(joined, root) == path


@given(st.one_of(st.text(max_size=30), st.text(max_size=30).map("/data/".__add__)))
def test_any_text_is_a_path_below_or_refused(text):
    """Never anything else."""
    with contextlib.suppress(ValueError):
        path = path_below(text, "/data")
        assert path == posixpath.normpath(path)
        assert path.startswith("/")
        assert path_below(f"/data{path}", "/data") == path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "'' cannot name a machine"),
        ("-pi", "'-pi' cannot name a machine"),
        ("pi-", "'pi-' cannot name a machine"),
        ("my_pi", "'my_pi' cannot name a machine"),
        ("pi.", "'' in 'pi.' cannot name a machine"),
        ("a..b", "'' in 'a..b' cannot name a machine"),
        ("größe", "cannot name a machine"),
        (LONGEST + "a", "a name of 64 characters; between two dots stand at most 63"),
        (f"a.{LONGEST}", "a name of 65 characters; Linux has room for 64"),
    ],
)
def test_what_is_no_name_of_a_machine_is_refused(text, expected):
    """With the rule."""
    with pytest.raises(ValueError, match=expected):
        hostname(text)


@pytest.mark.parametrize("text", ["", "DEU", "D1", "UK", "de-DE"])
def test_what_is_no_country_is_refused(text):
    """UK is none in ISO 3166."""
    with pytest.raises(ValueError, match="is not a country"):
        country_code(text)


@pytest.mark.parametrize(
    ("text", "bits"), [("0644", 0o644), ("755", 0o755), ("4755", 0o4755), ("00600", 0o600), ("0000", 0)]
)
def test_a_mode_is_octal(text, bits):
    """As chmod takes it."""
    assert mode_bits(text) == bits


@given(st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2))
def test_an_owner_is_two_numbers(uid, gid):
    """Names are known to the image alone."""
    assert owner(f"{uid}:{gid}") == (uid, gid)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("alpine", "docker.io/library/alpine:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20"),
        ("ann/app", "docker.io/ann/app:latest"),
        ("docker.io/alpine", "docker.io/library/alpine:latest"),
        ("index.docker.io/ann/app:1", "docker.io/ann/app:1"),
        ("registry.example.org/ann/app:dev", "registry.example.org/ann/app:dev"),
        ("registry.example.org/app", "registry.example.org/app:latest"),
        ("registry.example.org:5000/app", "registry.example.org:5000/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/a/b/c:1", "localhost:5000/a/b/c:1"),
        (f"alpine@{DIGEST}", f"docker.io/library/alpine:latest@{DIGEST}"),
        (f"alpine:3@{DIGEST}", f"docker.io/library/alpine:3@{DIGEST}"),
        ("caddy-2.6.1-alpine_armv6", "docker.io/library/caddy-2.6.1-alpine_armv6:latest"),
        (" alpine ", "docker.io/library/alpine:latest"),
    ],
)
def test_a_name_is_completed_as_docker_does(text, name):
    """And what is complete stays as it is."""
    assert full_name(text) == name
    assert full_name(name) == name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://registry.example.org/app", "an image's name has no https:// before it"),
        ("Alpine", "it has capital letters"),
        ("alpine:", "is not a tag"),
        ("alpine@sha256:12", "is not a digest"),
        ("a b", "is not an image name"),
        ("", "is not an image name"),
    ],
)
def test_what_is_no_name_is_refused(text, told):
    """With what is wrong in it."""
    with pytest.raises(ValueError, match=told):
        full_name(text)
