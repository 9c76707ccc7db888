"""What the three kinds of files may hold: the one declaration of their keys."""

from __future__ import annotations

from stalker.config.artifact_shapes import ARTIFACTS
from stalker.config.shape import (
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
)
from stalker.model.platforms import HAZARDS

_DURATION = Either((Text(), Whole(minimum=1)))
_TEXTS = Items(Text(), or_one=True)
_VARIABLES = Keys(variables=True)

STAGE3_KEYS: dict[str, Shape] = {
    "fingerprints": Items(Text(), "full OpenPGP fingerprints, of which one must have signed", or_one=True),
    "keys": Items(Text(), "files with public keys", or_one=True),
    "sha256": Text("checksum of the archive"),
    "signature": Text("path or URL of the detached signature; default: the archive's with .gpg"),
}

BASE = Keys(
    {
        "image": Text("an image of a registry: name, tag or digest"),
        "digest": Text("with image: its digest, sha256:..."),
        "tarball": Text("a root file system as tar: path or URL; verified by sha256 or signature and key"),
        "sha256": Text("with tarball or stage3: its checksum"),
        "signature": Text("with tarball or stage3: path or URL of a detached OpenPGP signature"),
        "key": Items(Text(), "with signature: files with public keys", or_one=True),
        "keys": Items(Text(), "with signature: files with public keys", or_one=True),
        "fingerprints": Items(
            Text(), "with signature: full fingerprints, of which one must have signed", or_one=True
        ),
        "stage3": Either(
            (Flag(), Keys(STAGE3_KEYS)),
            "the archive at DIST/ARCH/SUBARCH/STAGE3_ARCHIVE, verified by OpenPGP",
        ),
        "bootstrap": Keys(
            {
                "suite": Text("bookworm, trixie, ..."),
                "include": Items(Text(), "more packages", or_one=True),
                "variant": Text(
                    "which packages to begin with",
                    allowed=(
                        "minbase",
                        "buildd",
                        "apt",
                        "essential",
                        "important",
                        "standard",
                        "required",
                        "custom",
                        "extract",
                        "debootstrap",
                    ),
                ),
                "mirror": Text("URL of the package mirror"),
                "components": Items(Text(), "main, contrib, ...", or_one=True),
                "architecture": Text("Debian's name of the architecture"),
            },
            "a Debian root file system by mmdebstrap or debootstrap",
            required=("suite",),
        ),
        "dockerfile": Text("a folder with a Dockerfile, or a git URL"),
        "commit": Text("with a git URL: the full commit"),
        "file": Text("with dockerfile: the Dockerfile's name in the folder"),
        "args": Keys(help="with dockerfile: build arguments", others=Scalar()),
        "tag": Text("an image that is already there"),
    },
    "where the first image comes from",
)

NODE = Keys(
    {
        "stalk": Text("the stalk file to use; default: the node's own name"),
        "base": Items(
            Either((Text(), BASE)), "where the first image comes from; tried in order", or_one=True
        ),
        "needs": Items(Text(), "stalks, or stalk:step, that come before and count as inputs", or_one=True),
        "pretend": Flag("run nothing of this stalk; its committed tags are taken as they are"),
        "skip_until": Text("the steps before this one are taken as they are"),
        "platform": Text("os/architecture[/variant] that the containers run as"),
        "resources": Keys(help="labels for placing: cpus, memory, ...", others=Scalar()),
        "artifacts": ARTIFACTS,
        "interactive": Flag("of earlier versions; has no effect"),
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
        "generate": Flag("make up a value, and keep it in the file, when there is no such file"),
    },
    "where a secret's value comes from",
)

WAIVED_HAZARDS = Keys(
    {name: Text(f"why this does not block here: {what}") for name, what in HAZARDS.items()},
    "hazards that do not block here, each with the reason",
)

