"""Metalinks name servers, size and digest of a file; anything else is refused."""

import pytest

from stalker.errors import InputError
from stalker.fetch.metalink import is_metalink, parse_metalink, without_ending

URL = "https://a/x/a.zim.meta4"
SHA = "a" * 64
MD5 = "b" * 32


def metalink(*parts, name="a.zim", more=""):
    inside = "".join(parts)
    return f'<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="{name}">{inside}</file>{more}</metalink>'.encode()


def test_a_metalink_is_known_by_its_ending():
    """What it is for has its URL without that."""
    assert is_metalink(f"{URL}?x=1")
    assert not is_metalink("a.meta4")
    assert without_ending(f"{URL}?x=1") == "https://a/x/a.zim?x=1"


def test_servers_come_by_priority_and_each_once():
    """Those without one last."""
    found = parse_metalink(
        metalink(
            f'<hash type="md5">{MD5}</hash><hash type="sha-256">{SHA.upper()}</hash><size>7</size>',
            '<url>http://last/</url><url priority="2">http://b/</url><url priority="1">http://c/</url>',
            '<url priority="1">http://c/</url><url priority="x">ftp://d/</url>',
        ),
        URL,
    )

    assert found.urls == ("http://c/", "http://b/", "http://last/")
    assert (found.size_bytes, found.checksum.algorithm, found.checksum.value) == (7, "sha256", SHA)


def test_without_a_digest_only_https_is_trusted():
    """What comes over http can be changed on its way, though the metalink could not."""
    body = metalink("<url>http://a/</url><url>https://b/</url>")

    assert parse_metalink(body, URL).urls == ("https://b/",)
    assert parse_metalink(body, URL.replace("https", "http")).urls == ("http://a/", "https://b/")


def test_of_several_files_the_one_of_the_url_is_taken():
    """By its name."""
    other = '<file name="b"><url>https://b/</url></file>'
    assert parse_metalink(metalink("<url>https://a/</url>", more=other), URL).urls == ("https://a/",)
    with pytest.raises(InputError, match=r"does not tell of a\.zim"):
        parse_metalink(metalink("<url>https://a/</url>", name="c", more=other), URL)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html/>",
        b'<!DOCTYPE metalink [<!ENTITY a "b">]>' + metalink("<url>https://a/</url>"),
        metalink("<url>https://a/</url>")[:-5],
        metalink("<url>file:///etc/passwd</url>"),
        metalink('<hash type="sha-256">12</hash><url>https://a/</url>'),
    ],
)
def test_what_is_not_a_metalink_is_refused(body):
    """Also one with entities, and one that only names what is not a server."""
    with pytest.raises(InputError):
        parse_metalink(body, URL)
