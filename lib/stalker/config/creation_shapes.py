"""What the configuration of `stalker image create` may hold: the one declaration of its keys.

The keys of image-creator are taken in every spelling that one of its revisions or its manual has.
"""

from __future__ import annotations

from typing import Any

from stalker.config.shape import Anything, Either, Flag, Items, Keys, Scalar, Shape, Text, Whole
from stalker.model.creation import OUTPUT_FORMATS, VIAS

BYTES_MAX = 1 << 60

_SIZE = (Whole(maximum=BYTES_MAX), Text())

CHECKSUM = Keys(
    {
        "algo": Text("sha-256, sha-512, sha-1, sha-224, sha-384, md5 or adler32; also without the dash"),
        "value": Scalar("hexadecimal digits, or with kind: url where they are read"),
        "kind": Text("what value is; default digest", allowed=("digest", "url")),
    },
    "what a download must have",
    required=("algo", "value"),
)

_MIRRORS = Items(Text(), "more addresses that have the same", or_one=True)

BASE: dict[str, Shape] = {
    "source": Scalar("a version of the official images, a URL, or the path of an image"),
    "file": Text("the path of an image, relative to the folder of this file"),
    "tree": Text("a disk that a tree publishes: TREE, TREE:STALK or TREE:STALK/ARTIFACT"),
    "rootfs_size": Either(_SIZE, "what the system takes; default: what the image says"),
    "root_size": Either(_SIZE, "the same as rootfs_size"),
    "checksum": CHECKSUM,
    "mirrors": _MIRRORS,
    "pattern": Text("the URL of a version, with {version} in it"),
}

OUTPUT: dict[str, Shape] = {
    "size": Either(_SIZE, 'bytes, 8G, 8GiB, "8GB card", or auto (the default): as small as possible'),
    "shrink": Flag("cut the file to what its content takes"),
    "compress": Either((Flag(), Text(allowed=("zst", "xz", "gz", "zip"))), "pack the image"),
    "format": Text("how it is packed; default: by the ending of its name", allowed=OUTPUT_FORMATS),
}

OCI_IMAGE: dict[str, Shape] = {
    "ident": Text("name of the image: [registry/]name[:tag][@digest]"),
    "id": Text("the same as ident"),
    "url": Text("an archive of it, in place of the registry"),
    "file": Text("the path of an archive of it, relative to the folder of this file"),
    "filesize": Either(_SIZE, "what the archive takes"),
    "fullsize": Either(_SIZE, "what it takes once loaded"),
    "checksum": CHECKSUM,
    "mirrors": _MIRRORS,
}

FILE: dict[str, Shape] = {
    "to": Text("where it is put: a path below /data"),
    "url": Text("where it is fetched from: http, https or file"),
    "file": Text("a path on this machine, relative to the folder of this file"),
    "content": Scalar("its content, in place of url"),
    "via": Text("what becomes of what was fetched; default direct", allowed=VIAS),
    "size": Either((Whole(minimum=-1, maximum=BYTES_MAX), Text()), "what it takes once unpacked"),
    "checksum": CHECKSUM,
    "mirrors": _MIRRORS,
}

_SECRET = Either(
    (
        Scalar(),
        Keys({"env": Text("name of an environment variable"), "file": Text("path of a file")}),
    ),
    "a password: { env: NAME } or { file: path }",
)

_KEY_LINES = Items(Text(), "public keys, as a line of authorized_keys has them", or_one=True)

USER: dict[str, Shape] = {
    "password": Either(_SECRET.shapes, "{ env: NAME }, { file: path }, or a hash of it"),
    "uid": Whole("its number", minimum=0, maximum=2**31 - 1),
    "groups": Items(Text(), "groups it is also in", or_one=True),
    "shell": Text("the path of its shell"),
    "home": Text("the path of its home"),
    "ssh_keys": _KEY_LINES,
    "sudo": Flag("whether it may do anything by sudo"),
}

WIFI = Keys(
    {
        "ssid": Scalar("name of the network"),
        "password": Either(_SECRET.shapes, "text, { env: NAME } or { file: path }; an open network has none"),
        "hidden": Flag("whether the network does not tell its name"),
    },
    "a network to join",
    required=("ssid",),
)

INJECTED_FILE = Keys(
    {
        "partition": Either((Text(), Whole(minimum=1, maximum=128)), "boot, root, data, or a number from 1"),
        "to": Text("its path in the partition"),
        "content": Scalar("its content"),
        "url": Text("where it is fetched from: http, https or file"),
        "file": Text("a path on this machine, relative to the folder of this file"),
        "checksum": CHECKSUM,
        "mirrors": _MIRRORS,
        "mode": Either((Text(), Whole()), 'permission bits: "0644"'),
        "owner": Scalar('numbers of user and group: "0:0"'),
    },
    "a file in any partition",
    required=("partition", "to"),
)

INJECTIONS: dict[str, Shape] = {
    "hostname": Text("name of the machine"),
    "users": Either(
        (
            Items(Keys({"name": Text("name of the account"), **USER}, required=("name",))),
            Keys(others=Keys(USER)),
        ),
        "accounts that are made or changed: a list, or a mapping of their names",
    ),
    "ssh_keys": Keys(help="public keys for accounts that are there", others=_KEY_LINES),
    "wifi": Items(WIFI, "networks to join", or_one=True),
    "country": Scalar("country of the Wi-Fi, in two letters"),
    "files": Items(INJECTED_FILE, "files in any partition"),
}

IMAGE = Keys(
    {
        "base": Either((Keys(BASE), Scalar()), "what the image grows from"),
        "output": Keys(OUTPUT, "what is wanted of the image file"),
        "oci_images": Items(
            Either((Text(), Keys(OCI_IMAGE))), "container images that the machine loads at its first boot"
        ),
        "files": Items(
            Keys(FILE, required=("to",)), "files of the data partition, and archives unpacked there"
        ),
        "write_config": Flag("put this file into the data partition, too"),
        "wite_config": Flag("the same as write_config"),
        "offspot": Keys(
            help="what becomes offspot.yaml at the root of the boot partition", others=Anything()
        ),
        "injections": Keys(INJECTIONS, "what this one machine has of its own"),
        "data": Keys(
            {
                "label": Text("label of the data partition; default data"),
                "mount": Flag("whether the image's fstab mounts it at /data"),
            },
            "the data partition, where the base has none",
        ),
    },
    "a card image",
    required=("base",),
)


def creation_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a configuration."""
    # late: only editors want it, and it knows all that trees can say
    from stalker.config.schema import document_schema

    return document_schema(IMAGE, "stalker image")
