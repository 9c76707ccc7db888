"""A stand-in for an engine that keeps what it is given."""

from __future__ import annotations

import io
import tarfile

from stalker.errors import EngineError, NoEngine, NotThere
from stalker.model.images import Image


class Keeper:
    """Images by name; counts what was asked of it."""

    def __init__(self, *images: Image, registry: dict[str, Image] | None = None) -> None:
        self.names = {tag: image for image in images for tag in image.tags}
        self.registry = registry or {}
        self.streams: list[bytes] = []
        self.pulled: list[tuple[str, str]] = []
        self.built: list[dict[str, object]] = []
        self.containers: dict[str, object] = {}
        self.inherits: dict[str, str] = {}
        self.is_down = False
        self.is_hanging_up = False
        self.swallows_errors = False

    def info(self):
        if self.is_down:
            raise NoEngine("it went away")

    def labelled_images(self):
        found = {image.id: image for image in self.names.values()}
        return [image for image in found.values() if "io.stalker.version" in image.labels]

    def image(self, name):
        found = self.names.get(name)
        if found is None:
            found = next((one for one in self.names.values() if name in one.digests or name == one.id), None)
        return found

    def registry_digest(self, name):
        if not self.registry:
            raise EngineError("could not ask", "dial tcp: lookup registry: no such host")
        if name not in self.registry:
            raise NotThere("could not ask", "manifest unknown")
        return self.registry[name].digests[0].partition("@")[2]

    def pull(self, name, platform, progress):
        self.pulled.append((name, platform))
        if name not in self.registry:
            raise NotThere(f"could not pull {name}")
        self.names[name] = self.registry[name]
        return self.names[name]

    def import_rootfs(self, stream, name, labels, comment, platform=""):
        if self.is_hanging_up or self.is_down:
            next(iter(stream))
            raise NoEngine("broken pipe")
        data = b""
        try:
            for chunk in stream:
                data += chunk
        except BaseException:
            if not self.swallows_errors:
                raise
        self.streams.append(data)
        image = Image(f"sha256:{len(self.streams):064d}", (name,), dict(labels), comment=comment)
        self.names[name] = image
        return image

    def build(self, context, dockerfile, name, labels, arguments, platform, progress):
        data = b"".join(context)
        self.built.append({"dockerfile": dockerfile, "arguments": arguments, "platform": platform})
        self.streams.append(data)
        labels = {**self.inherits, **labels}
        image = Image(f"sha256:{len(self.streams):064d}", (name,), labels, config={"Labels": labels})
        self.names[name] = image
        return image

    def create(self, spec):
        self.containers[spec.name] = spec
        return spec.name

    def commit(self, container, repository, tag, labels, config, comment, *, pause):
        base = self.image(self.containers[container].image)
        name = f"{repository}:{tag}"
        merged = {**config.get("Labels", {}), **labels}
        self.names[name] = Image(
            "sha256:c" + base.id[8:], (name,), merged, comment=comment, config=dict(config)
        )
        return self.names[name].id

    def remove_container(self, container):
        del self.containers[container]

    def tag(self, image, name):
        self.names[name] = next(one for one in self.names.values() if one.id == image or image in one.tags)

    def untag(self, name):
        if self.names.pop(name, None) is None:
            raise NotThere(name)


def rootfs(**files: bytes) -> bytes:
    """Return a small tar of `files`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
