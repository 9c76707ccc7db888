"""The bases of a tree, got into an engine.

What can be known against a base before it is fetched: a look at files, one short question to a server.

Only a plain refusal counts. A server that does not answer this question may still answer apt's, which
knows proxies that we do not.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from stalker.engine.interface import Engine
from stalker.errors import EngineError, InputError, NoEngine, NotThere, StalkerError
from stalker.fetch.base.bootstrap import (
    bootstrap_obstacle,
    bootstrapped,
    check_tool,
    deb_lines,
    install_tool,
    settle_architecture,
    tool_for,
)
from stalker.fetch.base.disk_image import raw_image
from stalker.fetch.base.dockerfile_context import context_obstacle, folder_context, git_context
from stalker.fetch.base.import_image import Maker, split_name
from stalker.fetch.base.tarball import check_is_pinned, verified_tarball
from stalker.fetch.cache.cache import Cache
from stalker.fetch.http.client import new_client
from stalker.fetch.openpgp import full_fingerprint, gpg_obstacle
from stalker.fetch.urls import local_path, locked, shown
from stalker.formats.dockerfile import images_of
from stalker.io.progress import Say
from stalker.model.base_key import base_key, describe_base, find_base
from stalker.model.identity import image_identity
from stalker.model.images import Image
from stalker.model.platforms import of_debian, runs_on
from stalker.model.tree import BootstrapBase, DiskBase, DockerfileBase, ImageBase, TagBase, TarballBase

ReadSystem = Callable[[Path, str, int], Iterator[bytes]]
_QUESTION = "mmdebstrap is needed to bootstrap Debian and is not installed. Install it with apt-get?"


class Bases:
    """Who can get a stalk's first image: see `BaseProvider` for the promises.

    `cache_dir` holds downloads between runs; `workspace` is what relative paths start from. `ask` puts
    a question to the user and is None where there is no user to answer; `yes` answers it. `platform` is that of
    the stalks the images are for, as in `linux/arm/v7`, empty for the engine's own. `read_system` yields the tar of
    the system in a raw disk image, of that name in messages and with that root partition.
    """

    def __init__(
        self,
        engine: Engine,
        cache_dir: Path | str,
        workspace: Path | str,
        yes: bool = False,  # noqa: FBT001, FBT002 - the agreed order of the constructor
        ask: Callable[[str], bool] | None = None,
        *,
        platform: str = "",
        read_system: ReadSystem | None = None,
    ) -> None:
        self._engine = engine
        self._cache_dir = Path(cache_dir)
        self._workspace = Path(workspace)
        self._yes = yes
        self._ask = ask
        self._platform = platform
        self._read_system = read_system

    def obstacle(self, base: object) -> str:
        """Return why this base is not available here, empty when no reason is known."""
        match base:
            case ImageBase():
                return self._image_obstacle(base)
            case TarballBase():
                return tarball_obstacle(base, self._workspace, self._cache_dir)
            case BootstrapBase():
                may_install = self._yes or self._ask is not None
                try:
                    settled = settle_architecture(base, self._platform)
                except InputError as error:
                    return f"{error.brief} ({error.details}); {error.resolution}"
                return bootstrap_obstacle(settled, may_install=may_install) or suite_obstacle(settled)
            case DockerfileBase():
                if base.commit and not shutil.which("git"):
                    return "git is not installed: apt-get install git"
                return context_obstacle(base.context, base.commit, base.dockerfile, self._workspace)
            case DiskBase():
                digest = base.checksum.removeprefix("sha256:") if base.checksum.startswith("sha256:") else ""
                return _source_obstacle(base.source, digest, self._workspace, self._cache_dir)
            case TagBase():
                return "" if self._engine.image(base.name) else f"there is no image {base.name}"
        raise TypeError(f"no base: {base!r}")

    def provide(self, base: object, name: str, say: Say) -> Image:
        """Get the image into the engine, tagged `name`, and return it.

        An image that was made for this base before is taken. `name` points to nothing new unless all
        went well.
        """
        match base:
            case ImageBase():
                image = self._pull(base, say)
            case TagBase():
                image = self._there(base.name)
            case TarballBase() | BootstrapBase() | DockerfileBase() | DiskBase():
                # Two stalks, or two runs, with one base make it once.
                key = base_key(base, self._platform)
                with locked(self._cache_dir / "bases" / key, say, describe_base(base)):
                    found = find_base(self._engine.labelled_images(), key, self._identity_of)
                    image = found or self._make(base, key, name, say)
            case _:
                raise TypeError(f"no base: {base!r}")
        self._engine.tag(image.id, name)
        return self._there(name)

    def _make(
        self, base: TarballBase | BootstrapBase | DockerfileBase | DiskBase, key: str, name: str, say: Say
    ) -> Image:
        platform = self._platform
        if isinstance(base, BootstrapBase):
            base = settle_architecture(base, platform)
            platform = platform or str(of_debian(base.architecture) or "")
        maker = Maker(self._engine, describe_base(base), key, name, platform)
        match base:
            case TarballBase():
                with verified_tarball(base, self._workspace, self._cache_dir, say) as stream:
                    return maker.import_rootfs(stream, say)
            case BootstrapBase():
                self._ensure_tool(base, say)
                with bootstrapped(base, say) as stream:
                    return maker.import_rootfs(stream, say)
            case DiskBase():
                with raw_image(base, self._workspace, self._cache_dir, say) as path:
                    say(f"reading {describe_base(base)}")
                    return maker.import_rootfs(self._system_tar(base, path), say)
            case DockerfileBase():
                with self._context(base, say) as (stream, text):
                    arguments = dict(base.arguments)
                    before = {one: self._identity_of(one) for one in images_of(text, arguments)}

                    def built_on() -> dict[str, str]:
                        after = {one: self._identity_of(one) for one in before}
                        # Of what moved during the build nothing is known: the next plan makes it again.
                        return {one: new if before[one] in {"", new} else "?" for one, new in after.items()}

                    return maker.build(stream, base.dockerfile, arguments, say, built_on)

    def _system_tar(self, base: DiskBase, path: Path) -> Iterator[bytes]:
        """Yield the tar of the system in a raw image; what is wrong with that is wrong with an input."""
        assert self._read_system is not None
        try:
            yield from self._read_system(path, shown(base.source), base.root)
        except InputError:
            raise
        except StalkerError as error:
            raise InputError(error.brief, error.details, error.resolution) from error

    def _identity_of(self, name: str) -> str:
        """Return what the image of a name is now, empty when there is none."""
        image = self._engine.image(name)
        return image_identity(image) if image is not None else ""

    @contextlib.contextmanager
    def _context(self, base: DockerfileBase, say: Say) -> Iterator[tuple[Iterator[bytes], str]]:
        """Yield the tar stream of a Dockerfile's context, and the Dockerfile."""
        if base.commit:
            with git_context(base.context, base.commit, base.dockerfile, self._workspace, say) as found:
                yield found
            return
        problem = context_obstacle(base.context, "", base.dockerfile, self._workspace)
        if problem:
            raise InputError(problem, "", f"correct the base at {base.place}")
        folder = self._workspace / base.context
        text = (folder / base.dockerfile).read_text("utf-8", "replace")
        yield folder_context(folder, base.dockerfile, base.context_digest), text

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
            if (
                image
                and _has_digest(image, base.digest)
                and runs_on(self._platform, image.architecture, image.variant)
            ):
                return image
        return None

    def _pull(self, base: ImageBase, say: Say) -> Image:
        image = self._fitting(base)
        if image is not None:
            return image
        wanted = _reference(base)
        say(f"pulling {wanted}")
        image = self._engine.pull(wanted, self._platform, say)
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

    def _ensure_tool(self, base: BootstrapBase, say: Say) -> None:
        if not tool_for(base):
            with locked(self._cache_dir / "install", say, "mmdebstrap"):
                if not tool_for(base) and (self._yes or (self._ask is not None and self._ask(_QUESTION))):
                    install_tool(say)
        check_tool(base)


