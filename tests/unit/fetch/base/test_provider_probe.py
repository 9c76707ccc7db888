import pytest

from stalker.fetch.base.provider import suite_obstacle, tarball_obstacle
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.request import Request
from stalker.fetch.urls import old_path
from stalker.model.diagnostics import Place
from stalker.model.tree import BootstrapBase, TarballBase
from unit.helpers.server import serving

PLACE = Place("trees/t/t.hjson")
SHA = "a" * 64
FULL = "A" * 40


def ask(base, folder):
    return tarball_obstacle(base, folder, folder / "cache")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"source": "there.tar", "sha256": SHA}, ""),
        ({"source": "there.tar"}, "nothing vouches for there.tar"),
        ({"source": "there.tar", "sha256": "abc"}, "is not a SHA-256"),
        ({"source": "gone.tar", "sha256": SHA}, "there is no file"),
        ({"source": "empty.tar", "sha256": SHA}, "is empty"),
        ({"source": "ftp://x/y.tar", "sha256": SHA}, "neither http, https, file nor a path"),
        (
            {
                "source": "there.tar",
                "signature": "there.tar",
                "fingerprints": (FULL,),
                "keys": ("there.tar",),
            },
            "",
        ),
        (
            {"source": "there.tar", "signature": "gone", "fingerprints": (FULL,), "keys": ("there.tar",)},
            "no file",
        ),
        (
            {"source": "there.tar", "signature": "there.tar", "fingerprints": (FULL,), "keys": ("gone",)},
            "no key file",
        ),
        (
            {"source": "there.tar", "signature": "there.tar", "fingerprints": ("12345678",)},
            "not a full OpenPGP",
        ),
        ({"source": "there.tar", "signature": "there.tar"}, "no fingerprint says who may sign"),
    ],
)
def test_what_is_known_against_a_tarball_is_said(tmp_path, fields, said):
    """The plan's question, without a network."""
    (tmp_path / "there.tar").write_bytes(b"x")
    (tmp_path / "empty.tar").write_bytes(b"")

    answer = ask(TarballBase(place=PLACE, **fields), tmp_path)

    assert said in answer
    assert bool(answer) == bool(said)


def test_a_server_is_asked_once_and_nothing_is_fetched(tmp_path):
    """HEAD only; a file that is not there is an obstacle, one that is there is none."""
    with serving(file=b"x" * 100) as served:
        there = ask(TarballBase(f"{served.url}/file", PLACE, sha256=SHA), tmp_path)
        gone = ask(TarballBase(f"{served.url}/gone", PLACE, sha256=SHA), tmp_path)
        served.tricks.append("405")
        shy = ask(TarballBase(f"{served.url}/file", PLACE, sha256=SHA), tmp_path)

        assert {method for method, _, _ in served.asked} == {"HEAD"}
    assert (there, shy) == ("", "")
    assert gone.endswith("/gone: the server answers 404")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_an_obstacle_unless_the_cache_has_the_file(tmp_path):
    """Off-line runs go on with what was fetched before."""
    with serving() as served:
        base = TarballBase(f"{served.url}/file", PLACE, sha256=SHA)

    before = ask(base, tmp_path)
    path = old_path(tmp_path / "cache", base.source)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")

    assert "cannot be reached" in before
    assert ask(base, tmp_path) == ""


def test_content_that_came_from_elsewhere_is_no_obstacle(tmp_path):
    """The URL of a pinned tarball may change; its content is there."""
    body = b"x" * 100
    with (
        serving(file=body) as served,
        Cache(tmp_path / "cache") as cache,
        cache.get(Request(f"{served.url}/file")) as file,
    ):
        sha256 = file.sha256

    assert ask(TarballBase("http://127.0.0.1:1/other", PLACE, sha256=sha256.upper()), tmp_path) == ""
    assert "cannot be reached" in ask(TarballBase("http://127.0.0.1:1/other", PLACE, sha256=SHA), tmp_path)


def test_a_suite_that_the_mirror_does_not_have_is_said():
    """A typing error in the suite is found before anything runs."""
    with serving(**{"debian/dists/bookworm/InRelease": b"x"}) as served:
        mirror = f"{served.url}/debian"

        assert suite_obstacle(BootstrapBase("bookworm", PLACE, mirror=mirror)) == ""
        assert (
            suite_obstacle(BootstrapBase("bokworm", PLACE, mirror=mirror)) == f"{mirror} has no suite bokworm"
        )


def test_a_mirror_that_does_not_answer_us_may_answer_apt():
    """Apt may go through a proxy: silence is not a refusal."""
    with serving() as served:
        mirror = f"{served.url}/debian"

    assert suite_obstacle(BootstrapBase("bookworm", PLACE, mirror=mirror)) == ""
