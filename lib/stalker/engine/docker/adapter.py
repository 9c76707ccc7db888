"""Docker, by docker-py: the only module that imports it, and the only one that knows its errors."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stalker.engine.docker import exec_stream, http
from stalker.engine.docker.container_options import container_body, has_platform, relabelled, without_volumes
from stalker.engine.interface import Container, ContainerSpec, ContainerState, Engine, EngineInfo
from stalker.engine.profile import changes_of, is_containerd, layers_max, profile_of
from stalker.errors import EngineError, EngineFull, NoEngine, NotThere
from stalker.model import labels as of_ours
from stalker.model.images import Image
from stalker.model.platforms import parse_platform
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from stalker.engine.docker.container_options import Configured
    from stalker.engine.profile import Profile
    from stalker.model.platforms import Platform

TIMEOUT_S = 3600
"""A commit or import of some GB is one silent request."""

JOINED_S = 20.0
"""How long the removal of a container waits until those are removed that joined its network."""

LOADED = "Loaded image ID: "
"""What the engine reports of a loaded image without a name, before its id."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class DockerEngine(Engine):
    """A Docker engine, reached by one connection a thread."""

    def __init__(self, address: http.Address, labels: Mapping[str, str] | None = None) -> None:
        """Take where it listens, and labels for the containers that it makes to look into images."""
        self.address = address
        self._own_labels = dict(labels or {})
        self._local = threading.local()
        self._clients: weakref.WeakSet[Any] = weakref.WeakSet()  # a thread's own goes with it
        self._lock = threading.Lock()
        self._held: dict[str, Any] = {}
        self._profile: Profile | None = None
        self._info: EngineInfo | None = None

    @property
    def _client(self) -> Any:
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self._new_client()
            with self._lock:
                self._clients.add(client)
        return client

    def _new_client(self) -> Any:
        import docker  # takes 100 ms

        tls = _tls_config(self.address) if self.address.ca or self.address.cert else False
        with self._translated("reach the engine"):
            return docker.APIClient(
                base_url=self.address.url, version=http.api_version(self.address), timeout=TIMEOUT_S, tls=tls
            )

    @property
    def profile(self) -> Profile:
        """What kind of engine it is; asked once. Raises NoEngine."""
        if self._profile is None:
            http.api_version(self.address)
            self._profile = profile_of(self.address.answer)
        return self._profile

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """Turn docker-py's errors into ours."""
        import docker.errors
        import requests.exceptions
        import urllib3.exceptions

        try:
            yield
        except docker.errors.NotFound as error:
            raise NotThere(f"could not {doing}", _said(error)) from error
        except docker.errors.APIError as error:
            said = _said(error)
            if self.profile.is_unknown(said):
                raise NotThere(f"could not {doing}", said) from error
            if "no space left" in said.lower() or "disk quota exceeded" in said.lower():
                raise EngineFull(
                    f"could not {doing}: the engine's disk is full",
                    said,
                    f"make room (`{program()} prune TREE`, `docker system df`), then run again: "
                    "it goes on with this step",
                ) from error
            raise EngineError(f"could not {doing}", said) from error
        except (
            docker.errors.DockerException,
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
        ) as error:
            raise NoEngine(
                f"could not {doing}: the engine at {self.address.url} does not answer",
                str(error),
                f"{program()} engine up starts it; the next run goes on from the last committed step",
            ) from error

    # What is there

    def info(self) -> EngineInfo:
        found = http.get_json(self.address, "/info", {})
        return EngineInfo(
            id=self.profile.engine_id(found),
            name=found.get("Name", ""),
            version=found.get("ServerVersion", ""),
            storage=found.get("Driver", ""),
            os=found.get("OSType", "linux"),
            architecture=found.get("Architecture", ""),
            cpus=found.get("NCPU", 1),
            memory_bytes=found.get("MemTotal", 0),
            root_dir=found.get("DockerRootDir", ""),
            address=self.address.url,
            is_rootless=any("rootless" in option for option in found.get("SecurityOptions") or ()),
            kernel=found.get("KernelVersion", ""),
            kind=self.profile.kind,
            is_containerd=is_containerd(found),
            layers_max=layers_max(found),
        )

    def labelled_images(self) -> list[Image]:
        query = {"all": "1", "filters": json.dumps({"label": [of_ours.VERSION]})}
        found = http.get_json(self.address, "/images/json", query)
        return [_listed_image(item, self.profile) for item in found]

    def image(self, name: str) -> Image | None:
        try:
            found = http.get_json(self.address, f"/images/{name}/json", {})
        except NotThere:
            return None
        except EngineError as error:
            if self.profile.is_unknown(error.details):
                return None
            raise
        return self._with_own_comment(_inspected_image(found, self.profile))

    def _with_own_comment(self, image: Image) -> Image:
        """Return an inspected image without a comment that it only has from the one that it was made of.

        Docker writes a comment into the history too. Else the history is as long as the commit said in a label;
        whatever is made of an image has a longer one.
        """
        if not self.profile.passes_comments_on or not image.comment:
            return image
        history = self._history(image.id)
        is_own = history[0].get("Comment") == image.comment
        if is_own or image.labels.get(of_ours.HISTORY) == str(len(history)):
            return image
        return replace(image, comment="")

    def _mark_of_comment(self, container: str) -> dict[str, str]:
        """Return the label by which the comment of a commit is known as its own."""
        if not self.profile.passes_comments_on:
            return {}
        with self._translated("inspect a container"):
            start = self._client.inspect_container(container)["Image"]
        return {of_ours.HISTORY: str(len(self._history(start)) + 1)}

    def _history(self, image: str) -> list[dict[str, Any]]:
        """Return what an image was made by, the newest first."""
        found: list[dict[str, Any]] = http.get_json(self.address, f"/images/{image}/history", {})
        return found

    def sized(self, image: str) -> Image | None:
        found = self.image(image)
        if found is None or not self._known.is_containerd:
            return found
        query = {"all": "1"}
        if found.tags:
            query["filters"] = json.dumps({"reference": [found.tags[0]]})
        listed = http.get_json(self.address, "/images/json", query)
        return next((_listed_image(item, self.profile) for item in listed if item["Id"] == found.id), None)

    def rootfs_bytes(self, image: str) -> int:
        return sum(layer["Size"] for layer in self._history(image))

    def layers_max(self) -> int:
        return self._known.layers_max

    @property
    def _known(self) -> EngineInfo:
        """What an engine said of itself when it was asked first."""
        if self._info is None:
            self._info = self.info()
        return self._info

    def _image(self, name: str) -> Image:
        image = self.image(name)
        if image is None:
            raise NotThere(f"there is no image {name}")
        return image

    def registry_digest(self, name: str) -> str:
        with self._translated(f"ask the registry for {name}"):
            return str(self._client.inspect_distribution(name)["Descriptor"]["digest"])

    # Images in and out

    def pull(self, name: str, platform: str, progress: Callable[[str], None]) -> Image:
        repository, tag = _split(name)
        with self._translated(f"pull {name}"):
            lines = self._client.pull(
                repository, tag=tag, stream=True, decode=True, platform=platform or None
            )
            _follow(lines, progress, f"could not pull {name}")
        return self._image(name)

    def push(self, name: str, progress: Callable[[str], None]) -> str:
        repository, tag = _split(name)
        pushed = ""
        with self._translated(f"push {name}"):
            for line in self._client.push(repository, tag=tag, stream=True, decode=True):
                _follow([line], progress, f"could not push {name}")
                pushed = (line.get("aux") or {}).get("Digest", pushed)
        return pushed

    def import_rootfs(
        self, stream: Iterable[bytes], name: str, labels: Mapping[str, str], comment: str, platform: str = ""
    ) -> Image:
        client = self._client
        wanted = parse_platform(platform) if platform else None
        # What is to be relabelled has no labels before: a run that dies in between leaves no base.
        relabels = wanted is not None and not self.profile.gives_platform
        repository, tag = _split(name)
        changes = [f"ENV PATH={PATH}", 'CMD ["/bin/sh"]']
        changes += [self.profile.label_change(*label) for label in labels.items() if not relabels]
        params = {
            "fromSrc": "-",
            "repo": repository,
            "tag": tag,
            "message": comment,
            "changes": changes,
            **({"platform": str(wanted)} if wanted else {}),
        }
        with self._translated(f"import {name}"):
            response = client._post(  # noqa: SLF001  docker-py's import reads the stream into memory
                client._url("/images/create"),  # noqa: SLF001
                data=iter(stream),
                params=params,
                headers={"Content-Type": "application/tar"},
                stream=True,
            )
            client._raise_for_status(response)  # noqa: SLF001
            lines = [json.loads(line) for line in response.iter_lines() if line.strip()]
        _follow(lines, lambda _: None, f"could not import {name}")
        made = str(lines[-1].get("status", "")) if lines else name
        return self._relabel(made, name, wanted, labels) if wanted else self._image(made)

    def _relabel(self, image: str, name: str, wanted: Platform, labels: Mapping[str, str]) -> Image:
        """Return an imported image under its name as one of `wanted`, however the engine labelled it."""
        found = http.get_json(self.address, f"/images/{image}/json", {})
        has_labels = _text_dict((found.get("Config") or {}).get("Labels")).items() >= labels.items()
        if has_platform(found, wanted) and has_labels:
            return _inspected_image(found, self.profile)
        made = self._configured(found, relabelled(found, wanted, labels), name)
        self.untag(image)
        return self._image(made)

    def without_volumes(self, image: str, labels: Mapping[str, str]) -> str:
        found = http.get_json(self.address, f"/images/{self._image(image).id}/json", {})
        return self._image(self._configured(found, without_volumes(found, labels))).id

    def _configured(self, found: Mapping[str, Any], configured: Configured, name: str = "") -> str:
        """Make an image of the layers of an inspected one; return its id. Where layers are needed too, they move."""
        doing = f"give the image {name or found['Id']} another configuration"
        try:
            made = self._load(configured.archive(name), doing)
        except (NoEngine, EngineFull):
            raise
        except EngineError:  # containerd's image store and Podman need the layers too
            saved = http.get_stream(self.address, f"/images/{found['Id']}/get")
            with contextlib.closing(saved):
                made = self._load(configured.rewritten(saved, name), doing)
        return made or configured.id

    def _load(self, archive: bytes | Iterator[bytes], doing: str) -> str:
        """Load an image and return the id that the engine reports, empty for one with a name."""
        said: list[str] = []
        with self._translated(doing):
            _follow(self._client.load_image(archive), said.append, f"could not {doing}")
        return next((line.removeprefix(LOADED) for line in said if line.startswith(LOADED)), "")

    def build(
        self,
        context: Iterable[bytes],
        dockerfile: str,
        name: str,
        labels: Mapping[str, str],
        arguments: Mapping[str, str],
        platform: str,
        progress: Callable[[str], None],
    ) -> Image:
        with self._translated(f"build {name}"):
            lines = self._client.build(
                fileobj=iter(context),
                custom_context=True,
                dockerfile=dockerfile,
                tag=name,
                labels=dict(labels),
                buildargs=dict(arguments),
                platform=platform or None,
                rm=True,
                forcerm=True,
                decode=True,
            )
            _follow(lines, progress, f"could not build {name}")
        return self._image(name)

    def tag(self, image: str, name: str) -> None:
        repository, tag = _split(name)
        with self._translated(f"tag {name}"):
            self._client.tag(image, repository, tag)

    def untag(self, name: str) -> None:
        with contextlib.suppress(NotThere), self._translated(f"remove {name}"):
            if self.profile.keeps_what_others_grow_on or not self._untag_alone(name):
                self._client.remove_image(name, noprune=not self.profile.takes_parents_along)

    def _untag_alone(self, name: str) -> bool:
        """Take a name from an image that stays because another one grows on it; False, and nothing done, when none does."""
        found = http.get_json(self.address, f"/images/{name}/json", {})
        listed = http.get_json(self.address, "/images/json", {"all": "1"})
        own_id = http.image_id(found["Id"])
        if not any(http.image_id(item.get("ParentId") or "") == own_id for item in listed):
            return False
        client = self._client
        for tag in found.get("RepoTags") or ():
            if self.profile.image_name(tag) == name:  # Docker has no call for this
                repository, _, word = tag.rpartition(":")
                url = f"{client.base_url}/v5.0.0/libpod/images/{tag}/untag"
                client._raise_for_status(client._post(url, params={"repo": repository, "tag": word}))  # noqa: SLF001
        return True

    def missing_paths(self, image: str, paths: Sequence[str]) -> list[str]:
        client = self._client
        with self._translated(f"look into {image}"):
            made = client.create_container(image, command=["/bin/true"], labels=self._own_labels)["Id"]
        try:
            with self._translated(f"look into {image}"):
                url = client._url("/containers/{0}/archive", made)  # noqa: SLF001  docker-py has no HEAD
                found = {path: client.head(url, params={"path": path}).status_code for path in paths}
        finally:
            self.remove_container(made)
        return [path for path, status in found.items() if status == 404]

    def export(self, image: str) -> Iterator[bytes]:
        with self._translated(f"export {image}"):
            made = self._client.create_container(image, command=["/bin/true"], labels=self._own_labels)["Id"]
        try:
            yield from http.get_stream(self.address, f"/containers/{made}/export")
        finally:
            self.remove_container(made)

    def save(self, images: Sequence[str]) -> Iterator[bytes]:
        for image in images:
            self._image(image)  # of one that is not there, engines report an internal error
        names = "&".join(f"names={image}" for image in images)
        yield from http.get_stream(self.address, f"/images/get?{names}")

    # Containers

    def create(self, spec: ContainerSpec) -> str:
        image = self._image(spec.image)
        body, host_config = container_body(spec, image, self.profile.lacks_capabilities)
        client = self._client
        if host_config:
            body["HostConfig"] = client.create_host_config(**host_config)
        params = {"name": spec.name, **({"platform": spec.platform} if spec.platform else {})}
        with self._translated(f"create a container from {spec.image}"):
            return str(client.create_container_from_config(body, spec.name, params.get("platform"))["Id"])

    def start(self, container: str) -> None:
        connection = exec_stream.attach_input(self.address, container)
        with self._lock:
            self._held[container] = connection
        try:
            with self._translated("start a container"):
                self._client.start(container)
        except EngineError:
            self._let_go(container)
            raise

    def _let_go(self, container: str) -> None:
        """Close the connection that keeps a container running."""
        with self._lock:
            connection = self._held.pop(container, None)
        if connection is not None:
            connection.close()

    def put(self, container: str, archive: bytes) -> None:
        with self._translated("put files into a container"):
            self._client.put_archive(container, "/", archive)

    def get(self, container: str, path: str) -> Iterator[bytes]:
        try:
            yield from http.get_stream(self.address, f"/containers/{container}/archive", {"path": path})
        except EngineError as error:
            if "not a directory" not in error.details:
                raise
            raise NotThere(
                f"there is no {path}", error.details
            ) from error  # a file is where it asks for a directory

    def exec(
        self,
        container: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        on_output: Callable[[bytes, bool], None],
        *,
        user: str = "",
        workdir: str = "",
        stop: Callable[[], bool] | None = None,
        stdin: Iterable[bytes | memoryview] | None = None,
        tty: bool = False,
    ) -> int | None:
        assert not tty or stdin is None
        client = self._client
        with self._translated("run a program in a container"):
            made = client.exec_create(
                container,
                list(argv),
                environment=dict(environment),
                user=user,
                workdir=workdir or None,
                stdin=stdin is not None,
                tty=tty,
            )["Id"]

        def is_over() -> bool:
            try:
                with self._translated("ask whether a program runs"):
                    return not self._client.exec_inspect(made)["Running"]
            except EngineError as error:
                if self.profile.is_unknown(error.details):  # it went with its container
                    return True
                raise

        if stdin is None:
            went_on = exec_stream.read_exec(self.address, made, on_output, stop, is_over, tty=tty)
        else:
            went_on = exec_stream.feed_exec(self.address, made, stdin, on_output, stop, is_over)
        if not went_on:
            return None
        try:
            with self._translated("ask for an exit code"):
                ended = client.exec_inspect(made)
        except NotThere:  # it went with its container
            return None
        return None if ended["Running"] else ended["ExitCode"]

    def open_shell(self, container: str) -> exec_stream.FedShell:
        with self._translated("start a shell in a container"):
            made = self._client.exec_create(container, ["/bin/sh"], stdin=True, user="0")["Id"]
        return exec_stream.FedShell(self.address, made)

    def state(self, container: str) -> ContainerState:
        client = self._client
        with self._translated("inspect a container"):
            url = client._url("/containers/{0}/json", container)  # noqa: SLF001  docker-py has no `size`
            found = client._result(client._get(url, params={"size": "1"}), json=True)  # noqa: SLF001
        network = found.get("NetworkSettings") or {}
        addresses = [network.get("IPAddress") or ""]
        addresses += [one.get("IPAddress") or "" for one in (network.get("Networks") or {}).values()]
        return ContainerState(
            is_running=bool(found["State"].get("Running")),
            writable_bytes=found.get("SizeRw") or 0,
            address=next((address for address in addresses if address), ""),
            exit_code=None if found["State"].get("Running") else found["State"].get("ExitCode"),
            is_out_of_memory=bool(found["State"].get("OOMKilled")),
        )

    def commit(
        self,
        container: str,
        repository: str,
        tag: str,
        labels: Mapping[str, str],
        config: Mapping[str, object],
        comment: str,
        *,
        pause: bool,
    ) -> str:
        # An empty list keeps "no entrypoint"; null would take the idle process's.
        whole = {
            **config,
            "Entrypoint": config.get("Entrypoint") or [],
            "Labels": {
                **_text_dict(config.get("Labels")),
                **labels,
                **(self._mark_of_comment(container) if comment else {}),
            },
        }
        takes_config = self.profile.takes_config
        with self._translated(f"commit {repository}:{tag}"):
            found = self._client.commit(
                container,
                repository or None,
                tag if repository else None,
                message=comment,
                pause=pause,
                changes=None if takes_config else changes_of(whole),
                conf=whole if takes_config else {},
            )
        return http.image_id(str(found["Id"]))

    def remove_container(self, container: str) -> None:
        end_s = time.monotonic() + JOINED_S
        while True:
            try:
                with self._translated("remove a container"):
                    self._client.remove_container(container, force=True, v=True)
            except NotThere:
                break
            except EngineError as error:
                if self.profile.waits_for_joined(error.details) and time.monotonic() < end_s:
                    time.sleep(0.1)
                    continue
                if "already in progress" not in error.details:
                    raise
            finally:
                self._let_go(container)
            break

    def containers(self, labels: Mapping[str, str]) -> list[Container]:
        wanted = [f"{key}={value}" if value else key for key, value in labels.items()]
        found = http.get_json(
            self.address, "/containers/json", {"all": "1", "filters": json.dumps({"label": wanted})}
        )
        listed = [
            Container(
                item["Id"],
                (item.get("Names") or ["/"])[0].lstrip("/"),
                http.image_id(item.get("ImageID", "")),
                self.profile.container_state(item.get("State", "")),
                item.get("Labels") or {},
                float(item.get("Created") or 0),
            )
            for item in found
        ]
        return sorted(listed, key=lambda container: -container.created_s)

    def changes(self, container: str) -> list[tuple[str, str]]:
        with self._translated("list what changed in a container"):
            found = self._client.diff(container) or []
        return [("CAD"[item["Kind"]], item["Path"]) for item in found]

    def ensure_volume(self, name: str, labels: Mapping[str, str]) -> None:
        with self._translated(f"create the volume {name}"):
            self._client.create_volume(name, labels=dict(labels))

    def volume_path(self, name: str) -> str:
        with self._translated(f"find the volume {name}"):
            return str(self._client.inspect_volume(name)["Mountpoint"])

    def volumes(self, labels: Mapping[str, str]) -> list[str]:
        wanted = [f"{key}={value}" if value else key for key, value in labels.items()]
        with self._translated("list volumes"):
            found = self._client.volumes(filters={"label": wanted})
        return [item["Name"] for item in found.get("Volumes") or ()]

    def remove_volume(self, name: str) -> None:
        with self._translated(f"remove the volume {name}"):
            self._client.remove_volume(name)

    def disk_free_bytes(self) -> int | None:
        root = self.info().root_dir
        if not self.address.url.startswith("unix:") or not os.path.isdir(root):  # noqa: PTH112
            return None
        return shutil.disk_usage(root).free

    def close(self) -> None:
        for container in list(self._held):
            self._let_go(container)
        with self._lock:
            for client in list(self._clients):
                client.close()
            self._clients.clear()
            self._local = threading.local()


