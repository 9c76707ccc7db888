#!/usr/bin/env python3
"""The recorded contract of Entropy's commands `eit` and `equo`: a stand-in, and no Entropy.

It takes the calls that the stalks make, word by word, with what they give on standard input, the
environment and the configuration files, and refuses any other. Each call is a line of
/var/log/entropy-contract. What clients and servers leave for each other it leaves too: the folders of
a repository, its packages under Entropy's names, its index, revision and checksums.
What the calls, answers, names and places are was taken from Entropy at its last public state (2020).
"""

import bz2
import configparser
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

ARCH, BRANCH = "amd64", "5"
LOG = "/var/log/entropy-contract"
INSTALLED = f"/var/lib/entropy/client/database/{ARCH}/equo.db"
ENVIRONMENT = {"ETP_NO_COLOR": "1", "ETP_NONINTERACTIVE": "1", "EDITOR": "cat"}


def main():
    program, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
    given = sys.stdin.read()
    with open(LOG, "a") as file:
        file.write(json.dumps({"call": [program, *arguments], "given": given}) + "\n")
    for name, value in ENVIRONMENT.items():
        if os.environ.get(name) != value:
            refuse(f"{name} is {os.environ.get(name)!r}, not {value!r}")
    for form, work in (EIT if program == "eit" else EQUO).items():
        if found := re.fullmatch(form, " ".join(arguments)):
            return work(given, *found.groups())
    return refuse(f"no recorded call: {program} {' '.join(arguments)}")


def refuse(why):
    print(f"entropy contract: {why}", file=sys.stderr)
    sys.exit(97)


def server(name):
    """Return the folder of a repository that /etc/entropy/server.conf has."""
    with open("/etc/entropy/server.conf") as file:
        lines = dict(line.strip().split(" = ", 1) for line in file)
    repository, _, uri = lines["repository"].split("|")
    if repository != name or lines["default-repository"] != name or not uri.startswith("file:///"):
        refuse(f"server.conf has no repository {name}")
    return os.path.join(uri[len("file://") :], "standard", name)


def places(folder):
    return [os.path.join(folder, kind, ARCH, BRANCH) for kind in ("database", "packages")]


def init(given, name):
    if given != "Yes\n":
        refuse(f"init erases a repository; asked whether to, it was answered {given!r}")
    for place in places(server(name)):
        os.makedirs(place)


def known(_given, name):
    if not os.path.isdir(server(name)):
        refuse(f"{name} was never made")


def unlock(given, name):
    known(given, name)
    return 1  # it is not locked


def inject(_given, name, files):
    _, packages = places(server(name))
    for path in files.split():
        if not path.endswith(".tbz2"):
            print(f"{path}: unsupported extension", file=sys.stderr)
            sys.exit(1)
        metadata = split(path)[1]
        category, full = metadata["CATEGORY"], metadata["PF"]
        folder = os.path.join(packages, category)
        os.makedirs(folder, exist_ok=True)
        before = glob.glob(os.path.join(folder, f"{category}:{full}~*.tbz2"))
        revision = 1 + max((int(one.rpartition("~")[2][:-5]) for one in before), default=-1)
        shutil.copyfile(path, os.path.join(folder, f"{category}:{full}~{revision}.tbz2"))
        for one in before:
            os.unlink(one)


def push(_given, _force, name):
    database, packages = places(server(name))
    listed = sorted(os.path.relpath(one, packages) for one in glob.glob(f"{packages}/*/*.tbz2"))
    index = bz2.compress("\n".join(listed).encode())
    revision = os.path.join(database, "packages.db.revision")
    number = int(read(revision) or 0) + 1
    for file in ("packages.db.bz2", "packages.db.light.bz2"):
        write(os.path.join(database, file), index)
        md5 = hashlib.md5(index).hexdigest()  # what Entropy has beside each file
        write(os.path.join(database, file + ".md5"), f"{md5}  {file}\n".encode())
    write(revision, f"{number}\n".encode())


def generate(given):
    if given != "Yes\n" * 3:
        refuse(f"three questions were answered {given!r}")
    write(INSTALLED, b"")


def spmsync(_given):
    if not os.path.exists(INSTALLED):
        refuse("there is no list of what is installed")


def repositories():
    """Return the folders of the repositories that clients know of, by name."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(glob.glob("/etc/entropy/repositories.conf.d/entropy_*"))
    found = {}
    for name in parser.sections():
        uri = parser[name]["repo"].partition("#")[0]
        if uri != parser[name]["pkg"] or parser[name]["enabled"] != "true" or not parser[name]["desc"]:
            refuse(f"the repository {name} is not configured as recorded")
        found[name] = os.path.join(uri[len("file://") :], "standard", name)
    return found


def update(_given):
    for name, folder in repositories().items():
        if not os.path.exists(os.path.join(places(folder)[0], "packages.db.light.bz2")):
            refuse(f"{name} was never published")


def install(_given, atoms):
    spmsync("")
    for atom in atoms.split():
        category, _, name = atom.partition("/")
        files = [
            file
            for folder in repositories().values()
            for file in glob.glob(f"{places(folder)[1]}/{category}/{category}:{name}-[0-9]*.tbz2")
        ]
        if not files:
            print(f"{atom}: not found", file=sys.stderr)
            sys.exit(1)
        subprocess.run(
            ["tar", "-x", "--zstd", "--keep-directory-symlink", "-C", "/"],
            input=split(files[-1])[0],
            check=True,
        )
        print(f"{atom} is installed")


def split(path):
    """Return tar and metadata of a package. Source: xpak(5)."""
    with open(path, "rb") as file:
        data = file.read()
    if data[-4:] != b"STOP":
        refuse(f"{path} is not an xpak")
    length = int.from_bytes(data[-8:-4], "big")
    part = data[-8 - length : -8]
    index_length = int.from_bytes(part[8:12], "big")
    index, values = part[16 : 16 + index_length], part[16 + index_length :]
    found, at = {}, 0
    while at < len(index):
        size = int.from_bytes(index[at : at + 4], "big")
        name = index[at + 4 : at + 4 + size].decode()
        start, count = (int.from_bytes(index[at + 4 + size + n :][:4], "big") for n in (0, 4))
        found[name] = values[start : start + count].decode("utf-8", "replace").strip()
        at += 12 + size
    return data[: -8 - length], found


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


NAME = r"([a-z0-9.-]+)"
EIT = {
    rf"init --quick {NAME}": init,
    rf"unlock {NAME}": unlock,
    rf"pull --quick {NAME}": known,
    rf"inject --quick --to {NAME} (.+)": inject,
    rf"push --quick( --force)? {NAME}": push,
}
EQUO = {
    "rescue generate": generate,
    "rescue spmsync": spmsync,
    "update": update,
    "install (.+)": install,
}

if __name__ == "__main__":
    sys.exit(main())
