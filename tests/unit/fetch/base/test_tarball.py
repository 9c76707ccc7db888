import hashlib
import random
import tempfile
from pathlib import Path

import pytest

from stalker.errors import InputError, NotGenuine
from stalker.fetch.base.tarball import verified_tarball
from stalker.fetch.cache.cache import Cache
from stalker.model.diagnostics import Place
from stalker.model.tree import TarballBase
from unit.helpers.keys import KeyRing
from unit.helpers.server import serving

BODY = random.Random(7).randbytes(
    3_000_000
)  # its digests are in the names of tests, the same in each process
DIGEST = hashlib.sha256(BODY).hexdigest()
PLACE = Place("trees/t/t.hjson")


@pytest.fixture(scope="module")
def ring():
    with tempfile.TemporaryDirectory(prefix="k-") as folder:
        ring = KeyRing(Path(folder) / "home")
        ring.new("good")
        ring.new("other")
        yield ring
        ring.close()


def read(base, workspace):
    with verified_tarball(base, workspace, workspace / "cache", lambda _: None) as stream:
        return b"".join(stream)


def cached(workspace):
    entries = Cache(workspace / "cache").keeper.index.entries()
    contents = [path.name for path in (workspace / "cache" / "content").glob("*/*")]
    assert sorted(contents) == sorted(entry.sha256 for entry in entries)
    return sorted(entry.source.rpartition("/")[2] for entry in entries)


def damage(workspace, source, data):
    keeper = Cache(workspace / "cache").keeper
    path = keeper.store.content_path(keeper.index.get(("file", source)).sha256)
    path.chmod(0o644)
    path.write_bytes(data)


def signed(ring, workspace, source, signature="stage3.tar.asc", **more):
    ring.public("good", workspace / "key.asc")
    fields = {"keys": ("key.asc",), "fingerprints": (ring.fingerprint("good"),)} | more
    return TarballBase(source, PLACE, signature=signature, **fields)


def test_a_local_tarball_is_read_after_its_checksum(tmp_path):
    """A path in the workspace, taken in place."""
    (tmp_path / "stage3.tar").write_bytes(BODY)

    assert read(TarballBase("stage3.tar", PLACE, sha256=DIGEST.upper()), tmp_path) == BODY
    assert cached(tmp_path) == []


def test_a_local_tarball_with_another_checksum_is_refused_and_kept(tmp_path):
    """The user's own file is never removed."""
    (tmp_path / "stage3.tar").write_bytes(BODY + b"x")

    with pytest.raises(NotGenuine):
        read(TarballBase("stage3.tar", PLACE, sha256=DIGEST), tmp_path)

    assert (tmp_path / "stage3.tar").exists()


@pytest.mark.parametrize(
    ("base", "said"),
    [
        (TarballBase("x.tar", PLACE), "nothing vouches for x.tar"),
        (TarballBase("http://127.0.0.1:1/x.tar", PLACE), "nothing vouches for"),
        (TarballBase("x.tar", PLACE, sha256="abc"), "is not a SHA-256"),
        (TarballBase("x.tar", PLACE, sha256=DIGEST), "cannot be read"),
    ],
)
def test_a_tarball_that_cannot_be_trusted_or_read_is_refused(tmp_path, base, said):
    """Nothing unverified goes to the engine."""
    with pytest.raises(InputError, match=said):
        read(base, tmp_path)


def test_an_empty_tarball_is_refused(tmp_path):
    """0 bytes, even with the right checksum of nothing."""
    (tmp_path / "x.tar").write_bytes(b"")

    with pytest.raises(InputError, match="is empty"):
        read(TarballBase("x.tar", PLACE, sha256=hashlib.sha256(b"").hexdigest()), tmp_path)


def test_a_download_stays_in_the_cache(tmp_path):
    """The second run asks the server nothing."""
    with serving(file=BODY) as served:
        base = TarballBase(f"{served.url}/file", PLACE, sha256=DIGEST)
        first, second = read(base, tmp_path), read(base, tmp_path)

        assert len(served.asked) == 1
    assert first == second == BODY


def test_a_tampered_cache_is_not_used(tmp_path):
    """The cached file is verified again each time."""
    with serving(file=BODY) as served:
        base = TarballBase(f"{served.url}/file", PLACE, sha256=DIGEST)
        read(base, tmp_path)
        damage(tmp_path, base.source, b"evil")

        assert read(base, tmp_path) == BODY


def test_a_wrong_download_is_not_cached(tmp_path):
    """What does not verify is not kept."""
    with serving(file=BODY + b"x") as served, pytest.raises(NotGenuine):
        read(TarballBase(f"{served.url}/file", PLACE, sha256=DIGEST), tmp_path)

    assert cached(tmp_path) == []


def test_a_local_tarball_with_a_signature(ring, tmp_path):
    """Signed by the key of the tree."""
    (tmp_path / "stage3.tar").write_bytes(BODY)
    ring.sign("good", BODY, tmp_path / "stage3.tar.asc")

    assert read(signed(ring, tmp_path, "stage3.tar"), tmp_path) == BODY


