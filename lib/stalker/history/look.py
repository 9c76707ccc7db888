"""One path of many states, read out of created containers that never start."""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stalker.engine.interface import ContainerSpec
from stalker.errors import NotThere
from stalker.formats.tar.header import Header
from stalker.formats.tar.stream import walk
from stalker.history.layers import Seen, seen_of
from stalker.rootfs.overlay import is_left_out, is_stub

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from stalker.engine.interface import Engine
    from stalker.model.tree import Option

THREADS = 4
"""More are not faster: the engine makes containers one after the other."""

LINKS_MAX = 40
"""As many symbolic links as Linux follows in one path."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a state has at a path. `content` is that of a file, None where that was not asked for."""

    seen: Seen
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Looker:
    """Reads paths of images; `labels` go on its containers, so that a killed one's leftovers are swept."""

    engine: Engine
    labels: Mapping[str, str]

    @contextlib.contextmanager
    def opened(self, image: str, options: tuple[Option, ...] = ()) -> Iterator[str]:
        """Give a container of an image that is created and not started."""
        spec = ContainerSpec(image, f"stalker-look-{secrets.token_hex(6)}", self.labels, options=options)
        container = self.engine.create(spec)
        try:
            yield container
        finally:
            self.engine.remove_container(container)

    def each(self, images: Sequence[str], path: str, *, with_content: bool) -> list[Sight | None]:
        """Return what each image has at an absolute path, links in its directories followed."""

        def one(image: str) -> Sight | None:
            with self.opened(image) as container:
                return sight_of(self.engine, container, path, with_content=with_content)

        with ThreadPoolExecutor(min(THREADS, len(images) or 1), thread_name_prefix="stalker-look") as pool:
            return list(pool.map(one, images))


def sight_of(engine: Engine, container: str, path: str, *, with_content: bool = False) -> Sight | None:
    """Return what a container has at an absolute path, None where that is nothing or the engine's own."""
    inside = path.lstrip("/").encode("utf-8", "surrogateescape")
    if is_left_out(inside):
        return None
    stream: Generator[bytes, None, None] = engine.get(container, path)  # type: ignore[assignment]
    with contextlib.closing(stream) as chunks:
        try:
            return _first_member(chunks, inside, with_content=with_content)
        except NotThere:
            return None


def _first_member(chunks: Iterator[bytes], inside: bytes, *, with_content: bool) -> Sight | None:
    """Read one member: of a directory its own, which comes first."""
    header: Header | None = None
    digest, content = hashlib.sha256(), bytearray()
    for item in walk(chunks):
        if isinstance(item, memoryview):
            digest.update(item)
            if with_content:
                content += item
        elif header is not None:
            break
        elif item.kind != b"g":
            header = item
            if header.is_folder:
                break
    if header is None or is_stub(replace(header, name=inside)):
        return None
    return Sight(seen_of(header, digest.digest()), bytes(content) if with_content else None)


def resolved(path: str, look: Callable[[str], Seen | None]) -> str:
    """Return an absolute path with the links in its directories followed; its last part is kept as it is.

    `look` returns what is at a path all of whose directories are real. What does not exist stays as written.
    """
    left = [part for part in path.split("/") if part]
    real = "/"
    followed = 0
    while left:
        part = left.pop(0)
        if part in {".", ".."}:
            real = posixpath.dirname(real) if part == ".." else real
            continue
        here = posixpath.join(real, part)
        seen = look(here) if left else None
        if seen is None or seen.entry.kind != "link" or followed == LINKS_MAX:
            real = here
            continue
        followed += 1
        target = seen.entry.target.decode("utf-8", "surrogateescape")
        real = "/" if target.startswith("/") else real
        left = [*(part for part in target.split("/") if part), *left]
    return real
