"""user.password: a password from a secret, of which only the hash is kept."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker

SECRET = "correct:horse battery'$staple"
HASH = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/"


def test_the_password_lets_in_and_is_nowhere(machine):
    """The hash is that of the secret; no file and no line of the output holds the secret."""
    machine.read("useradd -m pi")

    ran = machine.use("user.password", account="pi", new_password=SECRET)

    assert ran.code == 0, ran.output
    kept = machine.read("getent shadow pi | cut -d: -f2")
    check = "exit(crypt($ARGV[0], $ARGV[1]) ne $ARGV[1])"
    machine.read(f"""perl -e '{check}' "$(cat <<'END'\n{SECRET}\nEND\n)" '{kept}'""")
    assert kept.startswith("$y$")
    assert SECRET not in ran.output
    assert machine.sh("grep -r -l -F 'horse battery' /etc /var /root /home").output == ""


def test_a_hash_is_taken_as_it_is(machine):
    """A second time changes nothing."""
    first = machine.use("user.password", account="root", new_hash=HASH)
    second = machine.use("user.password", account="root", new_hash=HASH)

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert machine.read("getent shadow root | cut -d: -f2") == HASH
    assert HASH not in first.output


def test_another_one_can_be_asked_for_at_the_first_login(machine):
    """The date of the last change is that of a password that has run out."""
    ran = machine.use("user.password", account="root", new_hash=HASH, must_change=True)

    assert ran.code == 0, ran.output
    assert machine.read("getent shadow root | cut -d: -f3") == "0"


REFUSED = [
    ({"account": "root"}, "neither is given"),
    ({"account": "root", "new_password": SECRET, "new_hash": HASH}, "both are given"),
    ({"account": "root", "new_password": "short"}, "fewer than 8"),
    ({"account": "root", "new_password": "one line\nand another"}, "line break"),
    ({"account": "nobody-here", "new_password": SECRET}, "no 'nobody-here' in this image"),
    ({"account": "root", "new_hash": "plain-password"}, "this is not a hash"),
    ({"account": "root", "new_hash": "$1$salt$hash"}, "MD5"),
    ({"account": "root", "new_hash": "$6$a$b:c"}, "colon"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_is_no_password_is_refused(machine, arguments, message):
    """Nothing changes, and what was given is not shown."""
    listing = machine.listing()

    ran = machine.use("user.password", **arguments)

    assert ran.code == 1
    assert message in ran.output
    assert machine.listing() == listing
    assert not {"short", SECRET, "plain-password"} & set(ran.output.split())
