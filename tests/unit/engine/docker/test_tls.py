"""Which certificates of an engine are accepted: those that the docker command accepts, on every Python."""

from __future__ import annotations

import ssl

import pytest

import docker
from stalker.engine.docker.adapter import _tls_config
from stalker.engine.docker.http import Address, tls_context


@pytest.fixture
def strict(monkeypatch):
    """Python 3.13 and later, where contexts verify strictly unless they are asked not to."""
    make = ssl.create_default_context

    def create(**more):
        context = make(**more)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", create)


def test_a_certificate_without_a_key_identifier_is_accepted(strict):
    """As Docker's own instructions make it; whom it names and who signed it is verified nevertheless."""
    context = tls_context(Address("tcp://127.0.0.1:2376"))

    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_requests_verify_as_streams_do(strict):
    """The library would make a context of its own, and that is strict."""
    address = Address("tcp://127.0.0.1:2376")
    client = docker.APIClient(base_url=address.url, version="1.41", tls=_tls_config(address))

    pool = client.get_adapter("https://127.0.0.1:2376/info").poolmanager

    context = pool.connection_pool_kw["ssl_context"]
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
