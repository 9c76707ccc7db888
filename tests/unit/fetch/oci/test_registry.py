import base64
import json

import pytest

from stalker.engine.logins import DockerConfig
from stalker.errors import InputError, NotGenuine, NotReached
from stalker.fetch.cache.cache import Cache
from stalker.fetch.http.patience import Patience
from stalker.fetch.oci.inspect import inspect_image
from stalker.fetch.oci.registry import Registries
from unit.helpers.hub import hub_serving, layer

HELLO = layer(hello=b"hello " * 10_000)
ARM = "linux/arm64/v8"


@pytest.fixture
def look(tmp_path):
    """Look at an image of a hub as somebody logged in, or nobody."""
    pauses = []

    def look(hub, ident="a/b:1", platform=ARM, login="", config=None):
        auth = base64.b64encode(login.encode()).decode()
        found = config or DockerConfig({hub.address: {"auth": auth}} if login else {})
        with (
            Cache(tmp_path / "cache") as cache,
            Registries(found, patience=Patience(2, 5.0, pauses.append)) as registries,
        ):
            return inspect_image(f"{hub.address}/{ident}", platform, registries, cache)

    look.pauses = pauses
    return look


def texts(error):
    return f"{error.brief}\n{error.details}\n{error.resolution}"


def test_an_image_is_looked_at(look):
    """Its digests, its layers, and what they take unpacked, by the last bytes of each."""
    with hub_serving() as hub:
        digest = hub.push(layers=[HELLO, layer(more=b"x")])

        found = look(hub)

    assert found.digest == digest
    assert found.full_bytes == len(HELLO) + len(layer(more=b"x"))
    assert [one.range for one in hub.asked if one.range] == [
        f"bytes={one.size_bytes - 4}-{one.size_bytes - 1}" for one in found.layers
    ]


def test_a_registry_that_gives_no_parts_does_not_tell_the_unpacked_size(look):
    with hub_serving(has_ranges=False) as hub:
        hub.push(layers=[HELLO])

        assert look(hub).full_bytes is None


def test_anybody_gets_a_token_where_anybody_may(look):
    with hub_serving(auth="token") as hub:
        hub.push(layers=[HELLO])

        assert look(hub).layers

    (token,) = hub.paths("/token")
    assert "scope=repository%3Aa%2Fb%3Apull" in token
    assert "service=hub%2C+of+tests" in token


def test_a_login_gets_a_token(look):
    with hub_serving(auth="token", is_private=True) as hub:
        hub.push(layers=[HELLO])

        assert look(hub, login=hub.login).layers

    assert all(
        one.authorization.startswith("Basic ") == (one.path.startswith("/token")) for one in hub.asked[2:]
    )


def test_an_identity_token_gets_a_token(look):
    with hub_serving(auth="token", is_private=True, identity_token="who I am") as hub:
        hub.push(layers=[HELLO])

        assert look(hub, config=DockerConfig({hub.address: {"identitytoken": "who I am"}})).layers

    assert [one.method for one in hub.asked if "/token" in one.path] == ["POST"]


def test_a_token_that_holds_no_longer_is_replaced(tmp_path):
    """Whatever was said of its life; one that holds is used again."""
    with (
        hub_serving(auth="token") as hub,
        Cache(tmp_path) as cache,
        Registries(DockerConfig(), patience=Patience(0, 5.0)) as registries,
    ):
        hub.push(layers=[HELLO])
        for _ in range(2):
            assert inspect_image(f"{hub.address}/a/b:1", ARM, registries, cache).layers
        assert len(hub.paths("/token")) == 1
        hub.valid = {"other"}

        assert inspect_image(f"{hub.address}/a/b:1", ARM, registries, cache).layers
    assert len(hub.paths("/token")) == 2


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_wrong_password_is_told_without_showing_it(look, auth):
    """Neither what was sent nor what the registry repeats."""
    with hub_serving(auth=auth, is_private=True, login="ann:real") as hub:
        hub.push(layers=[HELLO])
        hub.login = "ann:wrong word"
        login, hub.login = hub.login, "ann:other"

        with pytest.raises(InputError, match="refuses the login") as caught:
            look(hub, login=login)

    assert caught.value.exit_code == 4
    assert f"docker login {hub.address}" in caught.value.resolution
    assert "wrong word" not in texts(caught.value)
    assert base64.b64encode(b"ann:wrong word").decode() not in texts(caught.value)


def test_what_a_registry_repeats_of_a_login_is_not_shown(look):
    with hub_serving() as hub, pytest.raises(InputError, match="is not there") as caught:
        look(hub, login=hub.login)

    assert "*** is not a good" in caught.value.details
    assert "MANIFEST_UNKNOWN" in caught.value.details


def test_somebody_not_logged_in_is_told_how_to(look):
    with (
        hub_serving(auth="basic") as hub,
        pytest.raises(InputError, match="not given to everybody") as caught,
    ):
        look(hub)

    assert caught.value.resolution == f"check the name, or log in: docker login {hub.address}"
    assert str(hub.address) in caught.value.brief


