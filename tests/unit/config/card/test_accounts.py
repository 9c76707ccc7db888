from __future__ import annotations

import pytest

from stalker.model.card import SecretText, User
from unit.config.card.texts import ED25519, HASH, created, refused

HASHES = [
    HASH,
    "$6$rounds=9999$salt$" + "a" * 86,
    "$5$GQsu/yZX3Gf6zXTq$ZXjSH8/qOaoesPCwWes37WhTJOLIZOVH9XtlIAYoTt.",
    "$y$j9T$abcdefghijkl$tIEIK0tRpVYnb5EbxZDlFLI0ryBZQGiiMcG7Xj5gBz0",
    "$2b$12$0WOXCJbeHwAkl3NIaKl/4upxq0eIseh9UHu/DgfQDqAyTVbYGY5qO",
]


def users(text):
    return created(f"injections:\n  users: {text}\n").injections.users


def told(text):
    return refused(f"injections:\n  users: {text}\n")


def test_an_account_has_all_that_is_said_of_it():
    """And defaults for the rest."""
    (user,) = users(
        f"[{{name: ann, password: '{HASH}', uid: 1001, groups: [sudo, video], shell: /bin/bash, home: /home//ann/,"
        f" ssh_keys: '{ED25519}', sudo: true}}]"
    )

    assert (user.name, user.uid, user.groups, user.shell, user.home, user.has_sudo) == (
        "ann",
        1001,
        ("sudo", "video"),
        "/bin/bash",
        "/home/ann",
        True,
    )
    assert user.ssh_keys == (ED25519,)
    assert user.password.text == HASH
    assert user.password.place.line == 2
    assert users("[{name: ann}]") == (User("ann", users("[{name: ann}]")[0].place),)


def test_accounts_are_a_list_or_a_mapping_of_names():
    """Where each was named."""
    listed, named = users("[{name: ann}, {name: bob}]"), users("{ann: {}, bob: {uid: 1002}}")

    assert [user.name for user in listed] == [user.name for user in named] == ["ann", "bob"]
    assert [(user.place.line, user.place.column) for user in named] == [(2, 11), (2, 20)]


@pytest.mark.parametrize("text", HASHES)
def test_a_password_is_a_hash(text):
    """SHA-512, SHA-256, yescrypt or bcrypt."""
    assert users(f"{{ann: {{password: '{text}'}}}}")[0].password.text == text


def test_a_password_comes_from_the_environment_or_a_file():
    """A relative file is one beside the configuration."""
    one, two = users("{ann: {password: {env: ANN_PASSWORD}}, bob: {password: {file: keys/bob}}}")

    assert one.password == SecretText(env="ANN_PASSWORD", place=one.password.place)
    assert two.password == SecretText(path="/srv/cards/keys/bob", place=two.password.place)


def test_groups_are_a_list_or_one_line():
    """As usermod takes them."""
    assert users("{ann: {groups: 'sudo, video,sudo'}}")[0].groups == ("sudo", "video")


def test_root_is_an_account_too():
    """It has the number 0, said or not."""
    assert users("{root: {uid: 0}}")[0].uid == 0
    assert users("{root: {}}")[0].uid is None


