import hashlib

import pytest

from stalker.errors import InputError
from stalker.fetch.cache.cache import Cache
from stalker.fetch.http.patience import Patience
from stalker.fetch.source import digest_in, pinned, request_of
from stalker.model.card import Digest, Source
from unit.helpers.server import serving

BODY = b"the content"
SHA = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()
OTHER = "0" * 64


@pytest.fixture
def cache(tmp_path):
    with Cache(tmp_path / "cache", patience=Patience(0, 5.0, lambda _: None)) as made:
        yield made


@pytest.mark.parametrize(
    ("text", "algorithm", "digest"),
    [
        (SHA, "sha256", SHA),
        (SHA.upper() + "\n", "sha256", SHA),
        (f"{SHA}  a.img\n", "sha256", SHA),
        (f"{SHA} *a.img\r\n", "sha256", SHA),
        (f"\\{SHA}  a.img", "sha256", SHA),
        (f"SHA256 (a.img) = {SHA}\n", "sha256", SHA),
        (f"SHA2-256(a.img)= {SHA}\n", "sha256", ""),
        (f"{OTHER}  b.img\n{SHA}  ./a.img\n", "sha256", SHA),
        (f"{SHA}  b.img\n{OTHER}  c.img\n", "sha256", ""),
        (f"{SHA}  b.img\n", "sha256", SHA),
        (f"MD5 (a.img) = {MD5}\nSHA256 (a.img) = {SHA}\n", "sha256", SHA),
        (f"MD5 (a.img) = {MD5}\nSHA256 (a.img) = {SHA}\n", "md5", MD5),
        (f"{MD5}  a.img", "sha256", ""),
        (SHA[:-1], "sha256", ""),
        (SHA + "0", "sha256", ""),
        ("<html>", "sha256", ""),
        ("", "sha256", ""),
    ],
)
def test_checksum_files_of_all_kinds_are_read(text, algorithm, digest):
    assert digest_in(text, algorithm, "a.img") == digest


def test_a_checksum_is_read_at_its_url_each_time(cache):
    with serving(**{"a.sha256": f"{SHA}  a\n".encode()}) as served:
        digest = Digest("sha256", f"{served.url}/a.sha256", is_url=True)
        for _ in range(2):
            assert pinned(digest, cache) == Digest("sha256", SHA)
        assert served.gets() == 2
    assert pinned(Digest("md5", "x"), cache) == Digest("md5", "x")


def test_no_more_than_two_kilobytes_are_read_for_a_checksum(cache):
    with serving(big=b" " * 2047 + SHA.encode(), long=SHA.encode() + b"\n" + b"x" * 10_000_000) as served:
        with pytest.raises(InputError, match="gives no sha256"):
            pinned(Digest("sha256", f"{served.url}/big", is_url=True), cache)
        assert pinned(Digest("sha256", f"{served.url}/long", is_url=True), cache).value == SHA


def test_a_checksum_that_is_not_there_or_none_is_told(cache, tmp_path):
    """With what is there instead."""
    with serving(page=b"<html><body>") as served:
        with pytest.raises(InputError, match="gives no md5") as caught:
            pinned(Digest("md5", f"{served.url}/page", is_url=True), cache)
        assert "'<html><body>'" in caught.value.details
        with pytest.raises(InputError, match="404") as caught:
            pinned(Digest("md5", f"{served.url}/none", is_url=True), cache, name="a.img")
        assert "the md5 of a.img" in caught.value.details
    with pytest.raises(InputError, match="cannot be read"):
        pinned(Digest("md5", f"file://{tmp_path}/none", is_url=True), cache)


def test_a_source_becomes_what_the_cache_is_asked_for(cache, tmp_path):
    with serving(a=BODY, sum=MD5.encode()) as served:
        url = f"{served.url}/a"
        wanted = request_of(Source(url, Digest("md5", f"{served.url}/sum", is_url=True), (f"{url}2",)), cache)
        assert (wanted.source, wanted.servers, wanted.checksum.value) == (url, (url, f"{url}2"), MD5)
        assert request_of(Source(url, Digest("sha256", SHA.upper())), cache).sha256 == SHA
        with cache.get(wanted) as file:
            assert file.path.read_bytes() == BODY
    assert request_of(Source(str(tmp_path / "a.meta4")), cache).source == str(tmp_path / "a.meta4")
    with pytest.raises(InputError, match="not a valid sha256"):
        request_of(Source(url, Digest("sha256", "12")), cache)


