"""Accounts and keys of one machine: made, or changed in what is asked for and nothing else."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stalker.artifacts.gates.passwords import find_crypt
from stalker.card.inject.account_files import Table
from stalker.card.inject.inject import inject
from stalker.errors import StalkerError
from stalker.formats.sha512_crypt import LETTERS, begins_as_hash, hashed, is_hash
from stalker.model.card import Injections, SecretText, User
from stalker.model.diagnostics import Place
from unit.helpers.memory_editor import File, Folder, Link, MemoryEditor, MemoryEditors

PLACE = Place("card.yaml", 3, 7)
DAY_S = 86_400 * 20_000
ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmZ"
RSA = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7"

PASSWD = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\npi:x:1000:1000:,,,:/home/pi:/bin/bash\n"
SHADOW = "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\npi:!:19000:0:99999:7:::\n"
GROUP = "root:x:0:\ndaemon:x:1:\nsudo:x:27:\ngpio:x:997:pi\npi:x:1000:\n"
GSHADOW = "root:*::\ndaemon:*::\nsudo:*::\ngpio:!::pi\npi:!::\n"


def system(**more) -> MemoryEditor:
    """Debian, with /bin a link."""
    nodes = {
        "/etc/passwd": PASSWD,
        "/etc/shadow": File(SHADOW, 0o640, 0, 42),
        "/etc/group": GROUP,
        "/etc/gshadow": File(GSHADOW, 0o640, 0, 42),
        "/bin": Link("usr/bin"),
        "/usr/bin/bash": File("elf", 0o755),
        "/usr/bin/sh": Link("bash"),
        "/usr/bin/plain": "text",
        "/usr/sbin/sshd": File("elf", 0o755),
        "/home/pi": Folder(0o755, 1000, 1000),
        "/etc/skel/.bashrc": "alias\n",
        "/etc/skel/.profile": File("path\n", 0o600),
    } | more
    return MemoryEditor({path: node for path, node in nodes.items() if node is not None})


def change(root: MemoryEditor, *users: User, ssh_keys=None, secret=None, **more) -> list[str]:
    done = inject(
        MemoryEditors(root=root),
        Injections(users=users, ssh_keys=ssh_keys or {}),
        secret or (lambda one: one.text),
        mtime_s=DAY_S,
        salt=lambda: "saltsalt",
        **more,
    )
    MemoryEditors(root=root).take(done)
    return list(done.said)


def user(name: str = "anna", **fields) -> User:
    password = fields.pop("password", None)
    return User(name, PLACE, SecretText(password) if password is not None else None, **fields)


def line(root: MemoryEditor, file: str, name: str) -> str:
    return next(one for one in root.text(f"/etc/{file}").splitlines() if one.startswith(f"{name}:"))


def test_an_account_is_made_as_useradd_makes_it():
    """A free number, a group of its own, a locked password, and a home with what /etc/skel has."""
    root = system()

    said = change(root, user())

    assert root.text("/etc/passwd") == PASSWD + "anna:x:1001:1001::/home/anna:/bin/bash\n"
    assert root.text("/etc/shadow") == SHADOW + "anna:!::0:99999:7:::\n"
    assert root.text("/etc/group") == GROUP + "anna:x:1001:\n"
    assert root.text("/etc/gshadow") == GSHADOW + "anna:!::\n"
    home = root.found("/home/anna")
    assert (home.kind, home.mode, home.uid, home.gid) == ("folder", 0o700, 1001, 1001)
    assert (root.text("/home/anna/.bashrc"), root.found("/home/anna/.profile").mode) == ("alias\n", 0o600)
    assert root.found("/home/anna/.bashrc").uid == 1001
    assert (root.found("/etc/shadow").mode, root.found("/etc/shadow").gid) == (0o640, 42)
    assert said == [
        "account anna: made, number 1001, group 1001, /bin/bash",
        "account anna: /home/anna made, with .bashrc, .profile",
    ]


def test_a_password_is_hashed_and_never_shown():
    """What comes out is a hash that crypt(3) knows; what is said does not hold the password."""
    root = system()

    said = change(root, user(password="correct horse ☃"))

    field = line(root, "shadow", "anna").split(":")
    assert field[1] == hashed("correct horse ☃".encode(), "saltsalt")
    assert field[1].startswith("$6$rounds=50000$saltsalt$")
    assert field[2] == "20000"
    assert not any("horse" in one or "$6$" in one for one in said)
    assert "account anna: its password is set" in said


def test_a_hash_is_taken_as_it_is():
    """Whoever writes one has hashed it already."""
    for made in (
        hashed(b"x", "abc", 5000),
        "$5$rounds=1000$abc$" + "a" * 43,
        "$y$j9T$abcd$" + "b" * 43,
        "$2b$12$" + "c" * 53,
    ):
        root = system()
        change(root, user(password=made))
        assert line(root, "shadow", "anna").split(":")[1] == made


@pytest.mark.parametrize(
    "password",
    ["", "two\nlines", "tab\t", "nul\0", "$6$cutoff$abc", "$1$abc$" + "d" * 22, "$6$a:b$" + "a" * 86],
)
def test_a_password_that_cannot_be_is_refused_and_not_shown(password):
    """Empty, what nobody can type, and half a hash or a weak one."""
    with pytest.raises(StalkerError) as caught:
        change(system(), user(password=password))

    text = f"{caught.value}{caught.value.details}{caught.value.resolution}"
    assert "the password of anna cannot be used" in text
    assert "card.yaml:3:7" in text
    assert not password or password not in text


def test_the_secret_is_asked_for_with_what_was_written():
    """Where it is read is the caller's business."""
    asked = []
    wish = User("anna", PLACE, SecretText(env="ANNA"))

    change(system(), wish, secret=lambda one: asked.append(one) or "fine password")

    assert [one.env for one in asked] == ["ANNA"]


