"""What tree, stalk and plugin files may hold: the one declaration of their keys; `artifacts.py` has more."""

from __future__ import annotations

from stalker.config.schema.artifacts import ARTIFACTS, DURATION
from stalker.config.schema.card import CHECKSUM
from stalker.config.schema.types import (
    Anything,
    Either,
    Flag,
    Items,
    Keys,
    Named,
    Options,
    Scalar,
    Shape,
    Text,
    Whole,
    formed,
)
from stalker.config.tree import names
from stalker.model.platforms import HAZARDS

_VERIFIED: dict[str, Shape] = {
    "fingerprints": Items(
        Text(read=names.fingerprint),
        "with a signature: full OpenPGP fingerprints, of which one must have signed",
        or_one=True,
        of="tarball stage3",
    ),
    "keys": Items(Text(), "with a signature: files with public keys", or_one=True, of="tarball stage3"),
    "sha256": Text("checksum of the archive", read=names.sha256, of="tarball stage3"),
    "signature": Text("path or URL of a detached OpenPGP signature", of="tarball stage3"),
}

BOOTSTRAP = Keys(
    {
        "suite": Text("bookworm, trixie, ...", read=formed(r"[a-z0-9][a-z0-9.+/-]*", "suite's name")),
        "include": Items(
            Text(read=formed(r"[a-z0-9][a-z0-9.+:-]*(?:=\S+)?", "package's name")),
            "more packages",
            or_one=True,
        ),
        "variant": Text(
            "which packages to begin with",
            allowed=(
                *("minbase", "buildd", "apt", "essential", "important", "standard", "required", "custom"),
                *("extract", "debootstrap"),
            ),
        ),
        "mirror": Text(
            "URL of the package mirror", read=formed(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s]+(?s:.*)", "address")
        ),
        "components": Items(
            Text(read=formed(r"[a-z0-9][a-z0-9.+/-]*", "component's name")), "main, contrib, ...", or_one=True
        ),
        "architecture": Text("Debian's name of the architecture"),
    },
    "a Debian root file system by mmdebstrap or debootstrap",
    required=("suite",),
)

DISK_BASE = Keys(
    {
        "image": Text("path or URL of the image, compressed or not; {NAME} is a variable of the node"),
        "checksum": Text(
            "of the file as it is: `sha256:` or `sha512:` and digits; needed with a URL", read=names.checksum
        ),
        "root": Whole(
            "the number of its root partition; else the one with a system in it", minimum=1, maximum=128
        ),
    },
    "the system in a disk image; see [change an image](../how-to/change-an-image.md)",
    required=("image",),
)

BASES: dict[str, Shape] = {
    "image": Text("an image of a registry: name, tag or digest"),
    "tarball": Text("a root file system as tar: path or URL; verified by sha256 or signature and key"),
    "stage3": Either(
        (Flag(), Keys(_VERIFIED)), "the archive at DIST/ARCH/SUBARCH/STAGE3_ARCHIVE, verified by OpenPGP"
    ),
    "bootstrap": BOOTSTRAP,
    "dockerfile": Text("a directory with a Dockerfile, or a git URL"),
    "tag": Text("an image that is already there; {NAME} is a variable of the node"),
    "disk": DISK_BASE,
}
"""The kinds of bases."""

BASE = Keys(
    {
        **BASES,
        **_VERIFIED,
        "key": _VERIFIED["keys"],
        "digest": Text("its digest, sha256:...", of="image"),
        "commit": Text("with a git URL: the full commit", of="dockerfile"),
        "file": Text("the Dockerfile's name in the directory", of="dockerfile"),
        "args": Keys(help="build arguments", others=Scalar(), of="dockerfile"),
        "nearest": Flag(
            "else the image of the longest tag that this one begins with, up to a - or .", of="tag"
        ),
        "fallback": Text("the tag to take where there is no such image", of="tag"),
    },
    "where the first image comes from",
)