TREE = Keys(
    {
        "architecture": Keys(
            help="OS, ARCH, SUBARCH name the images; more variables may follow", variables=True
        ),
        "platform": Text("os/architecture[/variant] that the containers run as"),
        "hazards": Keys({"waive": WAIVED_HAZARDS}, "of foreign platforms, told before a build starts"),
        "paths": Keys(help="SYSROOT_DIR, LOG_DIR and more, as variables", variables=True),
        "globals": Keys(help="variables for all stalks", variables=True),
        "secrets": Keys(help="variables whose values are never kept", others=SECRET),
        "stalks": Keys(
            help="the stalks", others=Named("node"), only_mappings=True, others_are="a stalk is a mapping"
        ),
    },
    "which stalks grow on which, with which variables",
    required=("architecture", "stalks"),
)

READY = Keys(
    {
        "port": Whole("a TCP port that it listens on", minimum=1, maximum=65535),
        "command": Text("a shell command that succeeds in its container"),
        "log": Text("a regular expression that its output matches"),
        "timeout": Either(_DURATION.shapes, "how long to wait; 60s when it is not given"),
    },
    "with daemonize: when the next step may begin, one of port, command and log",
)

PLUGIN = Keys(
    {
        "exec": Flag("a step: a script that is run, then a commit and a tag"),
        "text": Text("the content"),
        "path": Text("a file with the content, or a folder to mount"),
        "use": Text("with exec: a reusable plugin of plugins/"),
        "with": Keys(help="with use: its arguments", others=Anything()),
        "bind": Text("where it stands while steps run; never in an image"),
        "copy": Text("where it is put into the image"),
        "store": Text("a named volume, shared between runs"),
        "mode": Either(
            (Text(), Whole()), 'of a file: "0644"; of a folder: ro or rw; of a store: ro, rw or locked'
        ),
        "template": Text("the language of the content's template", allowed=("jinja2",)),
        "timeout": Either(_DURATION.shapes, "with exec: 90s, 10m, 1h30m, or seconds"),
        "retries": Whole("with exec: how often a failed step starts again", minimum=0, maximum=10),
        "daemonize": Flag("with exec: stays up until the stalk ends"),
        "ready": READY,
        "skip": Flag("leave this step out"),
        "tmpfs": Anything("of earlier versions; has no effect"),
    },
    "a named block of a stalk: a step, a file, a folder",
    variables=True,
)

STALK = Keys(
    {
        "DOCKER_OPTS": Options("how the containers are started"),
        "DOCKER_INIT_IMG": Text("stalk:tag that a stalk without base or parent starts from"),
        "envplugins": Keys(help="environment of every step", others=Scalar()),
        "plugins": Keys(help="steps, files and folders, in order", others=PLUGIN),
    },
    "steps in a row; each starts from the image that the one before left",
    variables=True,
    required=("plugins",),
)

ARGUMENT = Keys(
    {
        "type": Text("what a value is", allowed=("string", "integer", "boolean", "list", "mapping")),
        "required": Flag("must be given"),
        "default": Anything("the value when it is not given"),
        "allowed": Items(Scalar(), "the only values possible"),
        "pattern": Text("a regular expression that the whole value must match; of a list: each item"),
        "secret": Flag("only a secret of the tree will do"),
        "help": Text("one line on what it is for"),
    },
    "an argument; the script gets it as a variable in UPPER CASE",
)

SIDECAR = Keys(
    {
        "summary": Text("one line on what the plugin does"),
        "arguments": Keys(help="what it takes", others=ARGUMENT),
        "needs": Keys(
            {
                "packages": Items(Text(), "what must be installed in the image", or_one=True),
                "network": Flag("it talks to the network"),
                "capabilities": Items(
                    Text(), "capabilities beyond Docker's defaults, or needed of them", or_one=True
                ),
            },
            "what it needs of the image and its container",
        ),
        "example": Either((Text(), Keys(others=Anything())), "how it is used"),
    },
    "a reusable plugin",
    required=("summary",),
)

NAMED: dict[str, Shape] = {"node": NODE}
KINDS: dict[str, Keys] = {"tree": TREE, "stalk": STALK, "plugin": SIDECAR}
