"""Images are looked at by their names, one or several at once."""

import pytest

from stalker.engine.logins import DockerConfig
from stalker.errors import InputError
from stalker.fetch.cache.cache import Cache
from stalker.fetch.oci.inspect import image_name, image_request, inspect_images
from stalker.fetch.oci.registry import Registries
from stalker.model.image_name import parse_image_name
from unit.helpers.hub import hub_serving, layer

HELLO = layer(hello=b"hello " * 10_000)
ARM = "linux/arm64/v8"


def test_all_images_that_cannot_be_had_are_named(tmp_path):
    with hub_serving() as hub, Cache(tmp_path) as cache, Registries(DockerConfig()) as registries:
        hub.push(layers=[HELLO])
        names = [f"{hub.address}/{one}" for one in ("a/b:1", "a/b:2", "c:3")]

        with pytest.raises(InputError, match="2 of 3 images") as caught:
            inspect_images(names, ARM, registries, cache)

    assert "a/b:2 is not there" in caught.value.details
    assert "c:3 is not there" in caught.value.details


def test_images_of_platforms_do_not_mix_in_the_cache():
    """The usual platform has the plain name, which patterns of the policy are made for."""
    name = parse_image_name("caddy:2")

    assert image_request(name).source == image_request(name, "arm64").source == "docker.io/library/caddy:2"
    assert image_request(name, "amd64").source == "docker.io/library/caddy (linux/amd64):2"


def test_a_name_that_cannot_be_read_is_an_error_of_the_input():
    """With the form that a name has."""
    with pytest.raises(InputError, match="A B") as caught:
        image_name("A B")

    assert "registry/name:tag" in caught.value.resolution