NODE = Keys(
    {
        "stalk": Text("the stalk file to use, `stalks/<stalk>/<stalk>.hjson`. Default: the node's own name"),
        "base": Items(
            Either((Text(), BASE)),
            "where the first image comes from, for a node that is in no other one; see [bases](#bases)",
            or_one=True,
        ),
        "needs": Items(
            Text(),
            "a list of stalks or `stalk:step`: they come before, and this stalk runs again when they do",
            or_one=True,
        ),
        "pretend": Flag("`true`: nothing of this stalk runs; its tags are taken as they are"),
        "skip_until": Text("a step: those before it are taken as they are"),
        "platform": Text("as in the tree, for this node and those in it", read=names.platform_name),
        "resources": Keys(help="labels for placing, such as `cpus` or `memory`", others=Scalar()),
        "artifacts": ARTIFACTS,
        "interactive": Flag("of earlier versions. Has no effect and warns; use `stalker shell`"),
    },
    "a stalk, its variables and the stalks that grow on it",
    variables=True,
    others=Named("node"),
    only_mappings=True,
    others_are="a nested stalk is a mapping",
)

SECRET = Keys(
    {
        "env": Text("name of an environment variable"),
        "file": Text("path of a file"),
        "counts": Flag(
            "another value runs what depends on it; see [secrets that count](#secrets-that-count)"
        ),
        "generate": Flag("make up a value, and keep it in the file, when there is no such file"),
    },
    "where a secret's value comes from",
)

WAIVED_HAZARDS = Keys(
    {
        name: Text(
            f"why this does not block here: {what}",
            read=names.reason(f"hazard {name}", "say why it does no harm here"),
        )
        for name, what in HAZARDS.items()
    },
    "hazards that do not block here, each with the reason",
)

TREE = Keys(
    {
        "architecture": Keys(
            help="`OS`, `ARCH`, `SUBARCH`: the images are named `<OS>/<ARCH>/<SUBARCH>/<stalk>:<step>`, in lower "
            "case. More variables may follow",
            variables=True,
        ),
        "platform": Text(
            "what the containers run as: `linux/arm/v7`. Default: the engine's own", read=names.platform_name
        ),
        "hazards": Keys(
            {"waive": WAIVED_HAZARDS},
            '`waive: { NAME: "why" }`: hazards of a foreign platform that do not block here; see '
            "[platforms](commands.md#platforms)",
        ),
        "paths": Keys(
            help="`SYSROOT_DIR` (default `sysroot`), `LOG_DIR` (default `logs`), `ARTIFACTS_DIR` (default "
            "`artifacts`), and any more variables",
            variables=True,
        ),
        "globals": Keys(help="variables for all stalks", variables=True),
        "secrets": Keys(
            help='`NAME: { env: "VARIABLE" }` or `NAME: { file: "path" }`, with `generate: true` made when it is '
            "not there, and with `counts: true` [counted](#secrets-that-count); see [secrets](../how-to/secrets.md)",
            others=SECRET,
        ),
        "stalks": Keys(
            help="the root nodes",
            others=Named("node"),
            only_mappings=True,
            others_are="a stalk is a mapping",
        ),
    },
    "which stalks grow on which, with which variables",
    required=("architecture", "stalks"),
)

READY = Keys(
    {
        "port": Whole("a TCP port that it listens on", minimum=1, maximum=65535),
        "command": Text("a shell command that succeeds in its container"),
        "log": Text("a regular expression that its output matches", read=names.expression),
        "timeout": Either(DURATION, "how long to wait; 60s when it is not given"),
    },
    "with daemonize: when the next step may begin, one of port, command and log",
)

STEP: dict[str, Shape] = {
    "timeout": Either(DURATION, "90s, 10m, 1h30m, or seconds", of="exec", field="timeout_s"),
    "retries": Whole("how often a failed step starts again", minimum=0, maximum=10, of="exec"),
    "daemonize": Flag("stays up until the stalk ends", of="exec"),
}
"""How a step runs."""