def _reference(base: ImageBase) -> str:
    """Return what is pulled: with a digest a tag says nothing more."""
    return f"{split_name(base.name)[0]}@{base.digest}" if base.digest else base.name


def _has_digest(image: Image, digest: str) -> bool:
    return not digest or image.id == digest or any(one.rpartition("@")[2] == digest for one in image.digests)


PATIENCE_S = 5.0


def tarball_obstacle(base: TarballBase, workspace: Path, cache_dir: Path) -> str:
    """Return why a tarball is not available or cannot be verified here, empty when no reason is known."""
    try:
        check_is_pinned(base)
        for fingerprint in base.fingerprints:
            full_fingerprint(fingerprint)
    except InputError as error:
        return error.brief
    if base.signature:
        if not base.fingerprints:
            return "it has a signature, but no fingerprint says who may sign"
        if problem := gpg_obstacle():
            return problem
        for key in base.keys:
            if not (workspace / key).is_file():
                return f"there is no key file {workspace / key}"
    for source, sha256 in ((base.source, base.sha256), (base.signature, "")):
        if source and (problem := _source_obstacle(source, sha256, workspace, cache_dir)):
            return problem
    return ""


def suite_obstacle(base: BootstrapBase) -> str:
    """Return when the mirror has no such suite."""
    mirror = base.mirror or next((line.split()[1] for line in deb_lines(base.suite, ("main",))), "")
    if not re.match(r"https?://", mirror):
        return ""
    status, _ = _ask(f"{mirror.rstrip('/')}/dists/{base.suite}/InRelease")
    return f"{shown(mirror)} has no suite {base.suite}" if status in {404, 410} else ""


def _source_obstacle(source: str, sha256: str, workspace: Path, cache_dir: Path) -> str:
    path = local_path(source, workspace)
    if path is not None:
        if not path.is_file():
            return f"there is no file {path}"
        return "" if path.stat().st_size else f"{path} is empty"
    if not re.match(r"https?://", source, re.IGNORECASE):
        return f"{shown(source)} is neither http, https, file nor a path"
    if Cache(cache_dir).keeper.has(source, sha256):
        return ""
    status, reason = _ask(source)
    if not status:
        return f"{shown(source)} cannot be reached: {reason}"
    return f"{shown(source)}: the server answers {status}" if status in {401, 404, 410} else ""


def _ask(url: str) -> tuple[int, str]:
    """Return the status of a HEAD request, or 0 and the reason why there is none."""
    import httpx  # late: it takes a tenth of a second

    try:
        with new_client(PATIENCE_S) as client:
            return client.head(url).status_code, ""
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return 0, str(error) or type(error).__name__