def test_a_redirect_takes_no_login_along(look):
    """Blobs are had from another host, which receives nothing but what the redirect says."""
    with hub_serving(auth="basic", redirects=True) as hub:
        hub.push(layers=[HELLO])

        assert look(hub, login=hub.login).full_bytes == len(HELLO)

    moved = [one for one in hub.asked if one.path.startswith("/storage/")]
    assert len(moved) == 2
    assert {(one.host.partition(":")[0], one.authorization) for one in moved} == {("localhost", "")}


def test_a_registry_that_was_asked_too_often_is_left_alone_for_as_long_as_it_says(look):
    with hub_serving(retry_after="7") as hub:
        hub.push(layers=[HELLO])
        hub.tricks.extend(["429", "503", "ok"])

        assert look(hub).layers
    assert look.pauses == [7.0, 7.0]


def test_pauses_grow_and_end(look):
    with hub_serving() as hub:
        hub.tricks.extend(["429"] * 3)

        with pytest.raises(NotReached, match=r"asked too often") as caught:
            look(hub)

    assert look.pauses == [1.0, 2.0]
    assert "a/b:1" in caught.value.brief
    assert "docker login" in caught.value.resolution


def test_a_registry_that_fails_or_is_gone_is_named(look):
    with hub_serving() as hub:
        hub.tricks.extend(["500"] * 3)
        with pytest.raises(NotReached, match="fails"):
            look(hub)
    look.pauses.clear()
    with pytest.raises(NotReached, match=f"{hub.address}/a/b:1 cannot be fetched: {hub.address}"):
        look(hub)
    assert look.pauses == [1.0, 2.0]


@pytest.mark.parametrize(
    ("platform", "takes"),
    [
        (ARM, 1), ("linux/arm64", 1), ("linux/amd64", 0), ("linux/arm/v7", 3), ("linux/arm/v6", 2), ("arm/v8", 3),
    ],
)  # fmt: skip
def test_an_index_gives_the_image_of_a_platform(look, platform, takes):
    """The newest variant that runs there; what is said of images is none."""
    names = ("linux/amd64", "linux/arm64/v8", "linux/arm/v6", "linux/arm/v7")
    with hub_serving() as hub:
        digests = [hub.push("a/b", "", layers=[layer(name=one.encode())], platform=one) for one in names]
        lines = [("unknown/unknown", digests[0]), *zip(names, digests, strict=True)]
        outer = hub.push_index("a/b", "", lines)
        hub.push_index("a/b", "1", [("linux/s390x", digests[0])])
        hub.push_index("a/b", "2", lines)

        assert look(hub, "a/b:2", platform).digest == digests[takes]
        assert look(hub, f"a/b@{outer}", platform).digest == digests[takes]
        with pytest.raises(InputError, match="not made for") as caught:
            look(hub, "a/b:1", platform)
    assert caught.value.details == "it is made for: linux/s390x"


def test_an_image_of_another_platform_is_refused(look):
    with hub_serving() as hub:
        hub.push(layers=[HELLO], platform="linux/amd64")

        with pytest.raises(InputError, match="is not made for linux/arm64/v8"):
            look(hub)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"schemaVersion": 1, "fsLayers": []}, "form that docker gave up"),
        ({"schemaVersion": 2, "layers": [], "config": {}, "manifests": []}, "damaged"),
        ({"schemaVersion": 2}, "not a container image"),
        (
            {"schemaVersion": 2, "config": {"digest": "sha256:../../etc", "size": 1}, "layers": []},
            "not a container",
        ),
        ([], "damaged"),
    ],
)
def test_manifests_that_are_none_are_refused(look, document, why):
    with hub_serving() as hub:
        hub.put_document("a/b", "1", "application/json", document)

        with pytest.raises(InputError, match=why):
            look(hub)


@pytest.mark.parametrize(
    ("media", "why"),
    [
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "do not give away"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "do not give away"),
        ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "docker does not load"),
    ],
)
def test_layers_that_cannot_be_had_or_loaded_are_refused(look, media, why):
    with hub_serving() as hub:
        line = {"mediaType": media, "digest": hub.put(HELLO), "size": len(HELLO)}
        config = hub.put(b"{}")
        hub.put_document(
            "a/b", "1", "x", {"schemaVersion": 2, "config": {"digest": config, "size": 2}, "layers": [line]}
        )

        with pytest.raises(InputError, match=why):
            look(hub)


def test_documents_are_held_against_their_digests(look):
    """A manifest against the one asked for or told, the configuration against the manifest."""
    with hub_serving() as hub:
        digest = hub.push(layers=[HELLO])
        hub.told_digest = f"sha256:{'0' * 64}"
        with pytest.raises(NotGenuine):
            look(hub)
        hub.told_digest = ""
        media, body = hub.documents[f"a/b/{digest}"]
        hub.documents[f"a/b/{digest}"] = (media, body + b" ")
        with pytest.raises(NotGenuine):
            look(hub, f"a/b@{digest}")
        config = json.loads(body)["config"]["digest"]
        hub.blobs[config] += b" "
        with pytest.raises(NotGenuine, match="configuration"):
            look(hub)


def test_names_that_are_none_are_told(look):
    with hub_serving() as hub, pytest.raises(InputError, match="not a container image name"):
        look(hub, "A:1")
