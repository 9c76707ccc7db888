"""Entropy, the binary package manager of Sabayon, driven by its commands `eit` and `equo`.

Entropy's repository is made of Portage's packages in the xpak form (`.tbz2`). Its programs ask
questions; those that are foreseen are answered on standard input, any other finds its end. Nothing of
Entropy is imported. What is relied on of it, and its exit codes, stands in docs/how-to/gentoo.md.
"""

import json
import os
import shutil
import tempfile

from kantoo.binhost import check_index
from kantoo.utils import Failed, info, need, replace_file, run, warn

__all__ = ["client", "database", "inject", "install", "push", "repository_folder"]

SERVER_CONF = "/etc/entropy/server.conf"
REPOSITORIES = "/etc/entropy/repositories.conf.d"
INSTALLED_DATABASE = "/var/lib/entropy/client/database/{arch}/equo.db"
THREE_TIMES_YES = "Yes\nYes\nYes\n"

# No colours in logs, no editor that waits, no crash report that is sent after a question
ENVIRONMENT = {"ETP_NO_COLOR": "1", "ETP_NONINTERACTIVE": "1", "EDITOR": "cat", "LC_ALL": "C.UTF-8"}
REMEDY = "Entropy's own words stand above; `stalker shell` opens the failed state"
SERVER_REMEDY = "build sys-apps/entropy-server and app-admin/equo into the image first"
CLIENT_REMEDY = "install app-admin/equo first, with portage.install_binaries"


def _eit(*arguments, given="", accepted=(0,)):
    need("eit", SERVER_REMEDY)
    return run("eit", *arguments, given=given, environment=ENVIRONMENT, accepted=accepted, remedy=REMEDY)


def _equo(*arguments, given=""):
    need("equo", CLIENT_REMEDY)
    return run("equo", *arguments, given=given, environment=ENVIRONMENT, remedy=REMEDY)


def repository_folder(target, name):
    """Return where the repository `name` lies below `target`: `standard` is Entropy's product name."""
    return os.path.join(target, "standard", name)


# -- server -------------------------------------------------------------------------------------------


def database(name, description, target, arch):
    """Tell Entropy what Portage has installed, and make the repository or bring it up to date."""
    need("eit", SERVER_REMEDY)
    _check_name(name)
    lines = (
        "community-mode = disable",
        "weak-package-files = disable",
        "database-format = bz2",
        "rss-feed = enable",
        "changelog = enable",
        f"default-repository = {name}",
        f"repository = {name}|{description}|file://{target}",
    )
    replace_file(SERVER_CONF, "\n".join(lines) + "\n")
    _know_installed(arch)
    if os.path.isdir(repository_folder(target, name)):
        # a run that was interrupted leaves it locked; to unlock what is not locked is not an error
        if _eit("unlock", name, accepted=(0, 1)):
            warn(f"{name} could not be unlocked; it may not have been locked")
        _eit("pull", "--quick", name)
        info(f"{name} is there and up to date")
    else:
        _eit("init", "--quick", name, given="Yes\n")
        info(f"{name} is made")


def _know_installed(arch):
    """Make Entropy's list of what is installed from that of Portage, once; then follow its changes."""
    if not os.path.exists(INSTALLED_DATABASE.format(arch=arch)):
        _equo("rescue", "generate", given=THREE_TIMES_YES)
    _equo("rescue", "spmsync")


def inject(name, source, target):
    """Put packages of Portage into the repository: those that it does not have in this very form.

    Entropy reads xpak. Packages in the newer form (gpkg) are packed again from what is installed.
    """
    packages = check_index(source)
    if not packages:
        raise Failed(f"there are no binary packages in {source}", "build_binaries puts them there")
    note = os.path.join(target, f".kantoo-{name}.json")
    known = _read(note)
    new = [package for package in packages if known.get(package.cpv) != package.sha1]
    if not new:
        info(f"nothing new for {name}")
        return 0
    with tempfile.TemporaryDirectory(prefix="kantoo-inject.") as folder:
        files = []
        for package in new:
            path = os.path.join(source, package.path)
            # Entropy writes its own metadata into the file, so it gets one of its own
            files.append(_copied(path, folder) if path.endswith(".tbz2") else _repacked(package, folder))
        _eit("unlock", name, accepted=(0, 1))
        _eit("inject", "--quick", "--to", name, *files)
    known.update((package.cpv, package.sha1) for package in new)
    listed = {package.cpv for package in packages}
    text = json.dumps({cpv: sha1 for cpv, sha1 in known.items() if cpv in listed}, indent=1, sort_keys=True)
    replace_file(note, text + "\n")
    info(f"{len(new)} packages injected into {name}, {len(packages) - len(new)} were there")
    return len(new)


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _copied(path, folder):
    place = os.path.join(folder, os.path.basename(os.path.dirname(path)))
    os.makedirs(place, exist_ok=True)
    return shutil.copy(path, place)


def _repacked(package, folder):
    """Return the package as .tbz2, made by quickpkg of what is installed."""
    category, _, name = package.cpv.partition("/")
    if not os.path.isdir(os.path.join("/var/db/pkg", package.cpv)):
        raise Failed(
            f"{package.cpv} is a gpkg, which Entropy does not read, and is not installed here to be packed again",
            'build with BINPKG_FORMAT="xpak", or run eclean in the stalk that builds',
        )
    environment = {"PKGDIR": folder, "BINPKG_FORMAT": "xpak", "FEATURES": "-binpkg-multi-instance"}
    run("quickpkg", "--include-config=y", "=" + package.cpv, environment=environment, remedy="see above")
    path = os.path.join(folder, category, name + ".tbz2")
    if not os.path.isfile(path):
        raise Failed(f"quickpkg made no {path}", "see above; xpak needs a program gtar (GNU tar)")
    return path


def push(name, target, *, force=False):
    """Publish the repository, and see that what clients read is there."""
    _eit("push", "--quick", *(["--force"] if force else []), name)
    folder = os.path.join(repository_folder(target, name), "database")
    found = {file for _, _, files in os.walk(folder) for file in files}
    lacking = sorted({"packages.db.light.bz2", "packages.db.revision"} - found)
    if lacking:
        raise Failed(f"{', '.join(lacking)}: not in {folder}, although eit said nothing against it")
    info(f"{name} is published in {repository_folder(target, name)}")


# -- client -------------------------------------------------------------------------------------------


def client(name, description, uri, arch):
    """Make a repository known to equo, and bring what equo knows up to date."""
    need("equo", CLIENT_REMEDY)
    _check_name(name)
    lines = (f"[{name}]", f"desc = {description}", f"repo = {uri}#bz2", "enabled = true", f"pkg = {uri}")
    replace_file(os.path.join(REPOSITORIES, "entropy_" + name), "\n".join(lines) + "\n")
    _know_installed(arch)
    _equo("update")


def install(packages):
    """Install packages from the repositories that equo knows, all in one go."""
    if not packages:
        raise Failed("packages: the list is empty")
    _equo("install", *packages)


def _check_name(name):
    if not name or any(sign in name for sign in "/|[] \t\n"):
        raise Failed(f"repository: '{name}' is not a repository name", "such as testing.example.org")
