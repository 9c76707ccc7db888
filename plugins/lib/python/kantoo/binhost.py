"""A folder of Portage's binary packages and its index, the file `Packages`.

The index is text: a header, then one paragraph a package, `KEY: value` a line, an empty line between
them. Of a package it says where it lies (PATH), how long it is (SIZE) and its SHA1.
"""

import os
import re
import shutil

from kantoo.utils import Failed, digest, info, replace_file

__all__ = [
    "Package",
    "check_index",
    "kept_and_gone",
    "mirror",
    "name_of",
    "needed_version",
    "put_version",
    "read_index",
]

INDEX = "Packages"
VERSIONS_KEPT = 10
ENDINGS = (".gpkg.tar", ".tbz2", ".xpak")
_VERSION = re.compile(r"-[0-9]+(\.[0-9]+)*[a-z]?((_(alpha|beta|pre|rc|p))[0-9]*)*(-r[0-9]+)?\Z")


class Package:
    """One paragraph of the index."""

    def __init__(self, fields):
        self.fields = fields
        self.cpv = fields["CPV"]
        self.path = fields.get("PATH") or self.cpv + ".tbz2"
        self.sha1 = fields.get("SHA1", "")
        self.size_bytes = int(fields.get("SIZE") or -1)
        self.use = fields.get("USE", "").split()

    @property
    def name(self):
        """`category/name`, without the version."""
        return name_of(self.cpv)


def name_of(cpv):
    """Return `category/name` of `category/name-version`; a name without version is returned as it is.

    Source: PMS, 3.2 and 3.1.2.
    """
    return _VERSION.sub("", cpv)


def read_index(folder):
    """Return the packages that the index of a folder lists; none when there is no index."""
    try:
        with open(os.path.join(folder, INDEX), encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return []
    paragraphs = [dict(_fields(part)) for part in text.split("\n\n")]
    return [Package(fields) for fields in paragraphs if "CPV" in fields]


def _fields(paragraph):
    for line in paragraph.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            yield key.strip(), value.strip()


def files_in(folder):
    """Return the packages that lie in a folder, relative to it."""
    found = []
    for place, _, names in os.walk(folder):
        found += [os.path.join(place, name) for name in names if name.endswith(ENDINGS)]
    return sorted(os.path.relpath(path, folder) for path in found)


def check_index(folder):
    """Check the index against the files.

    Raises:
        Failed: a package is not there, not listed, or another one than the index says.
    """
    packages = read_index(folder)
    if not packages and files_in(folder):
        raise Failed(f"{folder} has packages and no index", "make one: emaint --fix binhost")
    wrong = []
    for package in packages:
        path = os.path.join(folder, package.path)
        if not os.path.isfile(path):
            wrong.append(f"{package.path} is not there")
        elif os.path.getsize(path) != package.size_bytes:
            found = os.path.getsize(path)
            wrong.append(f"{package.path} has {found} bytes, {package.size_bytes} by the index")
        elif package.sha1 and digest(path, "sha1") != package.sha1:
            wrong.append(f"{package.path} is another file than the one in the index")
    listed = {os.path.normpath(package.path) for package in packages}
    wrong += [f"{path} is not in the index" for path in files_in(folder) if path not in listed]
    if wrong:
        raise Failed(
            "{}: the index and the packages do not fit:\n  {}".format(folder, "\n  ".join(wrong)),
            "make it again: emaint --fix binhost; a package that is damaged must be built again",
        )
    return packages


def kept_and_gone(packages, installed, listed):
    """Say which packages stay and which go.

    A package stays when its version is installed, or when it is `listed`: as `category/name`, which
    keeps every version, or as `=category/name-version`.
    """
    kept, gone = [], []
    for package in packages:
        is_listed = package.name in listed or "=" + package.cpv in listed
        (kept if is_listed or package.cpv in installed else gone).append(package)
    return kept, gone


def mirror(source, target):
    """Make `target` hold the packages of `source`, and say how many are new and how many went.

    Whoever reads `target` meanwhile finds a whole index whose packages are all there: new packages
    come first, then the index, and what it no longer lists goes last.
    """
    packages = check_index(source)
    if not packages:
        raise Failed(f"there are no binary packages in {source}", "build_binaries puts them there")
    new = 0
    for package in packages:
        path = os.path.join(target, package.path)
        if os.path.isfile(path) and digest(path, "sha1") == package.sha1:
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        part = f"{path}.part"
        shutil.copyfile(os.path.join(source, package.path), part)
        if digest(part, "sha1") != package.sha1:
            raise Failed(
                f"{package.path} changed while it was copied", "run again when nobody builds into it"
            )
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.rename(part, path)
        new += 1
    with open(os.path.join(source, INDEX), encoding="utf-8") as file:
        replace_file(os.path.join(target, INDEX), file.read())
    listed = {os.path.normpath(package.path) for package in packages}
    gone = [path for path in files_in(target) if path not in listed]
    for path in gone:
        os.unlink(os.path.join(target, path))
    compressed = os.path.join(target, INDEX + ".gz")  # of an index that was here before
    if os.path.exists(compressed):
        os.unlink(compressed)
    info(f"{target}: {len(packages)} packages, {new} new, {len(gone)} gone")
    return new, len(gone)


def put_version(target, versions, fingerprint):
    """Keep what `target` holds now under the fingerprint of the step that made it so.

    A store also has what other runs left there. Whoever needs this step finds its packages by the
    fingerprint, whatever `target` holds by then. They are links: a version costs no room while it is the
    newest one. The ten newest stay.
    """
    if not fingerprint:
        raise Failed("STALKER_FINGERPRINT is not set", "run it as a step of a stalk, or leave out `versions`")
    folder = os.path.join(versions, fingerprint)
    new = os.path.join(versions, "." + fingerprint + ".part")
    shutil.rmtree(new, ignore_errors=True)
    for package in read_index(target):
        path = os.path.join(new, package.path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.link(os.path.join(target, package.path), path)
    shutil.copyfile(os.path.join(target, INDEX), os.path.join(new, INDEX))
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(new, folder)
    by_age = sorted(os.scandir(versions), key=lambda entry: entry.stat().st_mtime, reverse=True)
    for entry in by_age[VERSIONS_KEPT:]:
        shutil.rmtree(entry.path)


def needed_version(versions, needs):
    """Return the folder of the version that a step of `needs` has put, `STALKER_NEEDS` as a step gets it."""
    steps = [line.partition(" ") for line in needs.splitlines() if line.strip()]
    for _, _, fingerprint in steps:
        if os.path.isdir(os.path.join(versions, fingerprint.strip())):
            return os.path.join(versions, fingerprint.strip())
    if not steps:
        raise Failed(
            "this stalk needs no other, so there are no packages for it", "name the one that publishes them"
        )
    names = ", ".join(step for step, _, _ in steps)
    raise Failed(
        f"what {names} published is not in {versions} any more",
        f"publish it again: ./stalker run TREE --from {steps[0][0]}",
    )