CLEAR = "a password in clear: configurations are shared, and write_config puts them on the card"
HOW = "{ env: NAME } or { file: path }; a hash is what `openssl passwd -6` prints"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ann: {password: sesame}}", [f"2:27: injections.users.ann.password: {CLEAR} -- {HOW}"]),
        ("{ann: {password: 1234}}", [f"2:27: injections.users.ann.password: {CLEAR} -- {HOW}"]),
        ("{ann: {password: yes}}", [f"2:27: injections.users.ann.password: {CLEAR} -- {HOW}"]),
        (
            f"{{ann: {{password: {HASH[:-1]}}}}}",
            [
                f"2:27: injections.users.ann.password: this begins like a hash of a password and is none; is it cut off? -- {HOW}"
            ],
        ),
        (
            "{ann: {password: $1$o2FGdoi3$tyJOWHA2b29doY2wAGFHQ1}}",
            [
                "2:27: injections.users.ann.password: this hash is broken in minutes -- make one by `openssl passwd -6`"
            ],
        ),
        (
            "{ann: {password: ''}}",
            [
                "2:27: injections.users.ann.password: the password is empty -- leave it out for an account that has none"
            ],
        ),
        (
            "{ann: {password: '*'}}",
            [
                "2:27: injections.users.ann.password: a locked account is one without a password -- leave it out"
            ],
        ),
        (
            "{ann: {password: {}}}",
            [
                "2:27: injections.users.ann.password: a secret comes from either env or file -- { env: NAME } or { file: path }"
            ],
        ),
        (
            "{ann: {password: {env: A, file: b}}}",
            [
                "2:27: injections.users.ann.password: a secret comes from either env or file -- { env: NAME } or { file: path }"
            ],
        ),
        (
            "{ann: {password: {env: se same}}}",
            [
                "2:33: injections.users.ann.password.env: this is not an environment variable name -- A-Z, 0-9 and _"
            ],
        ),
        (
            "{ann: {password: {file: 'file:///a'}}}",
            ["2:34: injections.users.ann.password.file: an address is not a path -- write the path alone"],
        ),
        ("{ann: {password: {text: sesame}}}", None),
        (
            "{ann: {password: [sesame]}}",
            [
                "2:27: injections.users.ann.password: must be text, a number, true or false or a mapping, is a list"
            ],
        ),
        (
            "{Ann: {}}",
            [
                "2:11: injections.users.Ann: 'Ann' cannot name an account: a-z, 0-9, _ and -, not beginning with a digit or -, at most 32; did you mean 'ann'?"
            ],
        ),
        (
            "[{name: 7up}]",
            [
                "2:18: injections.users.0.name: '7up' cannot name an account: a-z, 0-9, _ and -, not beginning with a digit or -, at most 32"
            ],
        ),
        ("[{uid: 1}]", ["2:11: injections.users.0: the key 'name' is missing"]),
        (
            "[{name: ann}, {name: ann}]",
            ["2:31: injections.users.1.name: 'ann' is there twice; first in line 2 -- keep one"],
        ),
        (
            "{ann: {uid: 1000}, bob: {uid: 1000}}",
            ["2:40: injections.users.bob.uid: 'ann' has this number already"],
        ),
        (
            "{ann: {uid: 0}}",
            ["2:22: injections.users.ann.uid: 0 is the number of root, and of nobody else -- leave it out"],
        ),
        (
            "{root: {uid: 1}}",
            ["2:23: injections.users.root.uid: 0 is the number of root, and of nobody else -- leave it out"],
        ),
        (
            "{ann: {uid: 65535}}",
            ["2:22: injections.users.ann.uid: 65535 is not a valid uid -- 1000 and up are people's"],
        ),
        ("{ann: {uid: -5}}", None),
        (
            "{ann: {groups: [Sudo]}}",
            [
                "2:26: injections.users.ann.groups.0: 'Sudo' cannot name a group: a-z, 0-9, _ and -, not beginning with a digit or -, at most 32; did you mean 'sudo'?"
            ],
        ),
        ("{ann: {shell: bash}}", ["2:24: injections.users.ann.shell: 'bash' is relative"]),
        (
            "{ann: {shell: '/bin/a:b'}}",
            [
                "2:24: injections.users.ann.shell: '/bin/a:b' holds a colon, which separates the fields of /etc/passwd"
            ],
        ),
        ("{ann: {home: /}}", ["2:23: injections.users.ann.home: '/' is the whole system"]),
        (
            "{ann: {ssh_keys: hello}}",
            [
                "2:27: injections.users.ann.ssh_keys: this is not a public key; a line has a type, the key and a comment: ssh-ed25519 AAAA... name"
            ],
        ),
        ("{ann: {name: ann}}", None),
        ("ann", ["2:10: injections.users: must be a list or a mapping, is text"]),
        ("{ann: }", ["2:15: injections.users.ann: must be a mapping, is null"]),
    ],
)
def test_what_is_no_account_is_told_where_it_stands(text, expected):
    """Without ever showing a password."""
    found = told(text)

    assert len(found) == 1 or expected is None
    assert "same" not in "".join(found).replace("the same", "")
    if expected is not None:
        assert found == expected
    assert found


def test_keys_for_accounts_that_are_there():
    """One, several in one text, or a list; each once."""
    keys = created(f"""
        injections:
          ssh_keys:
            root: '{ED25519}'
            pi: ['{ED25519}', '{ED25519}', 'no-pty {ED25519}']
        """).injections.ssh_keys

    assert keys == {"root": (ED25519,), "pi": (ED25519, f"no-pty {ED25519}")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"ssh_keys: {{Pi: '{ED25519}'}}", "1:25: injections.ssh_keys.Pi: 'Pi' cannot name an account"),
        (
            f"ssh_keys: {{ann: '{ED25519}'}}, users: {{ann: {{ssh_keys: '{ED25519}'}}}}",
            "1:25: injections.ssh_keys.ann: keys of 'ann' stand with the user, too (line 1) -- put all of them there",
        ),
        (
            "ssh_keys: {pi: ssh-ed25519 AAAA}",
            "1:29: injections.ssh_keys.pi: what stands behind ssh-ed25519 is not a key",
        ),
        ("ssh_keys: {pi: 7}", '1:29: injections.ssh_keys.pi: must be text, is a number -- write "7"'),
        ("ssh_keys: [x]", "1:24: injections.ssh_keys: must be a mapping, is a list"),
    ],
)
def test_what_is_no_key_of_an_account_is_told(text, expected):
    """Each line is checked."""
    (found,) = refused(f"injections: {{{text}}}\n")

    assert found.startswith(expected)
