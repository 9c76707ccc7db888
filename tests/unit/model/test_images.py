"""Ids of images as docker shows them."""

from stalker.model.images import short_id


def test_an_id_is_shortened_as_docker_does():
    assert short_id("sha256:" + "4ca5a981c925" + "0" * 52) == "4ca5a981c925"
