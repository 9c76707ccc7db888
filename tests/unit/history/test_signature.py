"""A published version signed as a whole."""

from __future__ import annotations

import subprocess

import pytest

from stalker.errors import NotGenuine, PlanError
from stalker.history.signature import sign, verify


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two key pairs, and a file that allows the first."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ann", "eve"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "allowed").write_text(f"ann@example.org {(folder / 'ann.pub').read_text()}")
    return folder


@pytest.fixture
def version(tmp_path):
    version = tmp_path / "version"
    (version / "repo").mkdir(parents=True)
    (version / "pi.img").write_bytes(b"image")
    (version / "repo/Packages").write_bytes(b"list")
    return version


def test_what_is_signed_is_verified_also_by_ssh_keygen_alone(version, keys):
    sign(version, keys / "ann")

    who, count = verify(version, keys / "allowed")

    assert (who, count) == ("ann@example.org", 2)
    call = f"ssh-keygen -Y verify -f {keys}/allowed -I ann@example.org -n stalker -s SHA256SUMS.sig <SHA256SUMS && sha256sum -c SHA256SUMS"
    subprocess.run(call, shell=True, cwd=version, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda v: (v / "pi.img").write_bytes(b"other"), "pi.img: has another content"),
        (lambda v: (v / "repo/Packages").unlink(), "repo/Packages: is missing"),
        (lambda v: (v / "more").write_bytes(b""), "more: was added"),
        (
            lambda v: ((v / "pi.img").unlink(), (v / "pi.img").symlink_to("repo/Packages")),
            "pi.img: is missing",
        ),
        (lambda v: (v / "SHA256SUMS").open("a").write(f"{'0' * 64}  ../x\n"), "signature is not valid"),
        (lambda v: (v / "SHA256SUMS.sig").write_text("x"), "not signed by a key"),
    ],
)
def test_what_is_not_as_signed_is_named(version, keys, harm, said):
    """Exit code 4, as for any input that is not genuine."""
    sign(version, keys / "ann")
    harm(version)

    with pytest.raises(NotGenuine) as caught:
        verify(version, keys / "allowed")

    assert (
        said in f"{caught.value.brief}\n{caught.value.details}"
        or "signature is not valid" in caught.value.brief
    )
    assert caught.value.exit_code == 4


def test_another_key_and_another_purpose_do_not_count(version, keys):
    sign(version, keys / "eve")
    with pytest.raises(NotGenuine, match="not signed by a key"):
        verify(version, keys / "allowed")

    (version / "SHA256SUMS.sig").unlink()
    call = [
        "ssh-keygen",
        "-Y",
        "sign",
        "-q",
        "-n",
        "git",
        "-f",
        str(keys / "ann"),
        str(version / "SHA256SUMS"),
    ]
    subprocess.run(call, check=True, capture_output=True)
    with pytest.raises(NotGenuine, match="signature is not valid"):
        verify(version, keys / "allowed")


def test_what_is_not_signed_or_cannot_be_is_said(version, keys, tmp_path):
    with pytest.raises(PlanError):
        verify(version, keys / "allowed")
    (tmp_path / "nokey").write_text("x")
    with pytest.raises(PlanError, match="cannot sign"):
        sign(version, tmp_path / "nokey")
    assert not (version / "SHA256SUMS").exists()
