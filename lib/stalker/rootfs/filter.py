"""What of an image an artifact holds: which members, where they go, and what is in their place.

What Docker lays over an image in each container is left out, and what the artifact excludes. What it
writes is in place of the image's own. The members go to one tar or to several, one for each
partition. `passing` does the work on the engine's stream.

One passing of an image's tar stream, member by member, into the tars of an artifact.

Nothing is extracted, and memory stays flat. Members keep their order; what the artifact writes comes
last, in the order of the paths.

A hard link whose file goes elsewhere, or nowhere, cannot stay one, and the file's content has already
passed by: then the image is read once more, and the first such link of each tar becomes the file.
"""

from __future__ import annotations

import contextlib
import itertools
import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from stalker.config.plugins.content import fill_secrets
from stalker.config.syntax.report import did_you_mean
from stalker.errors import EngineError, InputError, StalkerError
from stalker.formats.tar.header import BLOCK, PAX_GLOBAL, Header, new_header, plain
from stalker.formats.tar.stream import END, ZEROS, walk
from stalker.model.artifacts import Disk, Files
from stalker.model.escaping import path_text
from stalker.rootfs.overlay import TOUCHED, is_left_out, is_stub
from stalker.rootfs.patterns import (
    cannot_write,
    check_can_be_filled,
    check_name,
    is_sparse,
    matcher,
    path_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from stalker.model.artifacts import Artifact

    Data = bytes | memoryview
    Piece = tuple[int, Data]
    Target = tuple[int, Header]


DROPPED = -1
"""The part of what is left out."""

MARK = re.compile(rb"@(?:PARTUUID|UUID|LABEL):[^@\s]+@")
KINDS = ("PARTUUID", "UUID", "LABEL")
LIKE_A_MARK = re.compile(rb"@([A-Z]+):[^@\s]+@")
"""What is a mark, or was meant as one."""


class Watcher(Protocol):
    """Who looks at an artifact's members as they pass."""

    def wants(self, header: Header) -> bool:
        """Return whether to be given this regular file's content; it is at most 16 MiB long."""

    def see(self, path: bytes, header: Header, content: bytes | None) -> None:
        """Take a member: its path in the image without a leading slash, and the content if wanted."""


class Content:
    """The members of an artifact, and how many of them went where.

    `entries` and `bytes` count members, and bytes of regular files, for each part; they are whole when
    `stream` has ended.
    """

    def __init__(
        self,
        artifact: Artifact,
        *,
        made_s: int,
        epoch_s: int | None = None,
        secrets: Mapping[str, str] | None = None,
        marks: Mapping[str, str] | None = None,
        parts: Sequence[str] = ("/",),
        watchers: Sequence[Watcher] = (),
    ) -> None:
        """Settle what goes where.

        `made_s` is when the image was made, 0 where that is not known; no time is later than `epoch_s`,
        or `made_s` where that is not set. `marks` say what stands for `@PARTUUID:root@` and its like. `parts` are directories whose
        subtrees go to a tar of their own, with names relative to them and `./` for the directory itself,
        which stays empty where it was; `/` takes the rest. What no part takes is left out.
        """
        self.parts = tuple(map(path_bytes, parts))
        self.made_s = made_s
        self.latest_s = (made_s if made_s > 0 else None) if epoch_s is None else epoch_s
        self.patterns = artifact.kind.paths if isinstance(artifact.kind, Files) else ()
        self.writes = {
            path_bytes(write.path): (write.mode, fill_secrets(write.content, secrets or {}))
            for write in artifact.writes
        }
        fill = artifact.kind.fill if isinstance(artifact.kind, Disk) else ()
        self.to_fill = frozenset(map(path_bytes, fill)) - self.writes.keys()
        self.watchers = tuple(watchers)
        self.entries = [0] * len(self.parts)
        self.bytes = [0] * len(self.parts)
        self._marks = {mark.encode(): value.encode() for mark, value in (marks or {}).items()}
        self.excludes = artifact.exclude
        self.is_excluded = matcher(self.excludes)
        self._is_wanted = matcher(self.patterns) if self.patterns else None
        numbered = sorted(enumerate(self.parts), key=lambda part: -len(part[1]))
        self._prefixes = [(part + b"/" if part else b"", number) for number, part in numbered]

    def stream(
        self, chunks: Iterable[Data], again: Callable[[], Iterable[Data]] | None = None
    ) -> Iterator[tuple[int, Data]]:
        """Yield (number of the part, data); the data of each part makes one tar.

        `again` gives the engine's stream a second time, where a hard link needs that.

        Raises:
            EngineError: the stream ended early or is not a tar.
            StalkerError: the image has not what the artifact names, or `again` is needed and not given.
        """
        self.entries = [0] * len(self.parts)
        self.bytes = [0] * len(self.parts)
        try:
            yield from Passing(self).run(chunks, again)
        except InputError as error:
            raise EngineError(
                "the engine's export of the image is not whole", error.brief, "run it again"
            ) from error

    def place(self, path: bytes) -> int:
        """Return the part that the image's member of this path goes to, or DROPPED."""
        if path in self.writes or is_left_out(path) or self.is_excluded(path):
            return DROPPED
        if self._is_wanted is not None and not self._is_wanted(path):
            return DROPPED
        return self.part_of(path)

    def lead_through(self, excludes: Sequence[str], wanted: Sequence[str]) -> None:
        """Match these patterns too: those of the artifact by the real path of a link on their way."""
        if excludes:
            self.is_excluded = matcher([*self.excludes, *excludes])
        if wanted:
            self._is_wanted = matcher([*self.patterns, *wanted])

    def part_of(self, path: bytes) -> int:
        """Return the part that holds this path, or DROPPED."""
        for prefix, number in self._prefixes:
            if path.startswith(prefix):
                return number
        return DROPPED

    def moved(self, header: Header, part: int) -> Header:
        """Return a member under the name that it has in its part."""
        if header.kind == b"1":
            header = header.untyped()
        prefix = self.parts[part]
        if not prefix:
            return header.renamed(header.name.lstrip(b"/") or b"./", header.link)
        link = plain(header.link)[len(prefix) + 1 :] if header.kind == b"1" else header.link
        return header.renamed(header.path[len(prefix) + 1 :] + b"/" * header.is_folder, link)

    def behind(self, part: int) -> Iterable[Data]:
        """Return more members for a part, which come last; there are none but of a subclass."""
        del part
        return ()

    def filled(self, path: bytes, content: bytes) -> bytes:
        """Return a content with its marks replaced. Raises StalkerError for one that means nothing here."""
        if not self._marks:
            return content
        for found in LIKE_A_MARK.finditer(content):
            kind = found[1].decode()
            if kind not in KINDS:
                raise StalkerError(
                    f"{path_text(path)} holds {found[0].decode('utf-8', 'replace')}, and {kind} is not a kind of mark",
                    "",
                    did_you_mean(kind, KINDS, "kinds"),
                )
        for mark in set(MARK.findall(content)) - self._marks.keys():
            raise StalkerError(
                f"{path_text(path)} holds {mark.decode('utf-8', 'replace')}, which no partition has",
                "",
                f"name one of {', '.join(sorted(known.decode() for known in self._marks))}",
            )
        return MARK.sub(lambda found: self._marks[found[0]], content)


SEEN_MAX_BYTES = 16 << 20
"""Watchers get the content of files up to here; the package list of a large desktop has 6 MB."""


@dataclass(slots=True)
class _Kept:
    """A member whose content is needed when it is whole."""

    header: Header
    targets: list[Target]
    paths: list[bytes]
    wanting: list[Watcher]
    is_filled: bool
    pieces: list[bytes] = field(default_factory=list)


LINK_DEPTH = 2
"""Links are followed for patterns down to here: `/lib`, `/var/run`."""


class _LinkedPatterns:
    """The patterns of an artifact whose way leads through a symbolic link of the image, as `/lib/**` on merged /usr.

    An engine's export is sorted, so that `lib` comes before `usr/lib`: from then on the real path matches too. Where a
    link comes after what it leads to (`var/run` after `run`), that has passed by.
    """

    def __init__(self, content: Content) -> None:
        self.targets: dict[bytes, bytes] = {}
        self._content = content
        self._passed: set[bytes] = set()
        self._new: list[tuple[str, list[str]]] = []
        self._real: dict[str, list[str]] = {one: [one] for one in (*content.excludes, *content.patterns)}

    def see(self, path: bytes, header: Header) -> None:
        """Take a member near the top. Raises StalkerError for a pattern through a link to what has passed by."""
        if header.kind != b"2":
            self._passed.add(path)
            return
        self.targets[path] = header.link
        changed = [one for one in self._real if self._lead(one)]
        if not changed:
            return
        self._content.lead_through(
            [real for one in self._content.excludes for real in self._real[one][1:]],
            [real for one in self._content.patterns for real in self._real[one][1:]],
        )
        self._new += [(one, self._real[one][1:]) for one in changed if one in self._content.patterns]

    def new_wanted(self) -> list[tuple[str, list[str]]]:
        """Return the wanted patterns that have new real ones, each time once."""
        new, self._new = self._new, []
        return new

    def _lead(self, pattern: str) -> bool:
        """Add what a pattern matches by the links so far; return whether that is more than before."""
        known = self._real[pattern]
        before = len(known)
        for one in known:  # grows: a link may lead to a link
            text = path_bytes(one)
            link = next((link for link in self.targets if text.startswith(link + b"/")), None)
            if link is None or len(known) > LINKS_MAX:
                continue
            target = _led_to(link, self.targets[link])
            real = f"/{(target + text[len(link) :]).decode('utf-8', 'surrogateescape')}"
            if real in known or not target:
                continue
            if target in self._passed or target.count(b"/") >= LINK_DEPTH:
                raise StalkerError(
                    f"{pattern} leads through a link of the image",
                    f"{path_text(link)} is a symbolic link to {path_text(target)}",
                    f"write {real}",
                )
            known.append(real)
        return len(known) > before


LINKS_MAX = 40
"""As Linux has it."""


def _led_to(link: bytes, target: bytes) -> bytes:
    """Return where a link of an image leads, as a path of the image without a leading slash."""
    above = b"" if target.startswith(b"/") else posixpath.dirname(link)
    return posixpath.normpath(b"/" + above + b"/" + target).strip(b"/")


class Passing:
    """What is known in the middle of a stream."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._missing = {above for path in content.writes for above in _above(path)}
        self._mounts = {part: number for number, part in enumerate(content.parts) if part}
        self._unseen_mounts = set(self._mounts)
        self._unfilled = set(content.to_fill)
        self._unmatched = {pattern: matcher([pattern]) for pattern in content.patterns}
        self._folders: list[Header] = []
        self._links = _LinkedPatterns(content)
        self._homeless: dict[bytes, dict[int, list[Header]]] = {}
        self._late: list[Target] = []

    def run(self, chunks: Iterable[Data], again: Callable[[], Iterable[Data]] | None) -> Iterator[Piece]:
        """Pass everything on."""
        yield from self._pass_on(chunks, self._route)
        self._check_all_came()
        if self._homeless:
            yield from self._house_links(again)
        for path in sorted(self._content.writes):
            yield from self._write(path)
        for part in range(len(self._content.parts)):
            yield from ((part, data) for data in self._content.behind(part))
            yield part, END

    def _pass_on(
        self, chunks: Iterable[Data], route: Callable[[Header], tuple[list[Target], list[bytes]]]
    ) -> Iterator[Piece]:
        """Pass members on as `route` says: where to under which headers, and the paths they have for watchers."""
        parts: tuple[int, ...] = ()
        padding = b""
        kept: _Kept | None = None
        latest_s = self._content.latest_s
        for item in itertools.chain(walk(chunks), (None,)):
            if isinstance(item, memoryview):
                if kept is not None:
                    kept.pieces.append(bytes(item))
                for part in parts:
                    yield part, item
                continue
            if padding:
                for part in parts:
                    yield part, padding
            if kept is not None:
                yield from self._end(kept)
            parts, padding, kept = (), b"", None
            if item is None:
                return
            header = item if latest_s is None else item.clamped(latest_s)
            targets, paths = route(header)
            if not targets:
                continue
            kept = self._keep(header, targets, paths)
            if kept is not None and kept.is_filled:
                continue
            yield from self._told(targets)
            if header.size:
                parts = tuple({part for part, one in targets if one.size})
                padding = ZEROS[: -header.size % BLOCK]

    def _told(self, targets: list[Target]) -> Iterator[Piece]:
        for part, header in targets:
            yield part, header.raw
            if header.kind != PAX_GLOBAL:
                self._content.entries[part] += 1
            if header.content is not None:
                self._content.bytes[part] += len(header.content)
                yield part, header.content + bytes(-len(header.content) % BLOCK)
            elif header.is_file:
                self._content.bytes[part] += header.size

    def _keep(self, header: Header, targets: list[Target], paths: list[bytes]) -> _Kept | None:
        """Show a member to the watchers; return it when its content is needed first."""
        is_filled = not self._unfilled.isdisjoint(paths)
        wanting: list[Watcher] = []
        is_small = header.is_file and header.size <= SEEN_MAX_BYTES and not is_sparse(header)
        for watcher in self._content.watchers if paths else ():
            if is_small and watcher.wants(header):
                wanting.append(watcher)
            else:
                for path in paths:
                    watcher.see(path, header, None)
        if is_filled:
            self._unfilled -= set(paths)
            check_can_be_filled(header)
        return _Kept(header, targets, paths, wanting, is_filled) if wanting or is_filled else None

    def _end(self, kept: _Kept) -> Iterator[Piece]:
        content = b"".join(kept.pieces)
        if kept.is_filled:
            content = self._content.filled(kept.paths[0], content)
            yield from self._told([(part, header.filled(content)) for part, header in kept.targets])
        for watcher in kept.wanting:
            for path in kept.paths:
                watcher.see(path, kept.header, content)

    def _route(self, header: Header) -> tuple[list[Target], list[bytes]]:
        """Return where a member of the first passing goes."""
        content = self._content
        if header.kind == PAX_GLOBAL:
            return [(part, header) for part in range(len(content.parts))], []
        path = header.path
        if b".." in path:
            check_name(path)
        if path.count(b"/") < LINK_DEPTH:
            self._links.see(path, header)
            for pattern, real in self._links.new_wanted():
                self._unmatched[pattern] = matcher([pattern, *real])
        if path in TOUCHED and content.made_s > 0:
            header = header.clamped(content.made_s)
        if is_stub(header):
            return [], []
        targets = (self._route_folder if header.is_folder else self._route_leaf)(header, path)
        if targets is None:
            return [], []
        paths = [path] if targets else []  # a hard link that waits for its file is shown with that
        if content.patterns:
            for pattern in [pattern for pattern, matches in self._unmatched.items() if matches(path)]:
                del self._unmatched[pattern]
            targets = [*self._folders_above(path), *targets]
        return targets, paths

    def _route_folder(self, header: Header, path: bytes) -> list[Target] | None:
        content = self._content
        if path in content.writes:
            raise cannot_write(path, "it is a folder in the image", "name a file in it")
        if content.is_excluded(path):
            return None
        targets = []
        part = content.place(path)
        if part >= 0:
            targets.append((part, content.moved(header, part)))
            self._missing.discard(path)
        elif content.patterns:
            self._open_folders(path).append(header)
        if path in self._mounts:
            targets.append((self._mounts[path], header.renamed(b"./", b"")))
            self._unseen_mounts.discard(path)
        return targets or None

    def _route_leaf(self, header: Header, path: bytes) -> list[Target] | None:
        content = self._content
        if path in self._missing and not content.is_excluded(path):
            below = next(write for write in content.writes if write.startswith(path + b"/"))
            raise cannot_write(below, self._said_of(path), "name the file by its real path")
        part = content.place(path)
        if part < 0:
            return None
        if header.kind == b"1":
            target = plain(header.link)
            check_name(target)
            if content.place(target) != part:
                self._homeless.setdefault(target, {}).setdefault(part, []).append(header)
                return []
        return [(part, content.moved(header, part))]

    def _open_folders(self, path: bytes) -> list[Header]:
        """Return the directories above a path that did not go anywhere yet, the outer ones first."""
        while self._folders and not path.startswith(self._folders[-1].path + b"/"):
            self._folders.pop()
        return self._folders

    def _folders_above(self, path: bytes) -> list[Target]:
        """Let the directories above a chosen file go with it, so that they keep their owners and modes."""
        folders = self._open_folders(path)
        self._folders = []
        self._missing -= {header.path for header in folders}
        return [(0, self._content.moved(header, 0)) for header in folders]

    def _check_all_came(self) -> None:
        """Raise StalkerError when the image lacks what the artifact names."""
        self._unseen_mounts -= self._missing
        for paths, what in (
            (sorted(self._unseen_mounts), "is not a folder of the image"),
            (sorted(self._unfilled), "is to be filled in, but is not a file of the image"),
        ):
            for path in paths:
                raise StalkerError(
                    f"{path_text(path)} {what}",
                    self._said_of(path),
                    "name what is there, or make it in a step",
                )
        for pattern in self._unmatched:
            raise StalkerError(
                f"nothing in the image matches {pattern}",
                self._said_of(path_bytes(pattern)),
                "name what is there, or make it in a step",
            )

    def _said_of(self, path: bytes) -> str:
        """Return which part of a path is a symbolic link, if one near the top is: `/lib -> usr/lib`."""
        for above in [*_above(path), path]:
            if above in self._links.targets:
                target = self._links.targets[above].decode("utf-8", "replace")
                return f"{path_text(above)} is a symbolic link to {target}"
        return ""

    def _house_links(self, again: Callable[[], Iterable[Data]] | None) -> Iterator[Piece]:
        """Read the image again for the files of hard links that lost them."""
        if again is None:
            target, links = next(iter(self._homeless.items()))
            name = path_text(next(iter(links.values()))[0].path)
            raise StalkerError(
                f"{name} is a hard link to {path_text(target)}, which does not go into the same tar",
                "hard links do not cross file systems",
                f"make it a file of its own in the last step: "
                f"cp -a --remove-destination $(readlink -f {path_text(target)}) {name}",
            )
        with contextlib.ExitStack() as stack:
            chunks = again()
            if hasattr(chunks, "close"):
                stack.callback(chunks.close)
            yield from self._pass_on(chunks, self._route_house)
        for target in self._homeless:
            raise EngineError(
                f"{path_text(target)} was not in the image's second export",
                "the first had it",
                "run it again",
            )
        yield from self._told(self._late)

    def _route_house(self, header: Header) -> tuple[list[Target], list[bytes]]:
        """Let a file that was looked for be the first of its hard links, in each part that has some."""
        groups = self._homeless.pop(header.path, None) if header.kind not in {b"1", PAX_GLOBAL} else None
        targets, paths = [], []
        for part, (first, *others) in (groups or {}).items():
            targets.append((part, self._content.moved(header.renamed(first.name, header.link), part)))
            for other in others:
                link = other.renamed(other.name, first.path)
                self._late.append((part, self._content.moved(link, part)))
            paths += [first.path, *(other.path for other in others)]
        return targets, paths

    def _write(self, path: bytes) -> Iterator[Piece]:
        """Put a written file at the end, after the directories above it that are not there."""
        content = self._content
        mode, text = content.writes[path]
        part = content.part_of(path)
        if part < 0:
            raise cannot_write(path, "no partition holds that path", "give one of them `from: /`")
        for above in sorted(self._missing.intersection(_above(path))):
            self._missing.discard(above)
            folder = new_header(above + b"/", b"5", mode=0o755, mtime_s=content.latest_s or 0)
            where = content.part_of(above)
            targets = [(where, content.moved(folder, where))] if where >= 0 else []
            if above in self._mounts:
                targets.append((self._mounts[above], folder.renamed(b"./", b"")))
            yield from self._told(targets)
            for watcher in content.watchers if targets else ():
                watcher.see(above, folder, None)
        text = content.filled(path, text)
        header = new_header(path, b"0", mode=mode, mtime_s=content.latest_s or 0).filled(text)
        yield from self._told([(part, content.moved(header, part))])
        for watcher in content.watchers:
            watcher.see(path, header, text if watcher.wants(header) else None)


def _above(path: bytes) -> list[bytes]:
    """Return the directories above a path, the outer ones first."""
    names = path.split(b"/")
    return [b"/".join(names[:count]) for count in range(1, len(names))]
