"""What the configuration of `stalker image create` may hold: the one declaration of its keys.

The keys of image-creator are taken in every spelling that one of its revisions or its manual has.
"""

from __future__ import annotations

from typing import Any

from stalker.config.card import conversions as read
from stalker.config.schema.types import Anything, Either, Flag, Items, Keys, Scalar, Shape, Text, Whole
from stalker.io.units import decimal_bytes
from stalker.model.card import OUTPUT_FORMATS, VIAS

BYTES_MAX = 1 << 60

_SIZE = (Whole(maximum=BYTES_MAX), Text(read=decimal_bytes))
_FORMATS = "`img`, `img.zst`, `img.xz`, `img.gz` or `zip`"

CHECKSUM = Keys(
    {
        "algo": Text(
            "`sha-256`, `sha-512`, `sha-384`, `sha-224`, `sha-1`, `md5`, `adler32`; also without the dash, in any case",
            read=read.algorithm_of,
        ),
        "value": Scalar(
            "hexadecimal digits, or with `kind: url` the address of a text that begins with them"
        ),
        "kind": Text("`digest` (default) or `url`", allowed=("digest", "url")),
    },
    "what a download must have",
    required=("algo", "value"),
)

MIRRORS = Items(Text(read=read.checked_url), "more addresses", or_one=True)

_ROOTFS_SIZE = Either(
    _SIZE, "what the system takes, where the image does not tell; one of both", field="rootfs_bytes"
)

ROOTFS_SIZES: dict[str, Shape] = {"rootfs_size": _ROOTFS_SIZE, "root_size": _ROOTFS_SIZE}

BASE: dict[str, Shape] = {
    "source": Scalar("a version, an address or a path"),
    "file": Text("a path, whatever it looks like, or `file://...`"),
    "tree": Text(
        "`TREE`, `TREE:STALK` or `TREE:STALK/ARTIFACT`; TREE is a name or a path, as `run` takes it. Without the "
        "rest it is the only disk there is. One word may be the name of a stalk, too."
    ),
    **ROOTFS_SIZES,
    "checksum": Keys(
        CHECKSUM.keys, "see [checksums](#checksums); with a version in place of its MD5", CHECKSUM.required
    ),
    "mirrors": MIRRORS,
    "pattern": Text(
        "with a version: the URL, `{version}` in it. Default: the variable `STALKER_BASE_IMAGES`, else the "
        "official images"
    ),
}

OUTPUT: dict[str, Shape] = {
    "size": Either(
        _SIZE,
        'how large the image is; `auto` (default) is as small as its content allows. `"8GB card"` is what every '
        "card sold as 8 GB holds (1, 2, 4, ... 2048). `8GB` is more than some of them have, and is a warning.",
    ),
    "shrink": Flag(
        "true: the file is cut to what its content takes, though it was checked against `size`",
        field="shrinks",
    ),
    "compress": Either(
        (Flag(), Text(allowed=("zst", "xz", "gz", "zip"))),
        "`zst`, `xz`, `gz` or `zip`: how the image is packed. true and false leave that to the name of OUTPUT.",
    ),
    "format": Text(f"{_FORMATS}: the same in other words", allowed=OUTPUT_FORMATS),
}

_IDENT = Text(
    "`[registry/]name[:tag][@sha256:digest]`, completed as docker does: `docker.io`, `library/`, `latest`. Required.",
    read=read.full_name,
    field="ident",
)
_ARCHIVE = "an archive of it, as `docker save` makes it, in place of the registry"
_OF_ARCHIVE = "of `url` or `file`. What comes from a registry is verified by its own digests."

OCI_IMAGE: dict[str, Shape] = {
    "ident": _IDENT,
    "id": _IDENT,
    "url": Text(_ARCHIVE, read=read.checked_url),
    "file": Text(_ARCHIVE),
    "filesize": Either(_SIZE, "what the archive takes", field="file_bytes"),
    "fullsize": Either(_SIZE, "what it takes once loaded", field="full_bytes"),
    "checksum": Keys(CHECKSUM.keys, _OF_ARCHIVE, CHECKSUM.required),
    "mirrors": Items(MIRRORS.item, _OF_ARCHIVE, or_one=True),
}

