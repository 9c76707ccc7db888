"""The configuration of Portage: make.conf, package.use and its like, profile, repositories."""

import configparser
import os
import re

from kantoo.recipes import Repository
from kantoo.utils import Failed, read, replace_file

__all__ = [
    "main_repository",
    "repositories",
    "set_make_conf",
    "set_package_file",
    "set_profile",
]

CONFIG = "/etc/portage"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def set_make_conf(owner, values, config=CONFIG):
    """Set variables in make.conf; they stand behind the others, so they win. Say whether that changed it.

    They stand between two marks with the name of their owner: what it set before and does not set any
    more is gone, what others set stays.
    """
    lines = []
    for name, value in values.items():
        if not _NAME.match(name):
            raise Failed(f"make_conf: '{name}' is not a variable name")
        if re.search(r'["\\`\n]', value):
            raise Failed(f"make_conf: {name} has a quote, a backslash or a line break in it")
        lines.append(f'{name}="{value}"')
    path = os.path.join(config, "make.conf")
    if os.path.isdir(path):
        path = os.path.join(path, "99-kantoo")
    text = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
    begin, end = f"# >>> {owner}", f"# <<< {owner}"
    before, mark, rest = text.partition(begin + "\n")
    if mark:
        before += rest.partition(end + "\n")[2]
    if before and not before.endswith("\n"):
        before += "\n"
    block = "\n".join([begin, *lines, end]) + "\n" if lines else ""
    return replace_file(path, before + block)


def set_package_file(kind, lines, config=CONFIG):
    """Give /etc/portage/package.KIND/kantoo these lines, or take it away; say whether that changed it."""
    folder = _as_folder(os.path.join(config, "package." + kind))
    path = os.path.join(folder, "kantoo")
    if lines:
        return replace_file(path, "".join(line + "\n" for line in lines))
    if not os.path.exists(path):
        return False
    os.unlink(path)
    return True


def _as_folder(path):
    """Make a folder of a configuration file, with that file in it, so that all its lines count."""
    if os.path.isfile(path):
        os.rename(path, path + ".file")
        os.makedirs(path)
        os.rename(path + ".file", os.path.join(path, "00-before"))
    return path


def set_profile(profile, config=CONFIG):
    """Make a profile of the main repository the system's; say whether it was another one before."""
    link = os.path.join(config, "make.profile")
    _, location = main_repository()
    target = os.path.join(location, "profiles", profile)
    if not os.path.isdir(target):
        raise Failed(
            f"profile: there is no '{profile}' in {location}/profiles",
            f"`eselect profile list` shows the profiles; {location}/profiles/profiles.desc has them too",
        )
    wanted = os.path.relpath(target, config)
    if os.path.islink(link) and os.readlink(link) == wanted:
        return False
    new = link + ".new"
    os.symlink(wanted, new)
    os.rename(new, link)
    return True


def main_repository():
    """Return the name of the main repository and its folder."""
    parser = _repos_config()
    name = parser.defaults().get("main-repo", "gentoo")
    if name not in parser or not parser[name].get("location"):
        raise Failed(f"Portage knows no repository '{name}'", "/etc/portage/repos.conf says where it is")
    return name, parser[name]["location"]


def _repos_config():
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(read("portageq", "repos_config", "/"))
    return parser


def repositories():
    """Return the ebuild repositories of the system by name."""
    parser = _repos_config()
    places = {name: parser[name].get("location", "") for name in parser.sections()}
    return {
        name: Repository(place, [places[one] for one in _masters(place) if places.get(one)])
        for name, place in places.items()
    }


def _masters(location):
    """Return the repositories whose eclasses a repository uses too."""
    try:
        with open(os.path.join(location, "metadata/layout.conf"), encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    values = dict((part.strip() for part in line.split("=", 1)) for line in lines if "=" in line)
    return values.get("masters", "").split()
