"""Portage, driven by its own commands: configuration, builds, binary packages.

Nothing of Portage is imported, so that this works with every version of it, whatever Python it uses.
"""

import configparser
import os
import re

from kantoo.binhost import check_index, kept_and_gone, name_of, read_index
from kantoo.recipes import Repository, ebuild_of, record, stale
from kantoo.utils import Failed, info, need, read, replace_file, run

__all__ = [
    "build",
    "clean_binaries",
    "install_binaries",
    "packages_dir",
    "set_make_conf",
    "set_package_file",
    "set_profile",
    "update_world",
]

CONFIG = "/etc/portage"
INSTALLED = "/var/db/pkg"
REMEDY = "Portage's own words stand above; `stalker shell` opens the failed state"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

QUIET = ("--ask=n", "--color=n", "--nospinner", "--quiet-build=y")
FROM_STORE = ("--usepkg=y", "--buildpkg=y", "--binpkg-respect-use=y", "--with-bdeps=y")
"""Packages of the store are taken where they are what would be built; what is built goes there."""


def emerge(*arguments, environment=None):
    """Run emerge, without a question."""
    need("emerge", "this is for Gentoo, Funtoo and what else has Portage")
    run("emerge", *QUIET, *arguments, environment=environment, remedy=REMEDY)


# -- configuration ------------------------------------------------------------------------------------


def set_make_conf(owner, values, config=CONFIG):
    """Set variables in make.conf; they stand behind the others, so they win. Say whether that changed it.

    They stand between two marks with the name of their owner: what it set before and does not set any
    more is gone, what others set stays.
    """
    lines = []
    for name, value in values.items():
        if not _NAME.match(name):
            raise Failed(f"make_conf: '{name}' is no name of a variable")
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
    """Give /etc/portage/package.KIND/kantoo these lines, or take it away; say whether that changed it.

    A package.KIND that is a file becomes a folder with that file in it, so that all lines count.
    """
    folder = os.path.join(config, "package." + kind)
    if os.path.isfile(folder):
        os.rename(folder, folder + ".file")
        os.makedirs(folder)
        os.rename(folder + ".file", os.path.join(folder, "00-before"))
    path = os.path.join(folder, "kantoo")
    if lines:
        return replace_file(path, "".join(line + "\n" for line in lines))
    if not os.path.exists(path):
        return False
    os.unlink(path)
    return True


def set_profile(profile, config=CONFIG):
    """Make a profile of the main repository the system's; say whether it was another one before."""
    link = os.path.join(config, "make.profile")
    location = read("portageq", "get_repo_path", "/", main_repository())
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
    """Return the name of the main repository."""
    return _repos_config().defaults().get("main-repo", "gentoo")


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


def packages_dir():
    """Return PKGDIR: where Portage puts binary packages and takes them from."""
    return read("portageq", "envvar", "PKGDIR")


# -- building -----------------------------------------------------------------------------------------


def _prepare(folder):
    """Bring index and packages into line, and drop what is made of something else than the ebuilds now."""
    if not os.path.isdir(folder):
        os.makedirs(folder)
    _make_index()
    known = repositories()
    old = stale(folder, known)
    for package in old:
        repository = known.get(package.fields.get("REPO", ""))
        there = repository is not None and os.path.isfile(ebuild_of(package.cpv, repository))
        info(
            "{}: {}, so it goes".format(
                package.cpv, "its recipe has changed" if there else "it has no ebuild"
            )
        )
        os.unlink(os.path.join(folder, package.path))
    if old:
        _make_index()
    return known


def _make_index():
    run("emaint", "--fix", "binhost", remedy=REMEDY)


def _finish(folder, known):
    _make_index()
    check_index(folder)
    record(folder, known)


def _report(before, folder):
    """Say which packages were built and how many came from the store."""
    packages = read_index(folder)
    built = [package.cpv for package in packages if before.get(package.cpv) != package.sha1]
    for cpv in built:
        info(f"built {cpv}")
    info(f"{len(built)} built, {len(packages) - len(built)} in the store before")