def _tls_config(address: http.Address) -> Any:
    """Return docker-py's settings for TLS, with our context in place of the one that urllib3 would make."""
    import docker.tls
    import requests.adapters

    class Adapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *args: Any, **more: Any) -> None:
            super().init_poolmanager(*args, **more, ssl_context=http.tls_context(address))

    class Config(docker.tls.TLSConfig):  # type: ignore[misc]
        def configure_client(self, client: Any) -> None:
            super().configure_client(client)
            client.mount("https://", Adapter())

    pair = (address.cert, address.key) if address.cert else None
    return Config(client_cert=pair, ca_cert=address.ca or None, verify=address.verify)


def _said(error: Any) -> str:
    return str(getattr(error, "explanation", None) or error)


def _text_dict(value: object) -> dict[str, str]:
    return dict(value) if isinstance(value, dict) else {}


def _split(name: str) -> tuple[str, str]:
    """Split `repo:tag` or `repo@digest`; the colon of a registry's port is not a tag."""
    if "@" in name:
        repository, _, digest = name.partition("@")
        return repository, digest
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, "latest"
    return head, tag


def _follow(lines: Iterable[Any], progress: Callable[[str], None], failure: str) -> None:
    """Pass on the engine's progress lines; raise when one is an error."""
    for line in lines:
        if not isinstance(line, dict):
            continue
        if line.get("error"):
            said = str(line["error"])
            if "no space left" in said.lower():
                raise EngineFull(f"{failure}: the engine's disk is full", said, "make room, then run again")
            if "not found" in said.lower() or "manifest unknown" in said.lower():
                raise NotThere(failure, said)
            raise EngineError(failure, said)
        text = str(line.get("status") or line.get("stream") or "").strip()
        if text and not line.get("progressDetail"):
            progress(f"{line['id']}: {text}" if line.get("id") else text)


