import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.errors import InputError, NotGenuine
from stalker.fetch.openpgp import full_fingerprint, is_inline, verified_text, verify_detached
from unit.helpers.keys import KeyRing

DATA = b"a root file system" * 1000
PAST = "20200101T000000"


@pytest.fixture(scope="module")
def ring():
    """Keys: good and other, one expired, one revoked, one with a subkey that signs."""
    with tempfile.TemporaryDirectory(prefix="k-") as folder:
        ring = KeyRing(Path(folder) / "home")
        ring.new("good")
        ring.new("other")
        ring.new("expired", expires="20200201T000000", at=PAST)
        ring.new("revoked")
        ring.new("split", usage="cert")
        ring.gpg("--quick-add-key", ring.fingerprint("split"), "ed25519", "sign", "never")
        yield ring
        ring.close()


@pytest.fixture
def key(ring, tmp_path):
    def export(name):
        return ring.public(name, tmp_path / f"{name}.asc")

    return export


def check(ring, tmp_path, signature, key, *names, data=DATA):
    return verify_detached(
        "stage3", [data[:100], data[100:]], signature, [key], [ring.fingerprint(name) for name in names]
    )


@pytest.mark.parametrize("form", [("--detach-sign",), ("--detach-sign", "--armor")])
@pytest.mark.parametrize("armor", [True, False])
def test_a_good_signature_passes(ring, tmp_path, form, armor):
    """Signed by the named key: its primary fingerprint comes back."""
    signature = ring.sign("good", DATA, tmp_path / "sig", *form)
    key = ring.public("good", tmp_path / "key", armor=armor)

    assert check(ring, tmp_path, signature, key, "good") == ring.fingerprint("good")
    assert not is_inline(signature)


def test_a_signing_subkey_counts_for_its_primary_key(ring, tmp_path, key):
    """The tree names the primary key; releases are signed by a subkey of it."""
    signature = ring.sign("split", DATA, tmp_path / "sig")

    assert check(ring, tmp_path, signature, key("split"), "split") == ring.fingerprint("split")


def test_changed_data_is_refused(ring, tmp_path, key):
    """One other byte, and the signature does not fit."""
    signature = ring.sign("good", DATA, tmp_path / "sig")

    with pytest.raises(NotGenuine) as caught:
        check(ring, tmp_path, signature, key("good"), "good", data=DATA + b"!")

    assert "does not fit the data" in caught.value.brief
    assert caught.value.exit_code == 4


def test_another_key_is_refused_though_it_is_in_the_key_files(ring, tmp_path):
    """Only the named fingerprint may sign, whoever else stands in the file."""
    signature = ring.sign("other", DATA, tmp_path / "sig")
    both = tmp_path / "both"
    both.write_bytes(ring.gpg("--export", ring.fingerprint("good"), ring.fingerprint("other")))

    with pytest.raises(NotGenuine) as caught:
        check(ring, tmp_path, signature, both, "good")

    assert "another key signed it" in caught.value.brief
    assert ring.fingerprint("other") in caught.value.details


def test_an_unknown_key_is_refused(ring, tmp_path, key):
    """The key that signed is in no key file."""
    signature = ring.sign("other", DATA, tmp_path / "sig")

    with pytest.raises(NotGenuine) as caught:
        check(ring, tmp_path, signature, key("good"), "good")

    assert "no key file holds the key that signed" in caught.value.brief


def test_one_of_two_signers_is_enough(ring, tmp_path, key):
    """Signed by a stranger too: the named key's good signature counts."""
    both = tmp_path / "sig"
    both.write_bytes(
        ring.sign("other", DATA, tmp_path / "a", "--detach-sign").read_bytes()
        + ring.sign("good", DATA, tmp_path / "b", "--detach-sign").read_bytes()
    )

    assert check(ring, tmp_path, both, key("good"), "good") == ring.fingerprint("good")


def test_a_signature_of_a_key_that_expired_is_refused(ring, tmp_path, key):
    """Gpg calls such a signature valid; it is not good."""
    signature = ring.sign("expired", DATA, tmp_path / "sig", at="20200115T000000")

    with pytest.raises(NotGenuine) as caught:
        check(ring, tmp_path, signature, key("expired"), "expired")

    assert "has expired" in caught.value.brief


def test_a_signature_that_expired_is_refused(ring, tmp_path, key):
    """The signer said until when it holds."""
    signature = ring.sign(
        "expired", DATA, tmp_path / "sig", "--detach-sign", "--default-sig-expire", "1d", at="20200115T000000"
    )

    with pytest.raises(NotGenuine) as caught:
        check(ring, tmp_path, signature, key("expired"), "expired")

    assert "expired" in caught.value.brief


def test_a_revoked_key_is_refused(ring, tmp_path):
    """The owner took the key back."""
    fingerprint = ring.fingerprint("revoked")
    signature = ring.sign("revoked", DATA, tmp_path / "sig")
    revocation = (
        (ring.home / "openpgp-revocs.d" / f"{fingerprint}.rev").read_text().replace(":-----", "-----")
    )
    key = tmp_path / "key"
    key.write_bytes(ring.gpg("--export", "--armor", fingerprint) + revocation.encode())

    with pytest.raises(NotGenuine) as caught:
        verify_detached("stage3", [DATA], signature, [key], [fingerprint])

    assert "revoked" in caught.value.brief


@pytest.mark.parametrize("content", [b"", b"no signature at all\n", b"\x00" * 50])
def test_what_is_no_signature_is_refused(ring, tmp_path, key, content):
    """An empty or foreign file in place of the signature."""
    signature = tmp_path / "sig"
    signature.write_bytes(content)

    with pytest.raises(NotGenuine):
        check(ring, tmp_path, signature, key("good"), "good")


