"""The peer: Debian's docker command, and what both sides need from the engine.

All that a benchmark makes is named `stalker-bench/...`, and all of that is removed at the end, not
between rounds: ext4 is slow to give out again the inodes of a tree that was just deleted, so a round
that follows a removal would measure the removal.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from timing import BenchError, run

PREFIX = "stalker-bench/"
BUSYBOX = f"{PREFIX}busybox:1"
BUILDERS = {"BuildKit": "1", "legacy builder": "0"}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Peer:
    """A docker command that can build with BuildKit and with the legacy builder."""

    network = ""
    """Of its `RUN` lines, where that is not the engine's own: the engines of the tests have none."""

    def __init__(self, program: str, scratch: Path) -> None:
        self.program = program
        self._scratch = scratch

    @classmethod
    def find(cls, scratch: Path) -> Peer:
        """Return the first docker on the PATH whose builders both work with the engine there.

        A newer command than the engine may lack the buildx plugin and then has no BuildKit.
        """
        refused = []
        context = scratch / "probe"
        context.mkdir()
        (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
        for program in dockers_on_path():
            peer = cls(program, scratch)
            try:
                for builder, switch in BUILDERS.items():
                    peer.build(builder, context, f"{PREFIX}probe:{switch}")
            except BenchError as error:
                refused.append(str(error))
                continue
            return peer
        raise BenchError("\n".join(["no docker command whose builders work here", *refused]))

    def build(self, builder: str, context: Path, name: str, *, use_cache: bool = True) -> float:
        """Build a folder as `name` and return the seconds."""
        network = ["--network", self.network] if self.network else []
        options = ["-q", *network, *([] if use_cache else ["--no-cache"])]
        argv = [self.program, "build", *options, "-t", name, "."]
        return run(argv, cwd=context, env={"DOCKER_BUILDKIT": BUILDERS[builder]})[0]

    def ask(self, *words: str) -> str:
        """Run a docker command and return what it says."""
        return run([self.program, *words])[1].strip()

    def load_image(self, name: str, layers: Iterable[Path]) -> None:
        """Load an image made of tar files, with the same id each time: caches of builders hold."""
        digests = []
        with tempfile.NamedTemporaryFile(dir=self._scratch, suffix=".tar") as file:
            with tarfile.open(fileobj=file, mode="w") as archive:
                for layer in layers:
                    digest = _sha256(layer)
                    digests.append(digest)
                    archive.add(layer, f"{digest}/layer.tar", recursive=False)
                config = {
                    "architecture": self.ask("version", "--format", "{{.Server.Arch}}"),
                    "os": "linux",
                    "created": "1970-01-01T00:00:00Z",
                    "config": {"Env": [f"PATH={PATH}"], "Cmd": ["/bin/sh"]},
                    "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
                    "history": [
                        {"created": "1970-01-01T00:00:00Z", "created_by": "benchmark"} for _ in digests
                    ],
                }
                text = json.dumps(config).encode()
                config_name = f"{hashlib.sha256(text).hexdigest()}.json"
                manifest = [
                    {
                        "Config": config_name,
                        "RepoTags": [name],
                        "Layers": [f"{digest}/layer.tar" for digest in digests],
                    }
                ]
                _add(archive, config_name, text)
                _add(archive, "manifest.json", json.dumps(manifest).encode())
            file.flush()
            self.ask("load", "-q", "-i", file.name)

    def names(self, prefix: str = PREFIX) -> list[str]:
        """List the images whose name starts so."""
        listed = self.ask("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
        return sorted(name for name in listed if name.startswith(prefix))

    def image_id(self, name: str) -> str:
        return self.ask("image", "inspect", "--format", "{{.Id}}", name)

    def stored_bytes(self, names: Iterable[str], base: str) -> int:
        """Sum up the layers that some images have beyond their base's, each layer counted once.

        The engine tells the size of an image, which is that of all its layers, so the size of a
        layer is the difference to the image that ends below it.
        """
        sizes: dict[tuple[str, ...], int] = {}
        for name in [base, *names]:
            found = json.loads(self.ask("image", "inspect", name))[0]
            sizes[tuple(found["RootFS"]["Layers"])] = found["Size"]
        total = 0
        base_layers = len(json.loads(self.ask("image", "inspect", base))[0]["RootFS"]["Layers"])
        for layers, size in sizes.items():
            if len(layers) == base_layers:
                continue
            below = next(layers[:end] for end in range(len(layers) - 1, 0, -1) if layers[:end] in sizes)
            total += size - sizes[below]
        return total

    def remove_all(self) -> None:
        """Remove every image and container of the benchmarks; builders keep their caches."""
        names = self.names()
        ours = self._first_layer(BUSYBOX) if BUSYBOX in names else ""
        held = set(self.ask("ps", "-aq", "--filter", "name=stalker-bench-").split())
        for name in names:
            if name.count("/") == 1:  # a base: what was committed from it descends from it
                held |= set(self.ask("ps", "-aq", "--filter", f"ancestor={name}").split())
        for container in held:
            self.ask("rm", "-f", container)
        for start in range(0, len(names), 50):
            self.ask("rmi", "-f", *names[start : start + 50])
        # Steps of a legacy build that was interrupted have no name, but the first layer of all of ours.
        nameless = self.ask("image", "ls", "-q", "--no-trunc", "--filter", "dangling=true").split()
        for image in nameless if ours else ():
            with contextlib.suppress(BenchError):  # somebody else's, and gone meanwhile
                if self._first_layer(image) == ours:
                    self.ask("rmi", image)

    def _first_layer(self, image: str) -> str:
        layers = json.loads(self.ask("image", "inspect", "--format", "{{json .RootFS.Layers}}", image))
        return layers[0] if layers else ""


def dockers_on_path() -> Iterator[str]:
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        program = Path(folder) / "docker"
        if os.access(program, os.X_OK) and program.is_file():
            yield str(program)


def busybox_layer(scratch: Path) -> Path:
    """Write the tar of a root file system of one static busybox. Raises BenchError."""
    content = _busybox(scratch)
    program = scratch / "busybox"
    program.write_bytes(content)
    program.chmod(0o755)
    applets = run([str(program), "--list-full"])[1].split()
    layer = scratch / "busybox.tar"
    with tarfile.open(layer, "w") as archive:
        folders = {"proc", "sys", "dev", "root", "var", "run", "etc", "tmp"}
        folders |= {str(Path(applet).parent) for applet in applets}
        folders |= {str(parent) for name in list(folders) for parent in Path(name).parents}
        for name in sorted(folders - {"."}):
            _add(archive, name, None, mode=0o1777 if name == "tmp" else 0o755)
        _add(archive, "bin/busybox", content, mode=0o755)
        _add(archive, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
        _add(archive, "etc/group", b"root:x:0:\n")
        for applet in sorted(set(applets) - {"bin/busybox"}):
            link = tarfile.TarInfo(applet)
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, "/bin/busybox", 0o777
            archive.addfile(link)
    return layer


def blob_layer(scratch: Path, name: str, size_bytes: int, *, files: int = 1) -> Path:
    """Write the tar of `files` files of random bytes in `/blob/`, the same bytes each time."""
    import random

    source = random.Random(name)
    layer = scratch / f"{name}.tar"
    each = size_bytes // files
    with tarfile.open(layer, "w") as archive:
        _add(archive, "blob", None, mode=0o755)
        for number in range(files):
            if number % 100 == 0:
                _add(archive, f"blob/{number // 100}", None, mode=0o755)
            _add(archive, f"blob/{number // 100}/{number % 100}", source.randbytes(each))
    return layer


def _busybox(scratch: Path) -> bytes:
    """Return the machine's static busybox, else that of Debian's package, which need not be installed."""
    for path in (Path("/bin/busybox"), Path("/usr/bin/busybox")):
        if path.is_file() and _is_static(path):
            return path.read_bytes()
    folder = scratch / "deb"
    folder.mkdir(exist_ok=True)
    try:
        run(["apt-get", "download", "-qq", "busybox-static"], cwd=folder)
        run(["dpkg-deb", "-x", str(next(folder.glob("*.deb"))), str(folder)])
        return next(path for path in folder.glob("**/bin/busybox") if path.is_file()).read_bytes()
    except (BenchError, FileNotFoundError, StopIteration) as error:
        raise BenchError(f"no static busybox: apt-get install -y busybox-static\n{error}") from error


def _is_static(program: Path) -> bool:
    """Tell whether a program needs no loader: busybox in an empty root starts or does not."""
    shown = subprocess.run(["readelf", "-l", program], capture_output=True, check=False)
    if shown.returncode == 0:
        return b"INTERP" not in shown.stdout
    return b"ld-linux" not in program.read_bytes()


def _add(archive: tarfile.TarFile, name: str, content: bytes | None, *, mode: int = 0o644) -> None:
    info = tarfile.TarInfo(name)
    info.mode = mode
    if content is None:
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
        return
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
