"""One member's header in a tar stream (ustar, GNU, pax), read and edited without losing a byte.

A member may be several blocks: pax records or GNU long names are before its own block, and the map
of an old GNU sparse file behind it. They are kept as they came, and only what is edited is written again.

Sources: POSIX.1-2018, pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual,
"Basic Tar Format" and "Storing Sparse Files".
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from stalker.errors import InputError

BLOCK = 512
XATTR = b"SCHILY.xattr."

WITHOUT_DATA = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))
"""Hard and symbolic links, devices, directories and pipes: whatever their size says, no data follows."""

LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL = b"L", b"K", b"x", b"g"
EXTRA = frozenset((LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL))
TIMES = (b"mtime", b"atime", b"ctime")

_CHECKSUM = slice(148, 156)
_NAME = slice(0, 100)
_LINK = slice(157, 257)
_PREFIX = slice(345, 500)
_USTAR = b"ustar\x00"
_GNU = b"ustar "
_GNU_TIMES = (slice(345, 357), slice(357, 369))


@dataclass(frozen=True, slots=True)
class Extra:
    """A member that tells of the next one: its block and what it says, without padding."""

    block: bytes
    payload: bytes

    @property
    def kind(self) -> bytes:
        """`x` and `g` for pax records, `L` and `K` for long names."""
        return self.block[156:157]

    @property
    def raw(self) -> bytes:
        """Its blocks as they are in a tar."""
        return self.block + self.payload + bytes(-len(self.payload) % BLOCK)

    def with_payload(self, payload: bytes) -> Extra:
        """Return it saying something else."""
        block = bytearray(self.block)
        block[124:136] = b"%011o\x00" % len(payload)
        return Extra(with_checksum(block), payload)


@dataclass(frozen=True, slots=True)
class Header:
    """What a tar says of one member. Names are bytes as they are there.

    `size` is how many bytes of data follow in the stream; for a sparse file those that are stored.
    `behind` are the blocks of an old GNU sparse map. `content` takes the place of the data of the
    stream when it is not None. A header of kind `g` is not a member: its records hold for all that follow.
    """

    block: bytes
    name: bytes
    link: bytes
    size: int
    extras: tuple[Extra, ...] = ()
    behind: bytes = b""
    records: dict[bytes, bytes] = field(default_factory=dict)
    content: bytes | None = None

    @property
    def kind(self) -> bytes:
        """The type flag: `0` or NUL file, `1` hard link, `2` symbolic link, `3` `4` devices, `5` directory."""
        return self.block[156:157]

    @property
    def path(self) -> bytes:
        """The name without a leading `./` or `/` and without a slash at the end."""
        return plain(self.name)

    @property
    def is_file(self) -> bool:
        """Return whether it is a regular file with data of its own, sparse ones too."""
        return self.kind in {b"0", b"\x00", b"7", b"S"} and not self.is_folder

    @property
    def is_folder(self) -> bool:
        """Return whether it is a directory; before ustar that was marked by a slash at the end of the name."""
        return self.kind == b"5" or (self.kind == b"\x00" and self.name.endswith(b"/"))

    @property
    def mode(self) -> int:
        """Permission bits, with setuid, setgid and sticky."""
        return number(self.block[100:108]) & 0o7777

    @property
    def uid(self) -> int:
        """Owner."""
        return self._number(b"uid", slice(108, 116))

    @property
    def gid(self) -> int:
        """Group."""
        return self._number(b"gid", slice(116, 124))

    @property
    def device(self) -> tuple[int, int]:
        """Major and minor number of a device."""
        return number(self.block[329:337]), number(self.block[337:345])

    @property
    def xattrs(self) -> dict[bytes, bytes]:
        """Extended attributes by name, `security.capability` among them."""
        return {
            key.removeprefix(XATTR): value for key, value in self.records.items() if key.startswith(XATTR)
        }

    def _number(self, key: bytes, where: slice) -> int:
        text = self.records.get(key)
        if not text:
            return number(self.block[where])
        try:
            return int(text)
        except ValueError:
            raise broken(f"{text!r} where a number belongs") from None

    @property
    def raw(self) -> bytes:
        """All its blocks as they are in a tar, before its data."""
        if not self.extras and not self.behind:
            return self.block
        return b"".join((*(extra.raw for extra in self.extras), self.block, self.behind))

    def clamped(self, latest_s: int) -> Header:
        """Return it with no time later than `latest_s` (Unix time)."""
        if self.kind == PAX_GLOBAL:
            own = _clamped(Extra(self.block, self.behind[: number(self.block[124:136])]), latest_s)
            return global_header(own)
        is_late = number(self.block[136:148]) > latest_s
        is_gnu = self.block[257:263] == _GNU
        late = [where for where in _GNU_TIMES if is_gnu and number(self.block[where]) > latest_s]
        extras = self.extras and tuple(_clamped(extra, latest_s) for extra in self.extras)
        if not is_late and not late and extras == self.extras:
            return self
        block = bytearray(self.block)
        for where in [*([slice(136, 148)] if is_late else []), *late]:
            block[where] = b"%011o\x00" % latest_s
        # `replace` takes twice as long, and there are ten thousands of files.
        return Header(
            with_checksum(block),
            self.name,
            self.link,
            self.size,
            extras,
            self.behind,
            self.records,
            self.content,
        )

    def untyped(self) -> Header:
        """Return it with no more than permissions in its mode.

        Docker puts the kind of file there too, and libarchive (so mke2fs) takes a hard link that says
        to be a plain file for one, and an empty one.
        """
        mode = number(self.block[100:108])
        if mode == mode & 0o7777:
            return self
        block = bytearray(self.block)
        block[100:108] = b"%07o\x00" % (mode & 0o7777)
        return replace(self, block=with_checksum(block))

    def with_binary_names(self) -> Header:
        """Return it with a note that names in its pax records are bytes, where they are not UTF-8.

        libarchive refuses them without; GNU tar does not know the note, and complains of it.
        """
        extras = tuple(_with_charset(extra) for extra in self.extras)
        return self if extras == self.extras else replace(self, extras=extras)

    def renamed(self, name: bytes, link: bytes) -> Header:
        """Return it under another name and with another link target, written in the way it was written before."""
        changed = self
        if name != self.name:
            changed = changed._told(name, b"path", LONG_NAME, _NAME)
        if link != self.link:
            changed = changed._told(link, b"linkpath", LONG_LINK, _LINK)  # noqa: SLF001
        return changed

    def filled(self, content: bytes) -> Header:
        """Return it as a regular file of this content, whatever data the stream holds for it."""
        block = bytearray(self.block)
        block[124:136] = b"%011o\x00" % len(content)
        extras = tuple(_without(extra, b"size") if extra.kind == PAX else extra for extra in self.extras)
        return replace(self, block=with_checksum(block), extras=extras, content=content)

    def _told(self, value: bytes, key: bytes, gnu_kind: bytes, where: slice) -> Header:
        extras = []
        is_told = False
        for extra in self.extras:
            told = extra
            if extra.kind == gnu_kind:
                told, is_told = extra.with_payload(value + b"\x00"), True
            elif extra.kind == PAX:
                records = read_records(extra.payload)
                if key in records:
                    records[key], is_told = value, True
                if key == b"path" and b"GNU.sparse.name" in records:
                    records[b"GNU.sparse.name"] = value
                told = extra.with_payload(write_records(records))
            extras.append(told)
        block = bytearray(self.block)
        length = where.stop - where.start
        if not is_told and len(value) > length:
            is_gnu = self.block[257:263] == _GNU
            extras.append(_long(self.block, gnu_kind, value) if is_gnu else _pax(self.block, key, value))
        block[where] = value[:length].ljust(length, b"\x00")
        if where == _NAME and block[257:263] == _USTAR:
            block[_PREFIX] = bytes(155)
        changed = {"name": value} if where == _NAME else {"link": value}
        return replace(self, block=with_checksum(block), extras=tuple(extras), **changed)  # type: ignore[arg-type]


def read_header(block: bytes, extras: tuple[Extra, ...], behind: bytes, common: dict[bytes, bytes]) -> Header:
    """Put a header together from its blocks; `common` are the global pax records so far.

    Raises:
        InputError: numbers or records cannot be read.
    """
    name = _text(block[_NAME])
    if block[257:263] == _USTAR and block[345]:
        name = _text(block[_PREFIX]) + b"/" + name
    link = _text(block[_LINK])
    if not extras and not common:
        kind = block[156:157]
        size = 0 if kind in WITHOUT_DATA else number(block[124:136])
        return Header(block, name, link, size, behind=behind)
    records = dict(common)
    for extra in extras:
        if extra.kind == PAX:
            records.update(read_records(extra.payload))
        elif extra.kind == LONG_NAME:
            name = _text(extra.payload)
        else:
            link = _text(extra.payload)
    name = records.get(b"GNU.sparse.name") or records.get(b"path") or name
    link = records.get(b"linkpath") or link
    try:
        size = int(records[b"size"]) if records.get(b"size") else number(block[124:136])
    except ValueError:
        raise broken("a size that is not a number") from None
    if block[156:157] in WITHOUT_DATA:
        size = 0
    if size < 0:
        raise broken("a size below zero")
    return Header(block, name, link, size, extras, behind, records)


def new_header(name: bytes, kind: bytes, *, mode: int, mtime_s: int) -> Header:
    """Return the header of a new member that belongs to root: `0` a file, `5` a directory."""
    block = bytearray(_like(_USTAR + b"00", kind))
    block[100:108] = b"%07o\x00" % mode
    block[136:148] = b"%011o\x00" % max(mtime_s, 0)
    return Header(bytes(block), b"", b"", 0).renamed(name, b"")


def global_header(extra: Extra) -> Header:
    """Return what stands for records that hold for all members that follow."""
    return Header(extra.block, b"", b"", 0, behind=extra.raw[BLOCK:])


def check_block(block: bytes) -> None:
    """Raise InputError when a header block's checksum is wrong."""
    said = number(block[_CHECKSUM])
    total = sum(block) - sum(block[_CHECKSUM]) + 256
    if said == total:
        return
    # Some old programs summed the bytes as signed ones.
    signed = total - 256 * sum(byte > 127 for byte in block[:148] + block[156:])
    if said != signed:
        raise broken("a header with a wrong checksum")