def test_an_account_that_is_there_is_changed_in_what_is_asked_alone():
    """Its comment, home, number and groups stay; so does its home."""
    root = system()

    said = change(root, user("pi", password="new password", groups=("sudo", "gpio")))

    assert root.text("/etc/passwd") == PASSWD
    assert line(root, "shadow", "pi") == f"pi:{hashed(b'new password', 'saltsalt')}:20000:0:99999:7:::"
    assert root.text("/etc/group") == GROUP.replace("sudo:x:27:", "sudo:x:27:pi")
    assert root.text("/etc/gshadow") == GSHADOW.replace("sudo:*::", "sudo:*::pi")
    assert not any(path.startswith("/home/pi/") for path in root.paths)
    assert said[0] == "account pi: it is there"


def test_an_account_that_is_there_and_for_which_nothing_is_asked_stays():
    """No file is written."""
    done = inject(MemoryEditors(root=system()), Injections(users=(user("pi", uid=1000),)), str)

    assert done.stocks == []


def test_shell_and_home_of_an_account_are_changed():
    """The new home is made."""
    root = system()

    change(root, user("pi", shell="/bin/sh", home="/srv/pi"))

    assert line(root, "passwd", "pi") == "pi:x:1000:1000:,,,:/srv/pi:/bin/sh"
    assert (root.found("/srv/pi").uid, root.found("/srv/pi").mode) == (1000, 0o700)


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (user("Anna"), "'Anna' cannot name an account"),
        (user("a:b"), "'a:b' cannot name an account"),
        (user("a\nroot"), "cannot name an account"),
        (user("1a"), "cannot name an account"),
        (user("x" * 33), "cannot name an account"),
        (user(shell="/bin/zsh"), "/bin/zsh cannot be a shell"),
        (user(shell="/bin/plain"), "it is not a program"),
        (user(shell="/etc"), "it is not a program"),
        (user(shell="bash"), "'bash' cannot be a shell"),
        (user(home="/home/a:b"), "cannot be a home"),
        (user(home="/home/a\nb"), "cannot be a home"),
        (user(home="/home/../etc/x"), "cannot be a home"),
        (user(home="/"), "cannot be a home"),
        (user(groups=("gpoi",)), "did you mean 'gpio'?"),
        (user(groups=("zz",)), "the image has no group 'zz'"),
        (user(uid=1000), "the number 1000 is pi's"),
        (user(uid=65534), "65534 is not a valid uid"),
        (user(uid=-1), "-1 is not a valid uid"),
        (user("pi", uid=1001), "pi has the number 1000 in the image, and not 1001"),
        (user("sudo"), "'sudo' is a group of the system"),
        (user(home="/etc/passwd"), "/etc/passwd is not a folder"),
        (user(has_sudo=True, groups=()), None),
    ],
)
def test_what_cannot_be_is_refused(wish, says):
    """And nothing is written of it."""
    root = system()
    if says is None:
        assert change(root, wish)
        return

    with pytest.raises(StalkerError) as caught:
        change(root, wish)

    assert says in f"{caught.value}\n{caught.value.details}\n{caught.value.resolution}"
    assert root.text("/etc/passwd") == PASSWD


def test_all_problems_of_accounts_are_told_at_once():
    """With the names of all."""
    with pytest.raises(StalkerError) as caught:
        change(system(), user("A"), user("b", password="", shell="/nothing"), user("c", groups=("no",)))

    for words in ("'A' cannot", "password of b", "/nothing", "no group 'no'"):
        assert words in caught.value.details