@pytest.mark.parametrize(("signer", "data"), [("other", BODY), ("good", BODY + b"x")])
def test_a_local_tarball_with_a_bad_signature_is_refused(ring, tmp_path, signer, data):
    """Another signer, or other data."""
    (tmp_path / "stage3.tar").write_bytes(data)
    ring.sign(signer, BODY, tmp_path / "stage3.tar.asc")

    with pytest.raises(NotGenuine):
        read(signed(ring, tmp_path, "stage3.tar"), tmp_path)


def test_a_good_signature_does_not_excuse_a_wrong_checksum(ring, tmp_path):
    """Where both are given both must hold."""
    (tmp_path / "stage3.tar").write_bytes(BODY)
    ring.sign("good", BODY, tmp_path / "stage3.tar.asc")

    with pytest.raises(NotGenuine):
        read(signed(ring, tmp_path, "stage3.tar", sha256="0" * 64), tmp_path)


def test_a_signed_download_and_its_signature_are_cached(ring, tmp_path):
    """Both come from the server once."""
    signature = ring.sign("good", BODY, tmp_path / "sig").read_bytes()

    with serving(stage3=BODY, sig=signature) as served:
        base = signed(ring, tmp_path, f"{served.url}/stage3", f"{served.url}/sig")
        assert read(base, tmp_path) == read(base, tmp_path) == BODY

        assert len(served.asked) == 2


def test_a_bad_signed_download_leaves_nothing_in_the_cache(ring, tmp_path):
    """Neither the tarball nor the signature stays."""
    signature = ring.sign("other", BODY, tmp_path / "sig").read_bytes()

    with serving(stage3=BODY, sig=signature) as served, pytest.raises(NotGenuine):
        read(signed(ring, tmp_path, f"{served.url}/stage3", f"{served.url}/sig"), tmp_path)

    assert cached(tmp_path) == []


def test_a_moving_url_is_fetched_anew_when_its_cache_does_not_verify(ring, tmp_path):
    """`latest` moved on and the cached copy was damaged: both are fetched once more."""
    new = BODY[::-1]

    with serving(stage3=BODY, sig=ring.sign("good", BODY, tmp_path / "a").read_bytes()) as served:
        base = signed(ring, tmp_path, f"{served.url}/stage3", f"{served.url}/sig")
        read(base, tmp_path)
        damage(tmp_path, base.source, b"damaged")
        served.files = {"/stage3": new, "/sig": ring.sign("good", new, tmp_path / "b").read_bytes()}

        assert read(base, tmp_path) == new


def test_a_missing_key_file_does_not_cost_the_download(ring, tmp_path):
    """The mistake is in the tree: what was fetched stays for the corrected run."""
    signature = ring.sign("good", BODY, tmp_path / "sig").read_bytes()

    with serving(stage3=BODY, sig=signature) as served:
        base = signed(ring, tmp_path, f"{served.url}/stage3", f"{served.url}/sig", keys=("gone.asc",))
        with pytest.raises(InputError):
            read(base, tmp_path)

    assert cached(tmp_path) == ["sig", "stage3"]


@pytest.mark.parametrize(
    "text",
    [
        "{sha256}  stage3.tar\n",
        "{sha256} *./stage3.tar\n",
        "# SHA512 HASH\n{sha512}  stage3.tar\n",
        "SHA256 (stage3.tar) = {sha256}\n",
        "{zero}  other.tar\r\n{sha256}  stage3.tar\r\n",
    ],
)
def test_a_signed_list_of_checksums_vouches_for_the_tarball(ring, tmp_path, text):
    """Publishers sign the list of digests rather than the tarball."""
    (tmp_path / "stage3.tar").write_bytes(BODY)
    filled = text.format(sha256=DIGEST, sha512=hashlib.sha512(BODY).hexdigest(), zero="0" * 64)
    ring.sign("good", filled.encode(), tmp_path / "stage3.tar.asc", "--clear-sign")

    assert read(signed(ring, tmp_path, "stage3.tar"), tmp_path) == BODY


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{'0' * 64}  stage3.tar\n", "another digest"),
        (f"{DIGEST}  other.tar\n", "is not in the signed list"),
        (f"{DIGEST}  dir/stage3.tar\n", "is not in the signed list"),
        ("nothing\n", "is not in the signed list"),
    ],
)
def test_a_signed_list_without_the_right_digest_does_not(ring, tmp_path, text, said):
    """The list is genuine, but says nothing good of this file."""
    (tmp_path / "stage3.tar").write_bytes(BODY)
    ring.sign("good", text.encode(), tmp_path / "stage3.tar.asc", "--clear-sign")

    with pytest.raises(NotGenuine, match=said):
        read(signed(ring, tmp_path, "stage3.tar"), tmp_path)


def test_a_file_that_changes_after_it_was_verified_ends_with_an_error(tmp_path):
    """The bytes that go to the engine are counted too."""
    (tmp_path / "x.tar").write_bytes(BODY)
    base = TarballBase("x.tar", PLACE, sha256=DIGEST)

    with verified_tarball(base, tmp_path, tmp_path / "cache", lambda _: None) as stream:
        next(stream)
        with (tmp_path / "x.tar").open("r+b") as file:
            file.seek(2_500_000)
            file.write(b"evil")

        with pytest.raises(InputError, match="changed while it was read"):
            list(stream)