def with_checksum(block: bytearray) -> bytes:
    """Return a header block with its checksum set."""
    block[_CHECKSUM] = b" " * 8
    block[_CHECKSUM] = b"%06o\x00 " % sum(block)
    return bytes(block)


def number(data: bytes) -> int:
    """Read a number: octal digits, or GNU's base 256 when the first bit is set."""
    if data[0] & 0x80:
        bits = 8 * len(data) - 1
        value = int.from_bytes(data, "big") & ((1 << bits) - 1)
        return value - (1 << bits) if value >> (bits - 1) else value
    text = data.partition(b"\x00")[0].strip()
    if not text:
        return 0
    try:
        return int(text, 8)
    except ValueError:
        raise broken(f"{text!r} where a number belongs") from None


def read_records(payload: bytes) -> dict[bytes, bytes]:
    """Read pax records: `LENGTH KEY=VALUE` and a line feed, LENGTH counting itself."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(payload):
        space = payload.find(b" ", at, at + 20)
        digits = payload[at:space] if space > at else b""
        end = at + int(digits) if digits.isdigit() else 0
        key, equals, value = payload[space + 1 : end - 1].partition(b"=")
        if not digits or end > len(payload) or not equals or not key or payload[end - 1 : end] != b"\n":
            raise broken("pax records that cannot be read")
        records[key] = value
        at = end
    return records


def write_records(records: dict[bytes, bytes]) -> bytes:
    """Write pax records."""
    parts = []
    for key, value in records.items():
        rest = b" " + key + b"=" + value + b"\n"
        length = len(rest) + 1
        while len(rest) + len(str(length)) > length:
            length += 1
        parts.append(b"%d" % length + rest)
    return b"".join(parts)


def plain(name: bytes) -> bytes:
    """Return a member's name without a leading `./` or `/` and without a slash at the end."""
    while name.startswith((b"./", b"/")):
        name = name[2:] if name.startswith(b"./") else name[1:]
    name = name.rstrip(b"/")
    return b"" if name == b"." else name


