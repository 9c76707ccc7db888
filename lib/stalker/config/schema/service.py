"""The keys of `service.hjson`."""

from __future__ import annotations

from typing import Any

from stalker.config.schema.types import Either, Flag, Items, Keys, Text, Whole

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""Form of a project's name: it is a part of URLs and of directories."""

FORGES = ("github", "gitea", "gitlab", "git")
ROLES = ("read", "run", "admin")

_HOOK = Keys(
    {
        "forge": Text(
            "github, gitea (also Forgejo and Gogs), gitlab, or git (signs as gitea)", allowed=FORGES
        ),
        "secret": Text("name of the secret that signs each push"),
        "repository": Text("full name of the repository: owner/name"),
        "refs": Items(Text(), "patterns of refs; default heads/*; tags are tags/*", or_one=True),
    },
    "pushes that start builds",
    required=("forge", "secret", "repository"),
)

_ALLOW = Keys(
    {
        "host_paths": Items(Text(), "directories of this machine that it may mount", or_one=True),
        "privileged": Flag("privileged containers, devices, capabilities and other rights over this machine"),
        "networks": Items(Text(), "networks of containers; default none and bridge", or_one=True),
        "secrets": Items(Text(), "secrets of this file that its tree may declare", or_one=True),
    },
    "what a pushed tree may ask of this machine",
)

_PUBLISHED = Keys(
    {"as": Text("name of the published file"), "link": Text("name of a link to the newest")},
    required=("as",),
)

PROJECT = Keys(
    {
        "hook": _HOOK,
        "source": Keys({"git": Text("address of the repository")}, "trees of the pushed commit"),
        "tree": Text("name of the tree that is built"),
        "set": Keys(help="variables of the tree", variables=True),
        "allow": _ALLOW,
        "publish": Keys(
            {"link": Text("name of a link to the newest, where one file is published")},
            "file of an artifact: name of the published file",
            others=Either((Text(), _PUBLISHED)),
        ),
        "tag": Text("name that the last image gets, as a base of other projects"),
        "status": Keys(
            {"token": Text("name of a secret"), "api": Text("address of the forge's API")},
            "commit statuses at the forge",
            required=("token",),
        ),
        "notify": Items(Text(), "secrets that hold Apprise URLs", or_one=True),
        "after": Items(Text(), "projects whose successful builds start one of this", or_one=True),
    },
    "a repository and its tree",
    required=("tree",),
)

SERVICE = Keys(
    {
        "listen": Text('host:port; default "127.0.0.1:8520"'),
        "public_url": Text("address at which people reach the service"),
        "database": Text('default "sqlite:///workspace/service.db"; or postgresql+psycopg://...'),
        "storage": Keys({"directory": Text('default "workspace/published"')}, "published files"),
        "work_directory": Text('default "workspace/service"'),
        "builds": Keys(
            {
                "parallel": Whole("trees that are built at a time; default 1", minimum=1, maximum=64),
                "queued": Whole("builds that may wait; default 200", minimum=1, maximum=100_000),
                "timeout": Either((Text(), Whole(minimum=1)), "longest time of a build; default 2h"),
                "min_free": Either(
                    (Text(), Whole(maximum=1 << 60)), "disk space below which no build starts; default 1GB"
                ),
                "keep": Keys(
                    {
                        "number": Whole("builds of each project that are kept", minimum=1),
                        "age": Either((Text(), Whole(minimum=1)), "how long a build is kept after its end"),
                    },
                    "which builds that are over are kept; default: all",
                ),
            },
            "bounds of builds",
        ),
        "tokens": Keys(
            help="who may use the service",
            others=Keys(
                {
                    "secret": Text("name of the secret that is the token"),
                    "may": Items(Text(allowed=ROLES), "read, run or admin", or_one=True),
                },
                required=("secret", "may"),
            ),
        ),
        "read": Text("who may read: tokens (default) or public", allowed=("tokens", "public")),
        "secrets": Keys(
            help="values that are not in this file",
            others=Keys({"env": Text("name of an environment variable"), "file": Text("path of a file")}),
        ),
        "projects": Keys(help="repositories and their trees", others=PROJECT),
    },
    "the configuration of `stalker serve`",
    required=("projects",),
)


def service_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `service.hjson`."""
    # late: only editors need it, and it knows every key of trees
    from stalker.config.schema.json_schema import document_schema

    return document_schema(SERVICE, "stalker service")