PLUGIN = Keys(
    {
        "exec": Flag("a step: a script that is run, then a commit and a tag"),
        "text": Text("the content", of="exec file"),
        "path": Text("a file with the content, or a directory to mount", of="exec file folder"),
        "url": Text(
            "http, https or file: the content is fetched from there; see [downloads](#downloads)", of="file"
        ),
        "sha256": Text("with url: what the content must have; short for `checksum`", of="file"),
        "checksum": Keys(
            CHECKSUM.keys,
            "with url: `{ algo, value, kind }`, as in [card images](image-config.md#checksums)",
            CHECKSUM.required,
            of="file",
        ),
        "mirrors": Items(Text(), "with url: more addresses of the same", or_one=True, of="file"),
        "headers": Keys(
            help="with url: headers that are sent to its host, such as `Authorization`; `{NAME}` is a variable or a "
            "secret of the plugin",
            others=Text(),
            of="file git",
        ),
        "git": Text("a git repository: an address of https, http, ssh, git or file", of="git"),
        "ref": Text("with git: a branch, a tag or a full commit; default: the branch that HEAD is", of="git"),
        "subdirectory": Text("with git: a directory of the repository, in place of all of it", of="git"),
        "submodules": Flag("with git: `true` for its submodules, too", of="git"),
        "use": Text("a reusable plugin of plugins/", of="exec"),
        "with": Keys(help="with use: its arguments", others=Anything(), of="exec"),
        "bind": Text("where it is while steps run; never in an image", of="file folder store git"),
        "copy": Text("where it is put into the image", of="file"),
        "store": Text("a named volume, shared between runs", of="store"),
        "mode": Either(
            (Text(), Whole()), 'of a file: "0644"; of a directory: ro or rw; of a store: ro, rw or locked'
        ),
        "template": Text("the language of the content's template", allowed=("jinja2",), of="exec file"),
        **STEP,
        "ready": Keys(READY.keys, READY.help, of="exec"),
        "skip": Flag("leave this step out"),
        "tmpfs": Anything("of earlier versions; has no effect"),
    },
    "a named block of a stalk: a step, a file, a directory",
    variables=True,
)

STALK = Keys(
    {
        "plugins": Keys(help="steps, files, directories and stores, in order", others=PLUGIN),
        "DOCKER_OPTS": Options("how the containers are started; see [docker-opts](docker-opts.md)"),
        "envplugins": Keys(
            help="environment of every step; in no image. `''` inherits, and is empty where it is not set",
            others=Scalar(),
        ),
        "DOCKER_INIT_IMG": Text(
            "`stalk:tag` to start from where the tree gives neither `base` nor an outer node"
        ),
    },
    "steps in a row; each starts from the image that the one before left",
    variables=True,
    required=("plugins",),
)

ARGUMENT = Keys(
    {
        "type": Text(
            "`string`, `integer`, `boolean`, `list` or `mapping`. Default: `string`",
            allowed=("string", "integer", "boolean", "list", "mapping"),
        ),
        "required": Flag("`true`: it must be given"),
        "default": Anything("its value when it is not given"),
        "allowed": Items(Scalar(), "the only values possible"),
        "pattern": Text(
            "a regular expression that the whole value must match; of a list, each item",
            read=names.expression,
        ),
        "secret": Flag("`true`: it takes a secret of the tree and nothing else", field="is_secret"),
        "help": Text("what it is for"),
    },
    "an argument; the script gets it as a variable in UPPER CASE",
)

SIDECAR = Keys(
    {
        "summary": Text("one line"),
        "arguments": Keys(help="a mapping from names to arguments", others=ARGUMENT),
        "needs": Keys(
            {
                "packages": Items(Text(), "what must be installed in the image", or_one=True),
                "network": Flag("it talks to the network"),
                "capabilities": Items(
                    Text(read=names.capability),
                    "capabilities beyond Docker's defaults, or needed of them",
                    or_one=True,
                ),
            },
            "`packages`: what must be installed in the image; `network`: true or false; `capabilities`: such as "
            "`SYS_ADMIN`",
        ),
        "example": Either((Text(), Keys(others=Anything())), "how it is used"),
    },
    "a reusable plugin",
    required=("summary",),
)

NAMED: dict[str, Shape] = {"node": NODE}
KINDS: dict[str, Keys] = {"tree": TREE, "stalk": STALK, "plugin": SIDECAR}
