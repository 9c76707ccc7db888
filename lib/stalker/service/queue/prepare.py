"""Everything that a build's process needs before it starts: its commit, its checkout, its specification."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.errors import InputError, StalkerError
from stalker.model.service import fill
from stalker.service.builds import checkout, process
from stalker.service.builds.publish import fields
from stalker.service.store import builds

if TYPE_CHECKING:
    from stalker.model.service import Project
    from stalker.service.builds.places import BuildPlaces
    from stalker.service.site import Site
    from stalker.service.store.builds import Build


FALLS_BACK = "falls_back"
"""Mark of a build after another one: where its repository has no branch of that name, the default branch is built."""


def start_build(site: Site, build: Build) -> Build:
    """Check out, write the specification, start the process; return the build with its commit.

    Raises:
        StalkerError: the project is not configured any more, git failed, or a secret is missing.
    """
    project = site.service.project(build.project)
    if project is None:
        raise StalkerError(f"the project {build.project} is not in the configuration any more")
    places = site.places.build(build.id)
    places.root.mkdir(parents=True, exist_ok=True)
    if project.git:
        build = _check_out(site, build, project, places)
    workspace = str(places.checkout) if project.git else site.service.workspace
    values = fields(build, raw=True)
    roots = [workspace, *(str(path) for path in site.places.project(project.name).kept)]
    process.write_spec(
        places,
        workspace=workspace,
        tree=build.tree,
        overrides={name: fill(text, values) for name, text in project.set},
        start_from=build.start_from,
        allow=project.allow if project.git else None,
        roots=roots,
    )
    process.start(places, _environment(site), _secrets(site, project))
    return build


def artifacts_of(site: Site, project: Project) -> Path:
    """Return the directory in which the builds of a project publish their artifacts."""
    kept = site.places.project(project.name).root / "artifacts"
    return kept if project.git else Path(site.service.workspace) / "artifacts"


def _check_out(site: Site, build: Build, project: Project, places: BuildPlaces) -> Build:
    own = site.places.project(project.name)
    checkout.fetch(project.git, own.mirror)
    commit = build.commit
    if commit:
        commit = checkout.fetch_commit(project.git, own.mirror, commit)
    else:
        commit = checkout.commit_of(own.mirror, build.ref)
        if not commit and build.push.get(FALLS_BACK):
            commit = checkout.commit_of(own.mirror, checkout.default_branch(project.git))
    if not commit:
        raise InputError(f"the repository of {project.name} has no {build.branch}")
    if commit != build.commit:
        values = {"commit_id": commit}
        changed = site.database.write(lambda connection: builds.set_fields(connection, build.id, **values))
        build = changed or build
    checkout.export(own.mirror, commit, own, places.checkout)
    return build


def _environment(site: Site) -> dict[str, str]:
    """Return this process's environment without the secrets of the configuration."""
    hidden = {secret.env for secret in site.service.secrets}
    return {name: value for name, value in os.environ.items() if name not in hidden}


def _secrets(site: Site, project: Project) -> dict[str, str]:
    """Return the secrets that the project's trees may declare; one that is missing fails the build by itself."""
    if not project.allow.secrets:
        return {}
    values = site.secrets()
    return {name: values[name] for name in project.allow.secrets if name in values}
