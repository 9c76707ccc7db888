"""Only http and https are spoken, and certificates are checked unless the user says otherwise."""

import ssl

import pytest

from stalker.errors import InputError
from stalker.fetch.http.client import check_urls, host_of, keep_credentials, new_client


@pytest.mark.parametrize("url", ["ftp://a/b", "file:///etc/passwd", "a/b", "", "httpsx://a"])
def test_other_schemes_are_refused(url):
    """A mirror list may hold any."""
    with pytest.raises(InputError, match="neither http nor https"):
        check_urls(["https://a/b", url])


def test_http_and_https_are_fine_in_any_case():
    """Schemes have no case."""
    check_urls(["http://a", "HTTPS://a/b"])


def test_a_host_is_scheme_name_and_port():
    """A login for one port goes to no other."""
    assert host_of("https://A:5000/x/y") == "https://a:5000"
    assert host_of("https://a:5000") != host_of("http://a:5000") != host_of("http://a:5001")


@pytest.mark.parametrize(("trusts_anyone", "mode"), [(False, ssl.CERT_REQUIRED), (True, ssl.CERT_NONE)])
def test_certificates_are_checked_unless_anyone_is_trusted(trusts_anyone, mode, monkeypatch):
    """For registries that docker calls insecure."""
    import httpx

    seen = []
    monkeypatch.setattr(httpx, "Client", lambda **more: seen.append(more))
    new_client(5.0, trusts_anyone=trusts_anyone)

    assert seen[0]["verify"].verify_mode is mode
    assert seen[0]["max_redirects"] == 10


@pytest.mark.parametrize(
    ("url", "is_sent"), [("https://a/y", True), ("https://b/y", False), ("http://a/y", False)]
)
def test_headers_of_the_caller_go_to_no_other_host(url, is_sent):
    """A redirect takes no token along, whatever its header is called; ranges go with it."""
    import httpx

    own = {"own_headers": ("https://a", ["Private-Token"])}
    request = httpx.Request("GET", url, headers={"Private-Token": "x", "Range": "bytes=1-"}, extensions=own)

    keep_credentials(request)

    assert ("private-token" in request.headers) is is_sent
    assert request.headers["range"] == "bytes=1-"