def metalink(*parts, space="urn:ietf:params:xml:ns:metalink", name="a.zim", before=""):
    inside = "".join(parts)
    return f'<?xml version="1.0"?>{before}<metalink xmlns="{space}"><file name="{name}">{inside}</file></metalink>'.encode()


def test_a_metalink_gives_servers_by_priority_and_a_digest(cache):
    """What it stands for is cached under its own URL."""
    with serving(good=BODY) as served:
        served.files["/x/a.zim.meta4"] = metalink(
            f"<size>{len(BODY)}</size>",
            f'<hash type="md5">{MD5}</hash><hash type="sha-256">{SHA}</hash>',
            f'<pieces length="9" type="sha-1"><hash>{"0" * 40}</hash></pieces>',
            '<metaurl mediatype="torrent">http://a/t</metaurl><url priority="1">ftp://a/b</url>',
            f'<url>{served.url}/last</url><url priority="7">{served.url}/good</url>',
            f'<url priority="2" location="fr"> {served.url}/gone </url>',
        )
        wanted = request_of(Source(f"{served.url}/x/a.zim.meta4"), cache)

        assert (wanted.source, wanted.sha256) == (f"{served.url}/x/a.zim", SHA)
        assert wanted.urls == tuple(f"{served.url}/{name}" for name in ("gone", "good", "last"))
        with cache.get(wanted) as file:
            assert file.path.read_bytes() == BODY
        assert cache.keeper.has(f"{served.url}/x/a.zim")


def test_the_checksum_of_the_author_comes_before_that_of_a_metalink(cache):
    with serving() as served:
        served.files["/a.zim.meta4"] = metalink(f'<hash type="sha-256">{OTHER}</hash><url>http://a/b</url>')

        wanted = request_of(Source(f"{served.url}/a.zim.meta4", Digest("md5", MD5)), cache)

    assert (wanted.sha256, wanted.checksum.value) == ("", MD5)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (metalink(space="http://www.metalinker.org/"), "not of version 4"),
        (metalink("<url>http://a/b</url>", before='<!DOCTYPE metalink [<!ENTITY a "b">]>'), "document type"),
        (metalink("<url>http://a/b</url>", name="b.zim")[:-10], "not a metalink"),
        (metalink("<url>file:///etc/passwd</url>"), "names no server"),
        (metalink(f'<hash type="sha-256">{MD5}</hash><url>http://a/b</url>'), "not a metalink"),
        (b'<metalink xmlns="urn:ietf:params:xml:ns:metalink"/>', "does not tell of a.zim"),
        (b"<html/>", "not a metalink"),
        (b"", "not a metalink"),
        (b"x" * 1_100_000, "too large"),
    ],
)  # fmt: skip
def test_metalinks_that_are_none_are_refused(cache, body, why):
    with serving() as served:
        served.files["/a.zim.meta4"] = body
        with pytest.raises(InputError) as caught:
            request_of(Source(f"{served.url}/a.zim.meta4"), cache)

    assert why in f"{caught.value.brief} {caught.value.details}"


def test_a_metalink_that_is_gone_costs_nothing_when_a_copy_is_there(tmp_path):
    source = None
    with serving() as served, Cache(tmp_path) as cache:
        served.files["/a.zim"] = BODY
        served.files["/a.zim.meta4"] = metalink(f"<url>{served.url}/a.zim</url>")
        source = Source(f"{served.url}/a.zim.meta4")
        cache.get(request_of(source, cache)).close()
    with (
        Cache(tmp_path, patience=Patience(0, 5.0, lambda _: None)) as cache,
        cache.get(request_of(source, cache)) as file,
    ):
        assert file.path.read_bytes() == BODY
