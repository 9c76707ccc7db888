"""Images that are made of a stream: imported or built, with nothing left of one that turns out bad."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping

import stalker
from stalker.engine.interface import ContainerSpec, Engine
from stalker.engine.run_id import new_run_id
from stalker.errors import EngineError, EngineFull, InputError, NoEngine
from stalker.io.progress import Say
from stalker.model.base_key import BASE_COMMENT
from stalker.model.images import Image
from stalker.model.labels import BASE, BASE_IMAGES, CONTAINER, PREFIX, RUN, VERSION

HELD_BYTES = 64 << 10
"""More than the zeros at the end of a tar (10 KiB): an engine that has seen those makes and names an image,
although the stream broke off after them; since Docker 25 even after we have taken the name away again."""


class Maker:
    """Makes the image of one base.

    `what` is the base in words, `key` its key, `name` the tag that the image gets in the end. Until
    then it has a passing name, which is gone afterwards however it went.
    """

    def __init__(self, engine: Engine, what: str, key: str, name: str, platform: str) -> None:
        self._engine = engine
        self._what = what
        self._name = name
        self._platform = platform
        self._labels = {VERSION: stalker.__version__, BASE: key}
        self._comment = BASE_COMMENT + key

    def import_rootfs(self, stream: Iterator[bytes], say: Say) -> Image:
        """Import a root file system. Raises what the stream raises, whatever the engine makes of it.

        Nothing is asked of the engine before the first bytes are there.
        """
        first = next(filter(None, stream), b"")  # an empty chunk is not the end
        if not first:
            raise InputError(f"{self._what} is empty", "not one byte came", "check where it comes from")
        say(f"importing {self._what}")
        watched = _Watched(first, stream)
        with self._passing_name() as passing, self._refusals_told(), watched.errors_first():
            image = self._engine.import_rootfs(watched, passing, self._labels, self._comment, self._platform)
            watched.check()
            self._engine.tag(image.id, self._name)
            return image

    def build(
        self,
        context: Iterator[bytes],
        dockerfile: str,
        arguments: Mapping[str, str],
        say: Say,
        built_on: Callable[[], Mapping[str, str]] = dict,
    ) -> Image:
        """Build a Dockerfile from the tar stream of its directory.

        `built_on`, called when it is built, returns the identities of the images that the Dockerfile names.
        """
        say(f"building {self._what}")
        watched = _Watched(b"", context)
        with self._passing_name() as passing, watched.errors_first():
            image = self._engine.build(watched, dockerfile, passing, {}, arguments, self._platform, say)
            watched.check()
            self._labels[BASE_IMAGES] = json.dumps(built_on(), sort_keys=True)
            return self._labelled(image)

    def _labelled(self, image: Image) -> Image:
        """Put our labels on a built image, by committing a container that never started.

        Docker's builder sets labels one image at a time, so one of its passing images could be taken
        for the base; and labels of ours that came from below would tell lies about this one.
        """
        inherited = image.config.get("Labels")
        kept = inherited.items() if isinstance(inherited, dict) else ()
        config = {
            **image.config,
            "Labels": {label: text for label, text in kept if not label.startswith(PREFIX)},
        }
        repository, tag = split_name(self._name)
        owner = {VERSION: CONTAINER, RUN: new_run_id(time.time())}
        spec = ContainerSpec(
            image.id, f"stalker-base-{uuid.uuid4().hex[:12]}", owner, platform=self._platform
        )
        container = self._engine.create(spec)
        try:
            made = self._engine.commit(
                container, repository, tag, self._labels, config, self._comment, pause=False
            )
        finally:
            self._engine.remove_container(container)
        found = self._engine.image(made)
        assert found is not None
        return found

    @contextlib.contextmanager
    def _passing_name(self) -> Iterator[str]:
        passing = f"{split_name(self._name)[0]}:passing-{uuid.uuid4().hex[:12]}"
        try:
            yield passing
        finally:
            # Without a name an image goes, unless it has a better one by now.
            with contextlib.suppress(EngineError):
                self._engine.untag(passing)

    @contextlib.contextmanager
    def _refusals_told(self) -> Iterator[None]:
        """Turn an engine's refusal of a stream into what it is: a bad input."""
        try:
            yield
        except EngineFull:
            raise
        except EngineError as error:
            if isinstance(error, NoEngine):
                # An engine that refuses a stream hangs up: one that still answers did refuse.
                self._engine.info()
            raise InputError(
                f"{self._what} is not a root file system that the engine accepts",
                error.details or error.brief,
                "check that it is a tar file, compressed or not",
            ) from error


class _Watched:
    """A stream that remembers what it failed with: an engine's client may hide or change it.

    Its last HELD_BYTES are passed on when it has ended well.
    """

    def __init__(self, first: bytes, rest: Iterable[bytes]) -> None:
        self._first = first
        self._rest = rest
        self._failure: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        held = b""
        try:
            for piece in itertools.chain([self._first], self._rest):
                held += piece
                if len(held) > HELD_BYTES:
                    yield held[:-HELD_BYTES]
                    held = held[-HELD_BYTES:]
        except Exception as error:
            self._failure = error
            raise
        if held:
            yield held

    def check(self) -> None:
        """Raise what the stream failed with, though its reader took it for whole."""
        if self._failure is not None:
            raise self._failure

    @contextlib.contextmanager
    def errors_first(self) -> Iterator[None]:
        """Raise what the stream failed with rather than what came of it."""
        try:
            yield
        except Exception:
            if self._failure is not None:
                raise self._failure from self._failure.__cause__
            raise


def split_name(name: str) -> tuple[str, str]:
    """Split a name into repository and tag; the colon of a registry's port is not a tag."""
    name = name.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (name, "latest")
