"""What a binary package was made of, so that it is built again when that changes.

Portage takes a binary package of the right version and USE flags, although the ebuild, a patch beside
it or an eclass has changed since. The digest of a recipe covers these three. It is kept beside
the packages in `.kantoo/recipes.json`, by the SHA1 of the package: a package without one counts as
made of something else, so that a lost or damaged file costs time and nothing worse.
"""

import hashlib
import json
import os
import re

from kantoo.binhost import name_of, read_index
from kantoo.utils import digest, replace_file

__all__ = ["Repository", "ebuild_of", "recipe", "record", "stale"]

_INHERIT = re.compile(r"^[ \t]*inherit[ \t]+([^#;|&\n]*)", re.MULTILINE)


class Repository:
    """An ebuild repository: its folder, and where its eclasses are looked for, in that order."""

    def __init__(self, location, eclass_locations=()):
        self.location = location
        self.eclass_locations = [location, *eclass_locations]


def ebuild_of(cpv, repository):
    """Return the path that the ebuild of a package has in a repository."""
    name = name_of(cpv)
    return os.path.join(repository.location, name, os.path.basename(cpv) + ".ebuild")


def recipe(cpv, repository):
    """Return the digest over ebuild, its folder `files` and its eclasses; empty when it has no ebuild."""
    ebuild = ebuild_of(cpv, repository)
    if not os.path.isfile(ebuild):
        return ""
    found = hashlib.sha256()
    parts = [("ebuild", ebuild)]
    folder = os.path.join(os.path.dirname(ebuild), "files")
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(place, name)
            if os.path.isfile(path):
                parts.append((os.path.relpath(path, folder), path))
    parts += sorted(_eclasses(ebuild, repository).items())
    for name, path in parts:
        found.update(f"{len(name)}:{name}{digest(path)}".encode())
    return found.hexdigest()


def _eclasses(ebuild, repository):
    """Return the eclasses that an ebuild inherits, also through others: path by name."""
    found = {}
    unread = [ebuild]
    while unread:
        with open(unread.pop(), encoding="utf-8", errors="replace") as file:
            names = " ".join(_INHERIT.findall(file.read().replace("\\\n", " "))).split()
        for name in names:
            for location in repository.eclass_locations:
                path = os.path.join(location, "eclass", name + ".eclass")
                if name not in found and os.path.isfile(path):
                    found[name] = path
                    unread.append(path)
    return found


def _file(folder):
    return os.path.join(folder, ".kantoo", "recipes.json")


def _recorded(folder):
    try:
        with open(_file(folder), encoding="utf-8") as file:
            found = json.load(file)
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def stale(folder, repositories):
    """Return the packages of a folder that are made of something else than the repositories hold now.

    `repositories` maps names to repositories, as the index names them.
    """
    known = _recorded(folder)
    found = []
    for package in read_index(folder):
        now = _recipe_now(package, repositories)
        if not now or known.get(package.sha1) != now:
            found.append(package)
    return found


def record(folder, repositories):
    """Note for every package of a folder that has no recipe yet what its ebuild is now."""
    known = _recorded(folder)
    packages = read_index(folder)
    recipes = {
        package.sha1: known.get(package.sha1) or _recipe_now(package, repositories) for package in packages
    }
    replace_file(_file(folder), json.dumps(recipes, indent=1, sort_keys=True) + "\n")


def _recipe_now(package, repositories):
    repository = repositories.get(package.fields.get("REPO", ""))
    return "" if repository is None else recipe(package.cpv, repository)
