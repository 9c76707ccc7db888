"""Remove builds that `builds.keep` does not keep: their files first, what the database says of them last.

A kill in between leaves a build that is removed again; no file is left that the database does not know.
"""

from __future__ import annotations

import functools
import shutil
from typing import TYPE_CHECKING

from stalker.service.store import builds, files

if TYPE_CHECKING:
    from stalker.service.site import Site
    from stalker.service.store.builds import Build

_BATCH = 100


def remove_expired(site: Site) -> None:
    """Remove all builds that are not kept any more."""
    limits = site.service.limits
    if not limits.keep_number and not limits.keep_s:
        return
    find = functools.partial(
        builds.expired, keep_number=limits.keep_number, keep_s=limits.keep_s, limit=_BATCH
    )
    while found := site.database.read(find):
        for build in found:
            _remove(site, build)


def _remove(site: Site, build: Build) -> None:
    directory = site.storage / build.project
    for file in site.database.read(functools.partial(files.of_build, build=build.id)):
        link = directory / file.link
        if file.link and link.is_symlink() and link.readlink().name == file.name:
            link.unlink()
        (directory / file.name).unlink(missing_ok=True)
    root = site.places.build(build.id).root
    if root.exists():
        shutil.rmtree(root)
    site.database.write(functools.partial(builds.remove, build_id=build.id))