FILE: dict[str, Shape] = {
    "to": Text(
        "a path below `/data`, which is where the machine has the partition. `/data/a/../b` is `/data/b`; what "
        "leads out is an error.",
        read=read.data_path,
    ),
    "url": Text("where it comes from", read=read.checked_url),
    "file": Text("where it comes from"),
    "content": Scalar(
        "its content, in place of `url`, kept to the last blank. A number is taken as written."
    ),
    "via": Text("what becomes of it, see below", allowed=VIAS),
    "size": Either(
        (Whole(minimum=-1, maximum=BYTES_MAX, read=read.known_size), Text(read=decimal_bytes)),
        "what it takes once unpacked, where the archive does not tell; -1 for unknown",
        field="size_bytes",
    ),
    "encoding": Text(
        "with `via: zip`: the code page of names in it that are not marked as UTF-8, such as `cp932`",
        read=read.name_encoding,
    ),
    "checksum": Keys(CHECKSUM.keys, "of what is downloaded", CHECKSUM.required),
    "mirrors": MIRRORS,
}

DATA_FILE = Keys(FILE, "a file of the data partition, or an archive extracted there", required=("to",))

_SECRET = (
    Scalar(),
    Keys({"env": Text("name of an environment variable"), "file": Text("path of a file")}),
)

KEY_LINES = Items(Text(read=read.key_lines), "as above", or_one=True)

USER: dict[str, Shape] = {
    "password": Either(
        _SECRET,
        "`{ env: NAME }`, `{ file: path }`, or a hash of it as `openssl passwd -6` prints (SHA-512, SHA-256, "
        "yescrypt, bcrypt). A password in clear is refused: configurations are shared, and `write_config` copies "
        "them. Without one nobody logs in by password.",
    ),
    "uid": Whole("its number; 0 is root's alone", minimum=0, maximum=2**31 - 1),
    "groups": Items(
        Text(read=read.group_names), "groups it is also in: a list, or one text with commas", or_one=True
    ),
    "shell": Text("paths", read=read.account_path),
    "home": Text("paths", read=read.account_path),
    "ssh_keys": KEY_LINES,
    "sudo": Flag("true: it may do anything by sudo", field="has_sudo"),
}

ACCOUNT = Keys(
    {
        "name": Text("a-z, 0-9, `_` and `-`, at most 32, beginning with a letter or `_`"),
        **USER,
    },
    "an account",
    required=("name",),
)

WIFI = Keys(
    {
        "ssid": Scalar("the name of the network, 1 to 32 bytes of any kind", read=read.network_name),
        "password": Either(
            _SECRET,
            "`{ env: NAME }`, `{ file: path }`, or text: 8 to 63 characters, or 64 hexadecimal digits. Without it "
            "the network is open.",
        ),
        "hidden": Flag("true: the network does not tell its name", field="is_hidden"),
        "security": Text(
            "`wpa2` (default), `wpa3`, or `both` for networks that have both. The last two need the password itself, "
            "which is written into the image.",
            allowed=("wpa2", "wpa3", "both"),
        ),
    },
    "a network to join",
    required=("ssid",),
)

_AS_IN_FILES = "as in [files](#files)"

_PARTITION = (
    Text(read=read.partition_name),
    Whole(minimum=1, maximum=128, read=lambda text: str(int(text))),
)

INJECTED_FILE = Keys(
    {
        "partition": Either(
            _PARTITION,
            "`boot`, `root`, `data`, a number from 1, or `PARTLABEL=name` for the GPT partition of that name",
        ),
        "to": Text("a path in the partition, not on the machine: `/a` for `/data/a`", read=read.file_path),
        "content": Scalar(_AS_IN_FILES),
        "url": Text(_AS_IN_FILES, read=read.checked_url),
        "file": Text(_AS_IN_FILES),
        "checksum": Keys(CHECKSUM.keys, _AS_IN_FILES, CHECKSUM.required),
        "mirrors": Items(MIRRORS.item, _AS_IN_FILES, or_one=True),
        "mode": Either(
            (Text(read=read.mode_bits), Whole(read=read.refused_mode)),
            'permission bits in octal, as text: `"0644"` (default)',
        ),
        "owner": Scalar('numbers of user and group: `"0:0"` (default)', read=read.owner),
    },
    "a file in any partition",
    required=("partition", "to"),
)