def test_an_image_without_accounts_is_refused():
    """A data partition is not a system."""
    with pytest.raises(StalkerError, match="no accounts"):
        change(MemoryEditor({"/etc/group": ""}), user())


def test_a_system_without_shadow_keeps_hashes_in_passwd():
    """Small systems do; an account without a password is locked there too."""
    root = MemoryEditor({"/etc/passwd": "root::0:0::/:/bin/sh", "/etc/group": "", "/bin/sh": File("", 0o755)})

    change(root, user("a", password="long password"), user("b"), user("root", password="another one"))

    assert root.text("/etc/passwd").splitlines() == [
        f"root:{hashed(b'another one', 'saltsalt')}:0:0::/:/bin/sh",
        f"a:{hashed(b'long password', 'saltsalt')}:1000:1000::/home/a:/bin/sh",
        "b:!:1001:1001::/home/b:/bin/sh",
    ]
    assert "/etc/shadow" not in root.paths


def test_an_account_whose_password_field_is_empty_gets_one_in_shadow():
    """Else anybody could log in without."""
    root = system(**{"/etc/passwd": "root::0:0::/root:/bin/bash\n", "/etc/shadow": ""})

    change(root, user("root", password="a password"))

    assert root.text("/etc/passwd") == "root:x:0:0::/root:/bin/bash\n"
    assert root.text("/etc/shadow") == f"root:{hashed(b'a password', 'saltsalt')}:20000:0:99999:7:::\n"


def test_new_lines_come_before_those_that_ask_a_directory():
    """What stands behind `+` is never read."""
    root = system(**{"/etc/passwd": PASSWD + "+::::::\n", "/etc/group": GROUP + "+:::\n"})

    change(root, user())

    assert root.text("/etc/passwd").endswith("/bin/bash\n+::::::\n")
    assert root.text("/etc/group").endswith("anna:x:1001:\n+:::\n")


def test_the_mode_of_a_home_is_that_of_the_system():
    """login.defs has it."""
    root = system(**{"/etc/login.defs": "#HOME_MODE 0777\nUMASK\t022\nHOME_MODE\t0750\n"})

    change(root, user())

    assert root.found("/home/anna").mode == 0o750


def test_a_home_that_is_there_is_left_as_it_is():
    """Somebody's files may be in it."""
    root = system(**{"/home/anna": Folder(0o711, 5, 5)})

    said = change(root, user())

    assert (root.found("/home/anna").mode, "/home/anna/.bashrc" in root.paths) == (0o711, False)
    assert "account anna: /home/anna is there, and belongs to the number 5" in said


def test_a_home_on_the_data_partition_is_told():
    """What is made there is hidden once that is mounted."""
    said = change(system(), user(home="/data/anna"))

    assert said[-1].endswith("a partition that is mounted at /data hides it")


def test_a_home_behind_a_link_is_made_where_it_leads():
    """/home is a link on some systems."""
    root = MemoryEditor(
        {
            "/etc/passwd": "",
            "/etc/group": "",
            "/bin/sh": File("", 0o755),
            "/home": Link("var/home"),
            "/var/home": Folder(),
        }
    )

    change(root, user(ssh_keys=(ED,)))

    assert root.text("/var/home/anna/.ssh/authorized_keys") == f"{ED}\n"


def test_numbers_are_told_apart():
    """Asked for, free for both, or free for the account alone."""
    root = system(**{"/etc/group": GROUP + "camera:x:1001:\nlamp:x:1003:\n"})

    change(root, user("a"), user("b", uid=1003), user("c", uid=5000))

    assert [line(root, "passwd", one).split(":")[2:4] for one in "abc"] == [
        ["1002", "1002"],
        ["1003", "1004"],
        ["5000", "5000"],
    ]


def test_sudo_is_allowed_by_a_file_of_its_own():
    """With the mode that sudo asks for."""
    root = system(
        **{
            "/usr/bin/sudo": File("", 0o4755),
            "/etc/sudoers": File("Defaults x\n@includedir /etc/sudoers.d\n", 0o440),
        }
    )

    said = change(root, user(has_sudo=True))

    assert root.text("/etc/sudoers.d/anna") == "anna ALL=(ALL:ALL) NOPASSWD: ALL\n"
    assert root.found("/etc/sudoers.d/anna").mode == 0o440
    assert "account anna: may use sudo without a password" in said