def _sha1s(folder):
    return {package.cpv: package.sha1 for package in read_index(folder)}


def build(atoms, *, jobs=0, options=()):
    """Install packages and what they need, and leave a binary package of each in PKGDIR.

    What lies there already is installed from there, unless its USE flags or its recipe are others.
    """
    if not atoms:
        raise Failed("packages: the list is empty")
    folder = packages_dir()
    known = _prepare(folder)
    before = _sha1s(folder)
    how = _how(jobs, options)
    emerge("--update", "--newuse", *how, *atoms)
    _make_index()
    # what the stage3 had already is installed and has no package yet
    there = {package.cpv for package in read_index(folder)}
    lacking = sorted({"=" + cpv for atom in atoms for cpv in _installed(atom) if cpv not in there})
    if lacking:
        emerge("--oneshot", *how, *lacking)
    _finish(folder, known)
    _report(before, folder)


def _how(jobs, options):
    return (*FROM_STORE, *((f"--jobs={jobs}",) if jobs else ()), *options)


def _installed(atom):
    found = read("portageq", "match", "/", atom, accepted=(0, 1)).split()
    if not found and not atom.startswith("@"):
        raise Failed(f"{atom} is not installed, although emerge said nothing against it")
    return found


def update_world(*, jobs=0, depclean=True, options=()):
    """Bring all installed packages to what the repository has now, with a binary package of each."""
    folder = packages_dir()
    known = _prepare(folder)
    before = _sha1s(folder)
    how = _how(jobs, options)
    emerge("--update", "--deep", "--newuse", *how, "@world")
    if depclean:
        emerge("--depclean")
    # programs that still use a library of an older version
    emerge(*how, "@preserved-rebuild")
    _finish(folder, known)
    _report(before, folder)


def clean_binaries(listed):
    """Remove binary packages that are neither installed nor listed, and make the index anew."""
    folder = packages_dir()
    _make_index()
    installed = {
        f"{category}/{name}"
        for category in _folders(INSTALLED)
        for name in _folders(os.path.join(INSTALLED, category))
        if not name.startswith("-MERGING-")
    }
    kept, gone = kept_and_gone(read_index(folder), installed, set(listed))
    for package in gone:
        info(f"{package.cpv} is neither installed nor listed, so it goes")
        os.unlink(os.path.join(folder, package.path))
    if gone:
        _make_index()
        _remove_empty_folders(folder)
    check_index(folder)
    info(f"{len(kept)} kept, {len(gone)} gone")


def _folders(path):
    try:
        return sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    except FileNotFoundError:
        return []


def _remove_empty_folders(folder):
    for place, _, _ in os.walk(folder, topdown=False):
        if place != folder and not os.listdir(place):
            os.rmdir(place)


# -- installing ---------------------------------------------------------------------------------------


def install_binaries(atoms, source, *, world=False, options=()):
    """Install packages from a folder of binary packages, and from nothing else.

    Nothing is compiled and nothing fetched: what is not there ends the step before anything changes.
    """
    if not atoms:
        raise Failed("packages: the list is empty")
    packages = check_index(source)
    if not packages:
        raise Failed(
            f"there are no binary packages in {source}",
            "the stalk that makes them has another store, or somebody removed it: run its steps again",
        )
    names = {package.name for package in packages}
    plain = [atom for atom in atoms if re.match(r"[A-Za-z0-9_][A-Za-z0-9+_.-]*/[A-Za-z0-9+_-]+\Z", atom)]
    lacking = [atom for atom in plain if name_of(atom) not in names]
    if lacking:
        raise Failed(
            "not among the binary packages of {}: {}".format(source, ", ".join(lacking)),
            "add them to the packages that are built",
        )
    wanted = ["@world"] if world else []
    emerge(
        "--usepkgonly", "--update", "--newuse", *(["--deep"] if world else []), *options, *wanted, *atoms,
        environment={"PKGDIR": source},
    )  # fmt: skip
    for atom in atoms:
        info("{} is installed".format(", ".join(_installed(atom))))