RAW_DATA = Keys(
    {
        "offset": Either(
            (Whole(minimum=0, maximum=BYTES_MAX, read=read.raw_offset), Text(read=read.raw_offset)),
            "where it begins in the image: bytes, or a size such as `8KiB`; a multiple of 512",
        ),
        "content": Text("the bytes in base64"),
        "url": Text(_AS_IN_FILES, read=read.checked_url),
        "file": Text(_AS_IN_FILES),
        "checksum": Keys(CHECKSUM.keys, _AS_IN_FILES, CHECKSUM.required),
        "mirrors": Items(MIRRORS.item, _AS_IN_FILES, or_one=True),
        "partition": Either(
            _PARTITION,
            "the partition that it lies in and is written over, as in `files`; without it no partition is touched",
        ),
    },
    "bytes at an offset of the image",
    required=("offset",),
)

INJECTIONS: dict[str, Shape] = {
    "hostname": Text(
        "letters, digits and `-`, at most 63 between two dots and 64 in all", read=read.hostname
    ),
    "users": Either(
        (Items(ACCOUNT), Keys(others=Keys(USER))),
        "accounts that are made, or changed where they are there",
    ),
    "ssh_keys": Keys(
        help="keys for accounts that are there: name of the account to a key, a list of keys, or a text with one "
        "on each line",
        others=KEY_LINES,
    ),
    "wifi": Items(WIFI, "a network to join, or a list of them", or_one=True),
    "country": Scalar(
        "where the Wi-Fi is used: two letters of ISO 3166. A Raspberry Pi keeps Wi-Fi off without it.",
        read=read.country_code,
    ),
    "timezone": Text("a time zone that the image has: `Europe/Berlin`", read=read.time_zone),
    "locale": Text("the language of the system: `de_DE.UTF-8`", read=read.locale_name),
    "keymap": Text(
        "the keyboard of the console: `de`, or with a variant `de-nodeadkeys`", read=read.keymap_name
    ),
    "config_txt": Items(
        Text(read=read.firmware_line),
        "lines that are added to the end of `config.txt` of a Raspberry Pi, for all boards: a list, or one",
        or_one=True,
    ),
    "files": Items(INJECTED_FILE, "a list of files in any partition"),
    "raw": Items(
        RAW_DATA, "bytes at offsets of the image, outside of file systems: a list, or one", or_one=True
    ),
}

DATA: dict[str, Shape] = {
    "label": Text(
        "its label where it is made, at most 16 bytes; default `data`",
        read=read.data_label,
        field="data_label",
    ),
    "mount": Flag("true: the machine's fstab mounts it at `/data`", field="mounts_data"),
}

IMAGE = Keys(
    {
        "base": Either((Keys(BASE), Scalar()), "what the image grows from"),
        "output": Keys(OUTPUT, "what is wanted of the image file"),
        "oci_images": Items(
            Either((Text(), Keys(OCI_IMAGE))), "container images that the machine loads at its first boot"
        ),
        "files": Items(DATA_FILE, "files of the data partition, and archives extracted there"),
        "write_config": Flag("put this file into the data partition, too"),
        "wite_config": Flag("the same as write_config"),
        "offspot": Keys(
            help="what becomes offspot.yaml at the root of the boot partition", others=Anything()
        ),
        "injections": Keys(INJECTIONS, "what this one machine has of its own"),
        "data": Keys(DATA, "the data partition, where the base has none"),
        "root": Whole(
            "the number of the partition with the system, where several could be it or it cannot be read",
            minimum=1,
            maximum=128,
        ),
    },
    "a card image",
    required=("base",),
)


def creation_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a configuration."""
    # late: only editors want it, and it knows all that trees can say
    from stalker.config.schema.json_schema import document_schema

    return document_schema(IMAGE, "stalker image")