def test_without_sudo_it_is_the_group_and_that_is_told():
    """Whoever installs sudo later finds the account in it."""
    root = system()

    said = change(root, user(has_sudo=True))

    assert line(root, "group", "sudo") == "sudo:x:27:anna"
    assert said[-1].startswith("account anna: member of sudo; sudo is not installed")


def test_without_sudo_and_such_a_group_it_is_refused():
    """It could not be done."""
    with pytest.raises(StalkerError, match="cannot be allowed to use sudo"):
        change(system(**{"/etc/group": "root:x:0:\n"}), user(has_sudo=True))


def test_keys_are_added_once_with_the_modes_that_sshd_asks_for():
    """Those that are there stay as they are; options and comments make no other key."""
    root = system()
    keys = (f"{ED} anna@laptop", f'command="a b",no-pty {RSA} x', f"{ED} the same")

    said = change(root, user(ssh_keys=keys), ssh_keys={"pi": (ED,)})
    change(root, ssh_keys={"anna": (f"{RSA} other comment", f"{ED}")})

    assert root.text("/home/anna/.ssh/authorized_keys") == f'{ED} anna@laptop\ncommand="a b",no-pty {RSA} x\n'
    for path, mode, uid in (
        ("/home/anna/.ssh", 0o700, 1001),
        ("/home/anna/.ssh/authorized_keys", 0o600, 1001),
    ):
        assert (root.found(path).mode, root.found(path).uid, root.found(path).gid) == (mode, uid, uid)
    assert root.text("/home/pi/.ssh/authorized_keys") == f"{ED}\n"
    assert "account anna: 2 keys added to /home/anna/.ssh/authorized_keys" in said


def test_keys_are_added_to_a_file_that_does_not_end_with_a_line_feed():
    """The old key stays one, with its mode and owner."""
    root = system(
        **{
            "/home/pi/.ssh/authorized_keys": File(f"# mine\n{RSA}", 0o644, 1000, 1000),
            "/home/pi/.ssh": Folder(0o777),
        }
    )

    said = change(root, ssh_keys={"pi": (ED, RSA)})

    assert root.text("/home/pi/.ssh/authorized_keys") == f"# mine\n{RSA}\n{ED}\n"
    assert root.found("/home/pi/.ssh/authorized_keys").mode == 0o644
    told, _ = said
    assert told.startswith("account pi: 1 key added to /home/pi/.ssh/authorized_keys, 1 there already; ")
    assert told.endswith("/home/pi/.ssh has the mode 0777, which sshd refuses")


def test_keys_of_root_go_into_its_home():
    """Which is told by /etc/passwd."""
    root = system()

    change(root, ssh_keys={"root": (ED,)})

    assert root.text("/root/.ssh/authorized_keys") == f"{ED}\n"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"pi": ("-----BEGIN OPENSSH PRIVATE KEY-----",)}, "a key for pi is a private one"),
        ({"pi": ("ssh-ed25519 short",)}, "not an SSH public key"),
        ({"pi": (f"{ED}\nroot::0",)}, "not an SSH public key"),
        ({"nobody": (ED,)}, "the image has no account 'nobody'"),
        ({"daemon": (ED,)}, None),
    ],
)
def test_what_is_no_key_or_has_no_account_is_refused(keys, says):
    """What is there is reported."""
    if says is None:
        assert change(system(), ssh_keys=keys)
        return
    with pytest.raises(StalkerError) as caught:
        change(system(), ssh_keys=keys)

    assert says in caught.value.brief


def test_an_account_without_a_home_takes_no_keys():
    """There is no place for them."""
    root = system(**{"/etc/passwd": "srv:x:5:5::/nonexistent:/bin/sh\n"})

    with pytest.raises(StalkerError, match="srv has no home"):
        change(root, ssh_keys={"srv": (ED,)})


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ({"/usr/sbin/sshd": None}, "SSH: the image has no server, the keys wait for one"),
        ({}, "SSH: nothing was found that starts the server"),
        (
            {"/lib/systemd/system/sshswitch.service": "[Unit]"},
            "SSH: the server is off until there is a file 'ssh'",
        ),
        ({"/etc/runlevels/default/sshd": Link("/etc/init.d/sshd")}, ""),
        ({"/etc/systemd/system/multi-user.target.wants/ssh.service": Link("/nowhere")}, ""),
    ],
)
def test_a_server_that_does_not_run_is_told_to_who_gives_keys(nodes, says):
    """They open nothing then."""
    for wish in ({"ssh_keys": {"pi": (ED,)}}, {"users": (user(ssh_keys=(ED,)),)}):
        said = change(system(**nodes), *wish.get("users", ()), ssh_keys=wish.get("ssh_keys"))

        told = [one for one in said if one.startswith("SSH: ")]
        assert len(told) == bool(says)
        assert not says or told[0].startswith(says)


