"""Portage, driven by its own commands: builds, and installations from binary packages.

Nothing of Portage is imported, so that this works with every version of it, whatever Python it uses.
"""

import json
import os
import re

from kantoo.binhost import check_index, kept_and_gone, name_of, read_index
from kantoo.configuration import repositories
from kantoo.recipes import ebuild_of, record, stale
from kantoo.utils import Failed, info, need, read, run

__all__ = [
    "build",
    "clean_binaries",
    "install_binaries",
    "packages_dir",
    "update_world",
]

INSTALLED = "/var/db/pkg"
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9+_.-]*/[A-Za-z0-9_][A-Za-z0-9+_-]*\Z")
PRESERVED = "/var/lib/portage/preserved_libs_registry"
REMEDY = "Portage's own words stand above; `stalker shell` opens the failed state"

QUIET = ("--ask=n", "--color=n", "--nospinner", "--quiet-build=y")
FROM_STORE = ("--usepkg=y", "--buildpkg=y", "--binpkg-respect-use=y", "--with-bdeps=y")
"""Packages of the store are taken where they are what would be built; what is built goes there."""


def emerge(*arguments, environment=None):
    """Run emerge, without a question."""
    need("emerge", "this is for Gentoo, Funtoo and what else has Portage")
    run("emerge", *QUIET, *arguments, environment=environment, remedy=REMEDY)


def packages_dir():
    """Return PKGDIR: where Portage puts binary packages and takes them from."""
    return read("portageq", "envvar", "PKGDIR")


# -- building -----------------------------------------------------------------------------------------


def _prepare(folder):
    """Bring index and packages into line, and drop what is made of something else than the ebuilds now."""
    os.makedirs(folder, exist_ok=True)
    _index(folder)
    known = repositories()
    old = stale(folder, known)
    for package in old:
        repository = known.get(package.fields.get("REPO", ""))
        there = repository is not None and os.path.isfile(ebuild_of(package.cpv, repository))
        info(f"{package.cpv}: {'its recipe has changed' if there else 'it has no ebuild'}, so it goes")
        os.unlink(os.path.join(folder, package.path))
    if old:
        _index(folder)
    return known


def _index(folder):
    """See that the index tells of the packages that are there, and make it again where it does not."""
    try:
        return check_index(folder)
    except Failed as failure:
        info(failure.what)
    run("emaint", "--fix", "binhost", remedy=REMEDY)
    return check_index(folder)


def _finish(folder, known, before):
    """Note what the packages are made of, and say which were built and how many came from the store."""
    packages = _index(folder)
    record(folder, known)
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
    # what the stage3 had already is installed and has no package yet
    there = {package.cpv for package in _index(folder)}
    lacking = sorted({"=" + cpv for atom in atoms for cpv in _installed(atom) if cpv not in there})
    if lacking:
        emerge("--oneshot", *how, *lacking)
    _finish(folder, known, before)


def _how(jobs, options):
    return (*FROM_STORE, *((f"--jobs={jobs}",) if jobs else ()), *options)


def _installed(atom):
    """Return the versions of a package that are installed; a set has none of its own."""
    if atom.startswith("@"):
        return []
    if PLAIN.match(atom):  # Portage would need half a second for what its folders tell
        category = atom.partition("/")[0]
        there = (f"{category}/{name}" for name in _folders(os.path.join(INSTALLED, category)))
        found = [cpv for cpv in there if name_of(cpv) == atom]
    else:
        found = read("portageq", "match", "/", atom, accepted=(0, 1)).split()
    if not found:
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
    if _keeps_old_libraries():
        emerge("--oneshot", *how, "@preserved-rebuild")
    _finish(folder, known, before)


def _keeps_old_libraries():
    """Whether Portage keeps a library for programs that were built with an older version of it."""
    try:
        with open(PRESERVED, encoding="utf-8") as file:
            return bool(json.load(file))
    except FileNotFoundError:
        return False
    except ValueError:
        return True  # another form of the file: Portage knows


def clean_binaries(listed):
    """Remove binary packages that are neither installed nor listed, and rebuild the index."""
    folder = packages_dir()
    installed = {
        f"{category}/{name}"
        for category in _folders(INSTALLED)
        for name in _folders(os.path.join(INSTALLED, category))
        if not name.startswith("-MERGING-")
    }
    kept, gone = kept_and_gone(_index(folder), installed, set(listed))
    for package in gone:
        info(f"{package.cpv} is neither installed nor listed, so it goes")
        os.unlink(os.path.join(folder, package.path))
    if gone:
        _index(folder)
        _remove_empty_folders(folder)
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
    plain = [atom for atom in atoms if PLAIN.match(atom)]
    lacking = [atom for atom in plain if atom not in names]
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
        info(f"{', '.join(_installed(atom)) or atom} is installed")