def _listed_image(item: dict[str, Any], profile: Profile) -> Image:
    return Image(
        id=http.image_id(item["Id"]),
        tags=tuple(profile.image_name(tag) for tag in item.get("RepoTags") or () if tag != "<none>:<none>"),
        labels=item.get("Labels") or {},
        parent_id=http.image_id(item.get("ParentId") or ""),
        created_s=float(item.get("Created") or 0),
        size_bytes=int(item.get("Size") or 0),
        digests=tuple(item.get("RepoDigests") or ()),
    )


def _inspected_image(found: dict[str, Any], profile: Profile) -> Image:
    from datetime import datetime

    created = str(found.get("Created") or "")
    config = found.get("Config") or {}
    diff_ids = tuple((found.get("RootFS") or {}).get("Layers") or ())
    try:
        created_s = datetime.fromisoformat(created[:19] + "+00:00").timestamp()
    except ValueError:
        created_s = 0.0
    return Image(
        id=http.image_id(found["Id"]),
        tags=tuple(map(profile.image_name, found.get("RepoTags") or ())),
        labels=config.get("Labels") or {},
        parent_id=http.image_id(found.get("Parent") or ""),
        created_s=created_s,
        size_bytes=int(found.get("Size") or 0),
        layers=len(diff_ids),
        architecture=str(found.get("Architecture") or ""),
        variant=str(found.get("Variant") or ""),
        comment=str(found.get("Comment") or ""),
        digests=tuple(found.get("RepoDigests") or ()),
        config=config,
        os=str(found.get("Os") or ""),
        diff_ids=diff_ids,
    )