def test_the_wizard_of_raspberry_pi_os_is_switched_off():
    """It would ask for a first account, which is there."""
    root = system(**{"/usr/lib/systemd/system/userconfig.service": "[Unit]"})

    change(root, user(password="correct horse"))

    assert root.found("/etc/systemd/system/userconfig.service").target == "/dev/null"


@pytest.mark.parametrize("more", [{}, {"shell": "/usr/sbin/nologin", "ssh_keys": (ED,)}])
def test_the_wizard_stays_where_no_account_can_log_in(more):
    """Without a password and a key, or without a shell, the machine would be closed to all."""
    unit = "/usr/lib/systemd/system/userconfig.service"
    root = system(**{unit: "[Unit]", "/usr/sbin/nologin": File("elf", 0o755)})

    said = change(root, user(**more))

    with pytest.raises(KeyError):
        root.found("/etc/systemd/system/userconfig.service")
    assert "the image's question for a first account stays: no account here can log in" in said


@pytest.mark.parametrize(
    ("name", "more", "why"),
    [
        ("daemon", {}, "its shell is /usr/sbin/nologin"),
        ("nobody", {}, "its home /nonexistent does not exist"),
        ("anna", {"shell": "/usr/sbin/nologin"}, "its shell is /usr/sbin/nologin"),
    ],
)
def test_a_password_that_cannot_be_used_is_refused(name, more, why):
    """An account of the system has no shell or no home: a password would only look like a way in."""
    nobody = "nobody:x:65534:65534::/nonexistent:/bin/bash\n"
    root = system(**{"/etc/passwd": PASSWD + nobody, "/usr/sbin/nologin": File("elf", 0o755)})

    with pytest.raises(StalkerError, match=f"{name} cannot be given a password") as caught:
        change(root, user(name, password="correct horse", **more))

    assert why in caught.value.details


def test_an_account_of_the_system_with_a_new_shell_gets_a_password():
    root = system(**{"/usr/sbin": Folder(0o755, 0, 0)})

    change(root, user("daemon", password="correct horse", shell="/bin/bash"))

    assert line(root, "shadow", "daemon").split(":")[1].startswith("$6$")


def test_lines_that_are_not_changed_stay_byte_for_byte():
    """Comments, empty lines, bytes that are not UTF-8."""
    content = b"# mine\n\nroot:x:0:0:\xff\xfe:/root:/bin/sh\nlast:x:5:5"
    table = Table(content)

    table.put(["new", "x", "1"])

    assert table.content == content + b"\nnew:x:1\n"
    assert [row[0] for row in table.rows] == ["root", "last", "new"]


@settings(max_examples=25, deadline=None)
@given(
    st.binary(min_size=1, max_size=200).filter(lambda word: b"\0" not in word),
    st.text(LETTERS, min_size=1, max_size=16),
)
def test_hashes_are_those_of_the_system(word, salt):
    """The host's crypt(3) makes the same of any bytes and any salt."""
    crypt = find_crypt()
    if crypt is None:
        pytest.skip("no libcrypt")

    made = hashed(word, salt, 1000)

    assert made.encode() == crypt(word, f"$6$rounds=1000${salt}".encode())
    assert is_hash(made)


@pytest.mark.parametrize("word", ["a", "Grüße ☃", "x" * 64, "y" * 65, "$(rm -rf)'\"\\"])
def test_hashes_are_those_of_openssl(word):
    """With the usual number of rounds, of which the hash says nothing."""
    argv = ["openssl", "passwd", "-6", "-salt", "Some.Salt/0", "-stdin"]
    said = subprocess.run(argv, input=word.encode(), stdout=subprocess.PIPE, check=True).stdout

    assert hashed(word.encode(), "Some.Salt/0", 5000) == said.decode().strip()


def test_a_text_that_is_no_hash_is_told_apart():
    """A password may begin with a dollar."""
    assert not begins_as_hash("$ecret")
    assert not is_hash("$6$abc$short")
    assert begins_as_hash("$6$abc$short")


def test_a_key_in_a_comment_is_added_all_the_same():
    """Sshd does not read it: it counted as there, and its owner could not log in."""
    path = "/home/pi/.ssh/authorized_keys"
    root = system(**{path: File(f"#{ED}\n# {ED}\n", 0o600, 1000, 1000)})

    change(root, ssh_keys={"pi": (ED, f"no-pty {ED}")})

    assert root.text(path) == f"#{ED}\n# {ED}\n{ED}\n"