def test_a_missing_signature_is_refused(ring, tmp_path, key):
    """No signature, no base."""
    with pytest.raises(InputError, match="no signature"):
        check(ring, tmp_path, tmp_path / "nowhere", key("good"), "good")


def test_a_key_file_must_hold_the_named_key(ring, tmp_path, key):
    """The key file is another one's: said before the data is judged."""
    signature = ring.sign("good", DATA, tmp_path / "sig")

    with pytest.raises(InputError) as caught:
        check(ring, tmp_path, signature, key("other"), "good")

    assert caught.value.brief == f"no key file holds the key {ring.fingerprint('good')}"


@pytest.mark.parametrize("content", [None, b"", b"no key"])
def test_a_missing_or_empty_key_file_is_named(ring, tmp_path, content):
    """A key file that holds no key never means "any key"."""
    signature = ring.sign("good", DATA, tmp_path / "sig")
    if content is not None:
        (tmp_path / "key").write_bytes(content)

    with pytest.raises(InputError, match="no key"):
        check(ring, tmp_path, signature, tmp_path / "key", "good")


def test_nobody_named_means_nobody_may_sign(ring, tmp_path, key):
    """A signature without a fingerprint proves nothing."""
    signature = ring.sign("good", DATA, tmp_path / "sig")

    with pytest.raises(InputError, match="not who may sign"):
        check(ring, tmp_path, signature, key("good"))


@pytest.mark.parametrize("cut", [8, 16, 39])
def test_a_short_id_is_refused(ring, tmp_path, key, cut):
    """Short ids can be forged; the last digits are not enough."""
    signature = ring.sign("good", DATA, tmp_path / "sig")

    with pytest.raises(InputError, match="not a full OpenPGP fingerprint"):
        verify_detached("x", [DATA], signature, [key("good")], [ring.fingerprint("good")[-cut:]])


def test_a_fingerprint_may_be_written_in_groups(ring):
    """As gpg prints it, with spaces and in any case."""
    plain = ring.fingerprint("good")
    grouped = " ".join(plain[at : at + 4] for at in range(0, 40, 4)).lower()

    assert full_fingerprint(grouped) == full_fingerprint("0x" + plain) == plain


@given(st.text(max_size=70))
def test_nothing_but_a_full_fingerprint_is_one(text):
    """Whatever is written, what comes back is 40 or 64 hexadecimal digits, or an error."""
    try:
        plain = full_fingerprint(text)
    except InputError:
        return

    assert len(plain) in {40, 64}
    assert int(plain, 16) >= 0


@pytest.mark.parametrize("form", [("--clear-sign",), ("--sign", "--armor"), ("--sign",)])
def test_a_signed_message_gives_its_text(ring, tmp_path, key, form):
    """A list of checksums that carries its own signature."""
    signature = ring.sign("good", b"abc  stage3\n", tmp_path / "list.asc", *form)

    text = verified_text(signature, [key("good")], [ring.fingerprint("good")])

    assert text == b"abc  stage3\n"
    assert is_inline(signature)


def test_text_around_a_signed_message_is_not_signed(ring, tmp_path, key):
    """What stands before the armor is not given out as signed."""
    signature = ring.sign("good", b"abc  stage3\n", tmp_path / "list.asc", "--clear-sign")
    signature.write_bytes(b"evil  stage3\n" + signature.read_bytes() + b"evil  stage3\n")

    assert verified_text(signature, [key("good")], [ring.fingerprint("good")]) == b"abc  stage3\n"


def test_a_changed_message_is_refused(ring, tmp_path, key):
    """One digit of the list was changed."""
    signature = ring.sign("good", b"abc  stage3\n", tmp_path / "list.asc", "--clear-sign")
    signature.write_bytes(signature.read_bytes().replace(b"abc", b"abd"))

    with pytest.raises(NotGenuine):
        verified_text(signature, [key("good")], [ring.fingerprint("good")])


def test_an_unsigned_message_beside_a_signed_one_is_never_given_out(ring, tmp_path, key):
    """A signed list with an unsigned one glued to it, behind or in front."""
    good = ring.sign("good", b"abc  stage3\n", tmp_path / "a", "--sign").read_bytes()
    bare = ring.gpg("--store", "--output", "-", data=b"evil  stage3\n")
    (tmp_path / "behind").write_bytes(good + bare)
    (tmp_path / "front").write_bytes(bare + good)

    behind = verified_text(tmp_path / "behind", [key("good")], [ring.fingerprint("good")])

    assert behind == b"abc  stage3\n"
    with pytest.raises(NotGenuine):
        verified_text(tmp_path / "front", [key("good")], [ring.fingerprint("good")])


def test_an_unsigned_message_is_refused(ring, tmp_path, key):
    """It has the form of a message, but nobody signed it."""
    (tmp_path / "list").write_bytes(ring.gpg("--store", "--output", "-", data=b"evil  stage3\n"))

    with pytest.raises(NotGenuine):
        verified_text(tmp_path / "list", [key("good")], [ring.fingerprint("good")])


def test_without_gpg_the_remedy_is_named(ring, tmp_path, key, monkeypatch):
    """No gpg: nothing is trusted, and the message says what to install."""
    signature, public = ring.sign("good", DATA, tmp_path / "sig"), key("good")
    fingerprint = ring.fingerprint("good")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(InputError) as caught:
        verify_detached("x", [DATA], signature, [public], [fingerprint])

    assert caught.value.resolution == "apt-get install gpg"
