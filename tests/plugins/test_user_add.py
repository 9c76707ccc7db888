"""user.add: a user in the state asked for."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker

HASH = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/"


def test_a_user_is_added_with_all_that_was_asked(machine):
    """Number, group, further groups, name, home, shell and password are as said."""
    asked = {
        "name": "pi",
        "user_id": 1234,
        "member_of": ["sudo", "dialout"],
        "comment": "Pi, the user",
        "home_dir": "/srv/pi",
        "login_shell": "/bin/sh",
        "password_hash": HASH,
    }

    first = machine.use("user.add", **asked)
    listing = machine.listing()
    second = machine.use("user.add", **asked)

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert machine.read("getent passwd pi") == "pi:x:1234:1234:Pi, the user:/srv/pi:/bin/sh"
    assert machine.read("id -nG pi") == "pi dialout sudo"
    assert machine.read("getent shadow pi | cut -d: -f2") == HASH
    assert machine.read("stat -c '%U %F' /srv/pi") == "pi directory"
    assert machine.listing() == listing


def test_a_name_alone_is_enough(machine):
    """The next number, a group and a home of its name, bash, and no password."""
    ran = machine.use("user.add", name="ada")

    assert ran.code == 0, ran.output
    assert machine.read("getent passwd ada") == "ada:x:1000:1000::/home/ada:/bin/bash"
    assert machine.read("getent shadow ada | cut -d: -f2") == "!"
    assert machine.read("stat -c %U /home/ada/.bashrc") == "ada"


def test_a_system_user_has_no_home_and_no_login(machine):
    """system: true gives a low number, no home made, a shell that refuses."""
    ran = machine.use("user.add", name="builder", system=True)

    assert ran.code == 0, ran.output
    assert machine.read("getent passwd builder | cut -d: -f7") == "/usr/sbin/nologin"
    assert int(machine.read("id -u builder")) < 1000
    assert machine.sh("test -e /home/builder").code == 1


def test_a_user_that_is_there_is_brought_into_the_state_asked_for(machine):
    """What is asked for changes, what is not stays, also groups from before."""
    machine.read("useradd -m -s /bin/sh -c before -G audio ada")

    ran = machine.use("user.add", name="ada", user_id=1500, comment="after", member_of=["video"])

    assert ran.code == 0, ran.output
    assert machine.read("getent passwd ada") == "ada:x:1500:1000:after:/home/ada:/bin/sh"
    assert machine.read("id -nG ada") == "ada audio video"
    assert machine.read("stat -c %U /home/ada") == "ada"


def test_a_primary_group_by_a_free_number_is_named_like_the_user(machine):
    """group: 4321 makes the group ada with that number."""
    first = machine.use("user.add", name="ada", group="4321")
    listing = machine.listing()
    second = machine.use("user.add", name="ada", group="4321")

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert machine.read("getent group ada") == "ada:x:4321:"
    assert machine.read("id -g ada") == "4321"
    assert machine.listing() == listing


def test_a_primary_group_by_name(machine):
    """group: users is the primary group, and no group ada is made."""
    ran = machine.use("user.add", name="ada", group="users")

    assert ran.code == 0, ran.output
    assert machine.read("id -gn ada") == "users"
    assert machine.sh("getent group ada").code == 2


def test_a_hash_is_never_shown(machine):
    """The output names the user, not the hash."""
    ran = machine.use("user.add", name="ada", password_hash=HASH)

    assert ran.code == 0, ran.output
    assert HASH not in ran.output


REFUSED = [
    ({"name": "Ada"}, "is not a login name"),
    ({"name": ""}, "is not a login name"),
    ({"name": "-rf"}, "is not a login name"),
    ({"name": "a" * 33}, "longer than 32"),
    ({"name": "ada", "user_id": "-1"}, "is not a number"),
    ({"name": "ada", "user_id": 0}, "0 belongs to 'root'"),
    ({"name": "ada", "member_of": ["sudo", "nope", "none"]}, "no such group: nope none"),
    ({"name": "ada", "group": "nope"}, "there is no group 'nope'"),
    ({"name": "ada", "login_shell": "/bin/zsh"}, "/bin/zsh is not in this image"),
    ({"name": "ada", "home_dir": "home"}, "not an absolute path"),
    ({"name": "ada", "comment": "a:b"}, "colon"),
    ({"name": "ada", "password_hash": "raspberry"}, "a plain password is not taken"),
    ({"name": "ada", "password_hash": "$1$salt$hash"}, "MD5"),
    ({"name": "ada", "password_hash": "$6$a$b:c"}, "colon"),
    ({"name": "ada", "system": "no"}, "neither true nor false"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_cannot_be_is_refused_and_nothing_changes(machine, arguments, message):
    """It fails, says why, and leaves everything as it was."""
    listing = machine.listing()

    ran = machine.use("user.add", **arguments)

    assert ran.code == 1
    assert message in ran.output
    assert machine.listing() == listing
    assert "raspberry" not in ran.output
