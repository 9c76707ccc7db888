"""What a card image is created from: the words of `stalker image create`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from stalker.model.diagnostics import Place

Via = Literal["direct", "base64", "tar", "gztar", "bztar", "xztar", "zstdtar", "zip"]
VIAS: tuple[Via, ...] = ("direct", "base64", "tar", "gztar", "bztar", "xztar", "zstdtar", "zip")
"""What becomes of a file that was fetched: it is taken as it is, decoded, or unpacked below its path."""

Security = Literal["wpa2", "wpa3", "both"]

OutputFormat = Literal["img", "img.zst", "img.xz", "img.gz", "zip"]
OUTPUT_FORMATS: tuple[OutputFormat, ...] = ("img", "img.zst", "img.xz", "img.gz", "zip")

DATA = "/data"
"""Where the data partition is mounted in the machine: what `files` name begins with it."""

CONFIG_COPY = "/image.yaml"
"""Where `write_config` puts the configuration in the data partition, as the original's program does; its manual
says `/conf/image.yaml`."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What a download must have: `value` is hexadecimal digits, or with `is_url` a URL whose text begins with them.

    `algorithm` is md5, sha1, sha224, sha256, sha384, sha512 or adler32. One that `is_optional` counts where its URL
    has one.
    """

    algorithm: str
    value: str
    is_url: bool = False
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A download: a URL (http, https, file) or an absolute path, and mirrors that have the same."""

    url: str
    digest: Digest | None = None
    mirrors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TreeArtifact:
    """A disk that a tree publishes: `tree` as given to `run`, or empty; `stalk`, `artifact` empty for the only one."""

    tree: str = ""
    stalk: str = ""
    artifact: str = ""


@dataclass(frozen=True, slots=True)
class BaseImage:
    """What the image grows from: `source` or `tree`. `rootfs_bytes` is what the author says the system takes."""

    place: Place
    source: Source | None = None
    tree: TreeArtifact | None = None
    rootfs_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """What is wanted of the image file.

    `size_bytes` None is as small as the content allows; `size_words` the size as written. With `shrinks` the
    file is cut to what the content needs, though the size was asked for. `format` empty is decided by the name of
    the file; `compresses` was written without saying how.
    """

    size_bytes: int | None = None
    size_words: str = "auto"
    shrinks: bool = False
    compresses: bool = False
    format: OutputFormat | Literal[""] = ""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of the data partition, or an archive that is unpacked there.

    `to` is its path in the partition (`/conf/a` for `/data/conf/a`), normal. One of `content` and `source`.
    `size_bytes` is what it takes once unpacked, as the author says, None for unknown. `encoding` is the code page of
    names in a zip that are not marked as UTF-8, empty where the author does not say.
    """

    to: str
    place: Place
    content: bytes | None = field(default=None, repr=False)
    source: Source | None = None
    via: Via = "direct"
    size_bytes: int | None = None
    encoding: str = ""


@dataclass(frozen=True, slots=True)
class OciImage:
    """A container image that the machine loads at its first boot: `ident` as `registry/name:tag[@digest]`.

    `source` is an archive of it, None to fetch it from the registry. `file_bytes` and `full_bytes` are what the
    archive takes and what it takes once loaded, as the author says, None for unknown.
    """

    ident: str
    place: Place
    source: Source | None = None
    file_bytes: int | None = None
    full_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class SecretText:
    """A text that must not be shown: as written, or read when it is needed from `env` or the file `path`."""

    text: str = ""
    env: str = ""
    path: str = ""
    place: Place | None = None

    def __repr__(self) -> str:
        """Keep it out of logs."""
        return f"SecretText(env={self.env!r}, path={self.path!r})"


@dataclass(frozen=True, slots=True)
class User:
    """An account to be made, or changed where it is there.

    `password` is a text that is hashed (what comes from `env` or a file), or a hash (`$6$...`); None for one that
    cannot log in by password.
    """

    name: str
    place: Place
    password: SecretText | None = None
    uid: int | None = None
    groups: tuple[str, ...] = ()
    shell: str = ""
    home: str = ""
    ssh_keys: tuple[str, ...] = ()
    has_sudo: bool = False


@dataclass(frozen=True, slots=True)
class Wifi:
    """A network to join. `ssid` is bytes as they go over the air; `password` None for an open one."""

    ssid: bytes
    place: Place
    password: SecretText | None = None
    is_hidden: bool = False
    security: Security = "wpa2"


@dataclass(frozen=True, slots=True)
class InjectedFile:
    """A file put into a partition: `partition` is boot, root, data, a number from 1, or `PARTLABEL=name`; `to` a path in it.

    One of `content` and `source`.
    """

    partition: str
    to: str
    place: Place
    content: bytes | None = field(default=None, repr=False)
    source: Source | None = None
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class RawData:
    """Bytes at an offset of the image: one of `content` and `source`.

    `partition` is the one that may be written over, as in `InjectedFile`; empty for none.
    """

    offset: int
    place: Place
    content: bytes | None = field(default=None, repr=False)
    source: Source | None = None
    partition: str = ""


FetchedInjection = InjectedFile | RawData
"""What may have a source."""


@dataclass(frozen=True, slots=True)
class Injections:
    """What one machine has of its own. `country` is that of its Wi-Fi (two letters), empty for none."""

    hostname: str = ""
    users: tuple[User, ...] = ()
    ssh_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of an account that is there -> lines of its authorized_keys."""

    wifi: tuple[Wifi, ...] = ()
    country: str = ""
    timezone: str = ""
    locale: str = ""
    keymap: str = ""
    config_txt: tuple[str, ...] = ()
    files: tuple[InjectedFile, ...] = ()
    raw: tuple[RawData, ...] = ()

    @property
    def with_sources(self) -> tuple[FetchedInjection, ...]:
        """What names a file or an address."""
        both: tuple[FetchedInjection, ...] = (*self.files, *self.raw)
        return tuple(one for one in both if one.source is not None)


@dataclass(frozen=True, slots=True)
class Creation:
    """A whole configuration. `text` is the file as it was read; `warnings` what its author should know.

    What may hold a secret is not in its repr.
    """

    file: str
    text: str = field(repr=False)
    base: BaseImage
    output: Output = Output()
    images: tuple[OciImage, ...] = ()
    files: tuple[DataFile, ...] = ()
    writes_config: bool = False
    offspot: Mapping[str, Any] | None = field(default=None, repr=False)
    """Plain values that become offspot.yaml at the root of the boot partition."""

    injections: Injections = Injections()
    root_number: int = 0
    """The partition with the system, 0 to find it by what the partitions hold."""

    data_label: str = "data"
    mounts_data: bool = False
    """Return whether the image's fstab is given a line for the data partition."""

    warnings: tuple[str, ...] = ()

    @property
    def needs_data(self) -> bool:
        """Return whether a data partition is wanted, though perhaps nothing is put there yet."""
        return self.mounts_data or any(one.partition == "data" for one in self.injections.files)