def broken(what: str) -> InputError:
    """Return the error of a stream that is not a tar."""
    return InputError(f"the tar stream is damaged: {what}", "", "make it again; what it was is not kept")


def _text(data: bytes) -> bytes:
    return data.partition(b"\x00")[0]


def _clamped(extra: Extra, latest_s: int) -> Extra:
    if extra.kind not in {PAX, PAX_GLOBAL}:
        return extra
    records = read_records(extra.payload)
    late = [key for key in TIMES if key in records and _seconds(records[key]) > latest_s]
    for key in late:
        records[key] = b"%d" % latest_s
    return extra.with_payload(write_records(records)) if late else extra


def _seconds(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        raise broken(f"{text!r} where a time belongs") from None


def _with_charset(extra: Extra) -> Extra:
    if extra.kind != PAX or extra.payload.isascii():
        return extra
    records = read_records(extra.payload)
    try:
        for key in (b"path", b"linkpath"):
            records.get(key, b"").decode()
    except UnicodeDecodeError:
        return extra.with_payload(write_records({b"hdrcharset": b"BINARY", **records}))
    return extra


def _without(extra: Extra, key: bytes) -> Extra:
    records = read_records(extra.payload)
    if key not in records:
        return extra
    del records[key]
    return extra.with_payload(write_records(records))


def _long(model: bytes, kind: bytes, value: bytes) -> Extra:
    block = bytearray(_like(model[257:265], kind))
    block[_NAME] = b"././@LongLink".ljust(100, b"\x00")
    return Extra(bytes(block), b"").with_payload(value + b"\x00")


def _pax(model: bytes, key: bytes, value: bytes) -> Extra:
    block = bytearray(_like(model[257:265], PAX))
    block[_NAME] = b"PaxHeaders".ljust(100, b"\x00")
    return Extra(bytes(block), b"").with_payload(write_records({key: value}))


def _like(dialect: bytes, kind: bytes) -> bytes:
    """Return an empty header block with this magic and version."""
    block = bytearray(BLOCK)
    block[100:108] = b"0000644\x00"
    block[108:124] = b"0000000\x000000000\x00"
    block[136:148] = b"00000000000\x00"
    block[156:157] = kind
    block[257:265] = dialect
    return bytes(block)
