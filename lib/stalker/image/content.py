"""What of an image an artifact holds: which members, where they go, and what stands in their place.

What Docker lays over an image in each container is left out, and what the artifact excludes. What it
writes stands in place of the image's own. The members go to one tar or to several, one for each
partition. `passing` does the work on the engine's stream.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from stalker.config.report import did_you_mean
from stalker.config.substitution import fill_secrets
from stalker.errors import EngineError, InputError, StalkerError
from stalker.image import passing
from stalker.image.overlay import is_left_out
from stalker.image.patterns import matcher, path_bytes, path_text
from stalker.image.tarheader import Header, plain
from stalker.model.artifacts import Disk, Files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from stalker.model.artifacts import Artifact

    Data = bytes | memoryview

DROPPED = -1
"""The part of what is left out."""

MARK = re.compile(rb"@(?:PARTUUID|UUID|LABEL):[^@\s]+@")
KINDS = ("PARTUUID", "UUID", "LABEL")
LIKE_A_MARK = re.compile(rb"@([A-Z]+):[^@\s]+@")
"""What is a mark, or was meant as one."""


class Watcher(Protocol):
    """Who looks at an artifact's members as they pass."""

    def wants(self, header: Header) -> bool:
        """Say whether to be given this regular file's content; it is at most 16 MiB long."""

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
        or `made_s` where nobody set that. `marks` say what stands for `@PARTUUID:root@` and its like. `parts` are folders whose
        subtrees go to a tar of their own, with names relative to them and `./` for the folder itself,
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
        self.is_excluded = matcher(artifact.exclude)
        self._is_wanted = matcher(self.patterns) if self.patterns else None
        numbered = sorted(enumerate(self.parts), key=lambda part: -len(part[1]))
        self._prefixes = [(part + b"/" if part else b"", number) for number, part in numbered]

    def stream(
        self, chunks: Iterable[Data], again: Callable[[], Iterable[Data]] | None = None
    ) -> Iterator[tuple[int, Data]]:
        """Yield (number of the part, data); the data of each part makes one tar.

        `again` gives the engine's stream a second time, where a hard link needs that.

        Raises:
            EngineError: the stream ended early or is no tar.
            StalkerError: the image has not what the artifact names, or `again` is needed and not given.
        """
        self.entries = [0] * len(self.parts)
        self.bytes = [0] * len(self.parts)
        try:
            yield from passing.Passing(self).run(chunks, again)
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

    def filled(self, path: bytes, content: bytes) -> bytes:
        """Return a content with its marks replaced. Raises StalkerError for one that means nothing here."""
        if not self._marks:
            return content
        for found in LIKE_A_MARK.finditer(content):
            kind = found[1].decode()
            if kind not in KINDS:
                raise StalkerError(
                    f"{path_text(path)} holds {found[0].decode('utf-8', 'replace')}, and {kind} is no kind of mark",
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
