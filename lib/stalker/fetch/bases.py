"""The bases of a tree, got into an engine."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import stalker
from stalker.engine.interface import Engine
from stalker.errors import EngineError, InputError, NoEngine, NotThere
from stalker.fetch.bootstrap import (
    bootstrap_obstacle,
    bootstrapped,
    check_tool,
    install_tool,
    tool_for,
)
from stalker.fetch.context import context_obstacle, folder_context, git_context
from stalker.fetch.files import Progress, locked
from stalker.fetch.probe import suite_obstacle, tarball_obstacle
from stalker.fetch.tarball import verified_tarball
from stalker.model.bases import BASE_COMMENT, base_key, describe_base, find_base
from stalker.model.images import BASE, VERSION, Image
from stalker.model.tree import BootstrapBase, DockerfileBase, ImageBase, TagBase, TarballBase

_QUESTION = "mmdebstrap is needed to bootstrap Debian and is not installed. Install it with apt-get?"


class Bases:
    """Who can get a stalk's first image: see `BaseProvider` for the promises.

    `cache_dir` holds downloads between runs; `workspace` is what relative paths start from. `ask` puts
    a question to the user and is None where nobody can answer; `yes` answers it. `platform` is that of
    the stalks the images are for, as in `linux/arm/v7`, empty for the engine's own.
    """

    def __init__(
        self,
        engine: Engine,
        cache_dir: Path,
        workspace: Path,
        yes: bool = False,  # noqa: FBT001, FBT002 - the agreed order of the constructor
        ask: Callable[[str], bool] | None = None,
        *,
        platform: str = "",
    ) -> None:
        self._engine = engine
        self._cache_dir = Path(cache_dir)
        self._workspace = Path(workspace)
        self._yes = yes
        self._ask = ask
        self._platform = platform

    def obstacle(self, base: object) -> str:
        """Say why this base cannot be had here, empty when nothing is known against it."""
        match base:
            case ImageBase():
                return self._image_obstacle(base)
            case TarballBase():
                return tarball_obstacle(base, self._workspace, self._cache_dir)
            case BootstrapBase():
                may_install = self._yes or self._ask is not None
                return bootstrap_obstacle(base, may_install=may_install) or suite_obstacle(base)
            case DockerfileBase():
                if base.commit and not shutil.which("git"):
                    return "git is not installed: apt-get install git"
                return context_obstacle(base.context, base.commit, base.dockerfile, self._workspace)
            case TagBase():
                return "" if self._engine.image(base.name) else f"there is no image {base.name}"
        raise TypeError(f"no base: {base!r}")

    def provide(self, base: object, name: str, progress: Progress) -> Image:
        """Get the image into the engine, tagged `name`, and return it.

        An image that was made for this base before is taken. `name` points to nothing new unless all
        went well.
        """
        match base:
            case ImageBase():
                image = self._pull(base, progress)
            case TagBase():
                image = self._there(base.name)
            case TarballBase() | BootstrapBase() | DockerfileBase():
                # Two stalks, or two runs, with one base make it once.
                key = base_key(base, self._platform)
                with locked(self._cache_dir / "bases" / key, progress, describe_base(base)):
                    image = find_base(self._engine.labelled_images(), key) or self._make(
                        base, key, name, progress
                    )
            case _:
                raise TypeError(f"no base: {base!r}")
        self._engine.tag(image.id, name)
        return self._there(name)

    def _make(
        self, base: TarballBase | BootstrapBase | DockerfileBase, key: str, name: str, progress: Progress
    ) -> Image:
        match base:
            case TarballBase():
                with verified_tarball(base, self._workspace, self._cache_dir, progress) as stream:
                    return self._import(stream, base, key, name, progress)
            case BootstrapBase():
                self._ensure_tool(base, progress)
                with bootstrapped(base, progress) as stream:
                    return self._import(stream, base, key, name, progress)
            case DockerfileBase():
                return self._build(base, key, name, progress)

    # Images that are had by name

    def _image_obstacle(self, base: ImageBase) -> str:
        if self._fitting(base):
            return ""
        wanted = _reference(base)
        try:
            self._engine.registry_digest(wanted)
        except NoEngine:
            raise
        except NotThere:
            return f"no registry has {wanted}"
        except EngineError as error:
            said = (error.details or error.brief).strip().splitlines()
            return f"its registry does not give it: {said[-1] if said else 'no reason'}"
        return ""

    def _fitting(self, base: ImageBase) -> Image | None:
        """Return the image when it is there, of the right digest and platform."""
        names = [base.name, _reference(base)] if base.digest else [base.name]
        for name in names:
            image = self._engine.image(name)
            if image and _has_digest(image, base.digest) and _fits(image.architecture, self._platform):
                return image
        return None

    def _pull(self, base: ImageBase, progress: Progress) -> Image:
        image = self._fitting(base)
        if image is not None:
            return image
        wanted = _reference(base)
        progress(f"pulling {wanted}")
        image = self._engine.pull(wanted, self._platform, progress)
        if not _has_digest(image, base.digest):
            raise InputError(
                f"{base.name} has another digest than the tree says",
                f"expected {base.digest}\nfound    {', '.join(image.digests) or 'none'}",
                f"correct the digest at {base.place} if its publisher states the one found",
            )
        return image

    def _there(self, name: str) -> Image:
        image = self._engine.image(name)
        if image is None:
            raise NotThere(f"there is no image {name}", "", "make it first, or give the stalk another base")
        return image

    # Images that are made

    def _labels(self, key: str) -> dict[str, str]:
        return {VERSION: stalker.__version__, BASE: key}

    def _import(
        self,
        stream: Iterator[bytes],
        base: TarballBase | BootstrapBase,
        key: str,
        name: str,
        progress: Progress,
    ) -> Image:
        """Import under a passing name, so that a stream which turns out bad leaves no image at all."""
        first = next(stream, b"")
        if not first:
            raise InputError(
                f"{describe_base(base)} is empty", "not one byte came", "check where it comes from"
            )
        progress(f"importing {describe_base(base)}")
        watched = _Watched(first, stream)
        passing = f"{_repository(name)}:import-{uuid.uuid4().hex[:12]}"
        comment = BASE_COMMENT + key
        try:
            image = self._engine.import_rootfs(watched, passing, self._labels(key), comment, self._platform)
            if watched.failure is None:
                self._engine.tag(image.id, name)
                return image
        except EngineError as error:
            if isinstance(error, NoEngine) and watched.failure is None:
                # An engine that refuses a stream hangs up: one that still answers did refuse.
                self._engine.info()
            if watched.failure is None:
                raise InputError(
                    f"{describe_base(base)} is no root file system that the engine takes",
                    error.details or error.brief,
                    "check that it is a tar file, compressed or not",
                ) from error
        except Exception:
            # What the stream raised may come out of the engine's client in other clothes.
            if watched.failure is None:
                raise
        finally:
            with contextlib.suppress(EngineError):
                self._engine.untag(passing)
        assert watched.failure is not None
        raise watched.failure

    def _build(self, base: DockerfileBase, key: str, name: str, progress: Progress) -> Image:
        with contextlib.ExitStack() as stack:
            stream: Iterator[bytes]
            if base.commit:
                stream = stack.enter_context(
                    git_context(base.context, base.commit, base.dockerfile, self._workspace, progress)
                )
            else:
                problem = context_obstacle(base.context, "", base.dockerfile, self._workspace)
                if problem:
                    raise InputError(problem, "", f"correct the base at {base.place}")
                stream = folder_context(self._workspace / base.context, base.dockerfile)
            progress(f"building {describe_base(base)}")
            watched = _Watched(b"", stream)
            try:
                return self._engine.build(
                    watched,
                    base.dockerfile,
                    name,
                    self._labels(key),
                    dict(base.arguments),
                    self._platform,
                    progress,
                )
            except Exception:
                if watched.failure is not None:
                    raise watched.failure from None
                raise

    def _ensure_tool(self, base: BootstrapBase, progress: Progress) -> None:
        if not tool_for(base):
            with locked(self._cache_dir / "install", progress, "mmdebstrap"):
                if not tool_for(base) and (self._yes or (self._ask is not None and self._ask(_QUESTION))):
                    install_tool(progress)
        check_tool(base)


class _Watched:
    """A stream that remembers what it failed with."""

    def __init__(self, first: bytes, rest: Iterable[bytes]) -> None:
        self._first = first
        self._rest = rest
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            if self._first:
                yield self._first
            yield from self._rest
        except GeneratorExit:
            raise
        except BaseException as error:
            self.failure = error
            raise


def _reference(base: ImageBase) -> str:
    """Return what is pulled: with a digest a tag says nothing more."""
    return f"{_repository(base.name)}@{base.digest}" if base.digest else base.name


def _repository(name: str) -> str:
    name = name.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


def _has_digest(image: Image, digest: str) -> bool:
    return not digest or image.id == digest or any(one.rpartition("@")[2] == digest for one in image.digests)


def _fits(architecture: str, platform: str) -> bool:
    """Say whether an image's architecture is the platform's, as far as both say."""
    wanted = platform.split("/")[1] if "/" in platform else ""
    return not wanted or not architecture or architecture == wanted
