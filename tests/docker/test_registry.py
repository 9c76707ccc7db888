"""Container images through a real registry and a real docker: pushed, fetched, loaded, run."""

import base64
import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path

import httpx
import pytest
import yaml

from bases import make_base
from disks import mounted
from engines import rootfs
from registries import registry_running
from stalker.disk.inspect import read_disk
from stalker.engine.logins import read_docker_config
from stalker.errors import InputError, NotGenuine
from stalker.fetch.cache.cache import Cache
from stalker.fetch.http.patience import Patience
from stalker.fetch.oci.archive_reader import read_archive
from stalker.fetch.oci.inspect import inspect_image
from stalker.fetch.oci.manifest import INDEXES, MANIFESTS
from stalker.fetch.oci.pull import fetch_image
from stalker.fetch.oci.registry import Registries
from stalker.io.units import size_text
from unit.helpers.hub import configuration, digest_of, layer, zstd

pytestmark = pytest.mark.docker

ROOT = Path(__file__).resolve().parents[2]
AMD = "linux/amd64"
ARM = "linux/arm64/v8"
PASSWORD = "open sesame"
HTPASSWD = "ann:$2y$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy\n"
SESSION = uuid.uuid4().hex[:8]
LAYER = "application/vnd.oci.image.layer.v1.tar"


def login(folder, address, password=PASSWORD):
    """Write a docker configuration with a login; return the environment that names it."""
    folder.mkdir(parents=True, exist_ok=True)
    auth = base64.b64encode(f"ann:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {address: {"auth": auth}}}))
    return {**os.environ, "DOCKER_CONFIG": str(folder)}


class Hub:
    """A registry that asks for a password, and this user of it."""

    def __init__(self, folder, address):
        self.folder, self.address = folder, address
        self.environ = login(folder / "docker", address)
        self.client = httpx.Client(base_url=f"http://{address}/v2/", auth=("ann", PASSWORD))

    def name(self, path="stalker-test/a/b/c/d", tag="1"):
        return f"{self.address}/{path}-{SESSION}:{tag}"

    def docker(self, *arguments):
        return subprocess.run(
            ["docker", *arguments], env=self.environ, check=True, capture_output=True, text=True
        ).stdout

    def put_blob(self, repository, body):
        where = self.client.post(f"{repository}/blobs/uploads/").headers["Location"]
        sign = "&" if "?" in where else "?"
        put = self.client.put(f"{where}{sign}digest={digest_of(body)}", content=body)
        assert put.status_code == 201, put.text
        return {"digest": digest_of(body), "size": len(body)}

    def put_image(self, repository, tag, platform, packed, tar, kind="gzip"):
        """Put an image of one layer there by hand; return how an index names it."""
        config = json.dumps({**configuration([tar], platform), "config": {"Cmd": ["/bin/cat", "/hello"]}})
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFESTS[0],
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                **self.put_blob(repository, config.encode()),
            },
            "layers": [{"mediaType": f"{LAYER}+{kind}", **self.put_blob(repository, packed)}],
        }
        return self.put_document(repository, tag, MANIFESTS[0], document)

    def put_document(self, repository, tag, media, document):
        body = json.dumps(document).encode()
        put = self.client.put(
            f"{repository}/manifests/{tag or digest_of(body)}", content=body, headers={"Content-Type": media}
        )
        assert put.status_code == 201, put.text
        return {"mediaType": media, "digest": digest_of(body), "size": len(body)}

    def blob_file(self, digest):
        """Return where the registry keeps a blob."""
        (found,) = self.folder.glob(f"data/docker/registry/v2/blobs/*/*/{digest.partition(':')[2]}/data")
        return found


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    with registry_running(folder, HTPASSWD) as address:
        yield Hub(folder, address)


@pytest.fixture(scope="module")
def pushed(hub, busybox):
    """An image of two layers that docker pushed; it goes from the engine at the end."""
    name = hub.name()
    file = f"FROM {busybox}\nRUN dd if=/dev/urandom of=/noise bs=1024 count=300; echo moin > /hello\n"
    subprocess.run(
        ["docker", "build", "-q", "--network", "none", "-t", name, "-"],
        input=file, text=True, check=True, capture_output=True,
    )  # fmt: skip
    hub.docker("push", "-q", name)
    yield name
    subprocess.run(["docker", "rmi", "-f", name], capture_output=True, check=False)


class User:
    def __init__(self, folder, environ):
        self.cache = Cache(folder, patience=Patience(0, 10.0, lambda _: None))
        self.registries = Registries(read_docker_config(environ, "/nowhere"), patience=Patience(0, 10.0))

    def look(self, name, platform=AMD):
        return inspect_image(name, platform, self.registries, self.cache)

    def fetch(self, name, platform=AMD):
        return fetch_image(self.cache, self.look(name, platform), self.registries, concurrency=2)

    def close(self):
        self.cache.close()
        self.registries.close()


@pytest.fixture
def user(hub, tmp_path):
    made = User(tmp_path / "cache", hub.environ)
    yield made
    made.close()


def load_and_run(hub, path, name, *command):
    """Load an archive as the only source of a name, run it, and take it away again."""
    subprocess.run(["docker", "rmi", "-f", name], capture_output=True, check=False)
    loaded = hub.docker("load", "-i", str(path))
    try:
        return loaded, hub.docker("run", "--rm", "--network", "none", "--pull", "never", name, *command)
    finally:
        hub.docker("rmi", name)


def test_what_docker_pushed_is_fetched_loaded_and_run(hub, pushed, user, tmp_path):
    """Under its name, with the id that it had; sizes are those that were reported before anything came."""
    id_before = hub.docker("image", "inspect", "-f", "{{.Id}}", pushed).strip()
    remote = user.look(pushed)
    with user.fetch(pushed) as file:
        archive = read_archive(file.path, AMD, counts=True)
        assert file.size_bytes == remote.archive_bytes
        assert archive.full_bytes == remote.full_bytes
        loaded, said = load_and_run(hub, file.path, pushed, "cat", "/hello")
        first = file.sha256
    other = User(tmp_path / "other", hub.environ)
    with other.fetch(pushed) as file:
        assert file.sha256 == first
    other.close()

    assert loaded.strip() == f"Loaded image: {pushed}"
    assert said == "moin\n"
    assert remote.config_digest == id_before
    hub.docker("pull", "-q", pushed)


def test_a_wrong_password_is_told(hub, pushed, tmp_path):
    for environ, why in (
        (login(tmp_path / "wrong", hub.address, "wrong word"), "refuses the login"),
        ({}, "not given to everybody"),
    ):
        user = User(tmp_path / "cache", environ)
        with pytest.raises(InputError, match=why) as caught:
            user.look(pushed)
        user.close()
        assert caught.value.exit_code == 4
        assert "wrong word" not in f"{caught.value.brief}{caught.value.details}{caught.value.resolution}"


def test_what_is_not_there_is_told(hub, pushed, user):
    with pytest.raises(InputError, match=r"-\w+:none is not there") as caught:
        user.look(pushed.replace(":1", ":none"))

    assert "MANIFEST_UNKNOWN" in caught.value.details


@pytest.mark.parametrize("media", INDEXES)
def test_a_list_gives_the_image_of_a_platform(hub, user, media):
    """Of docker's kind and of OCI's; the one for here runs."""
    repository, tar = f"stalker-test/list-{SESSION}", with_hello(b"here")
    here = hub.put_image(repository, "", AMD, gzip.compress(tar), tar)
    other = layer(hello=b"there")
    there = hub.put_image(repository, "", ARM, gzip.compress(other), other)
    tag = f"t{len(media)}"
    lines = [
        {**there, "platform": {"os": "unknown", "architecture": "unknown"}},
        {**there, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
        {**here, "platform": {"os": "linux", "architecture": "amd64"}},
    ]
    hub.put_document(repository, tag, media, {"schemaVersion": 2, "mediaType": media, "manifests": lines})
    name = f"{hub.address}/{repository}:{tag}"

    assert user.look(name, ARM).digest == there["digest"]
    with user.fetch(name, ARM) as file:
        assert read_archive(file.path, ARM).platform == "linux/arm64"
    with user.fetch(name) as file:
        assert load_and_run(hub, file.path, name)[1] == "here"
    with pytest.raises(InputError, match="not made for linux/riscv64"):
        user.look(name, "linux/riscv64")


def test_a_layer_of_zstd_loads_into_a_docker_that_does_not_know_it(hub, user):
    repository, tar = f"stalker-test/zstd-{SESSION}", with_hello(b"small")
    hub.put_image(repository, "1", AMD, zstd(tar), tar, "zstd")
    name = f"{hub.address}/{repository}:1"

    assert user.look(name).archive_bytes is None
    with user.fetch(name) as file:
        assert load_and_run(hub, file.path, name)[1] == "small"


def test_a_layer_with_an_altered_byte_is_refused(hub, user, tmp_path):
    """The registry does not notice; nothing of it is kept here."""
    repository, tar = f"stalker-test/altered-{SESSION}", layer(noise=os.urandom(100_000))
    packed = gzip.compress(tar)
    hub.put_image(repository, "1", AMD, packed, tar)
    name = f"{hub.address}/{repository}:1"
    remote = user.look(name)
    file = hub.blob_file(digest_of(packed))
    data = bytearray(file.read_bytes())
    data[5000] ^= 0x10
    file.write_bytes(data)

    with pytest.raises(NotGenuine, match="a layer of") as caught:
        fetch_image(user.cache, remote, user.registries)
    assert caught.value.exit_code == 4
    assert [one for one in (tmp_path / "cache").rglob("*") if one.is_file() and one.suffix != ".lock"] == []


def test_sizes_of_a_name_and_of_its_archive_are_the_real_ones(hub, pushed, tmp_path):
    """As lines of a configuration; full is what its layers take when docker has unpacked them."""
    saved = tmp_path / "saved.tar"
    hub.docker("save", "-o", str(saved), pushed)
    with tarfile.open(saved) as archive:
        (manifest,) = json.load(archive.extractfile("manifest.json"))
        full = sum(archive.getmember(name).size for name in manifest["Layers"])
    by_name, by_file = (sizes(hub, tmp_path, one) for one in (pushed, str(saved)))

    assert by_name["ident"] == by_file["ident"] == pushed
    assert by_name["fullsize"] == by_file["fullsize"] == full
    assert by_file["filesize"] == saved.stat().st_size
    user = User(tmp_path / "cache", hub.environ)
    with user.fetch(pushed) as file:
        assert by_name["filesize"] == file.path.stat().st_size
    user.close()


def test_sizes_that_nobody_tells_are_measured(hub, tmp_path):
    repository, tar = f"stalker-test/measured-{SESSION}", layer(hello=b"hello" * 10_000)
    hub.put_image(repository, "1", AMD, zstd(tar), tar, "zstd")

    found = sizes(hub, tmp_path, f"{hub.address}/{repository}:1")

    assert found["fullsize"] == len(tar)
    assert found["filesize"] > len(tar)


def sizes(hub, folder, what):
    done = subprocess.run(
        [sys.executable, "-m", "stalker.cli", "image", "sizes", "--platform", AMD, what],
        env={**hub.environ, "XDG_CACHE_HOME": str(folder / "xdg"), "PYTHONPATH": "lib"},
        check=True,
        capture_output=True,
        text=True,
    )
    (found,) = yaml.safe_load(done.stdout)["oci_images"]
    assert f"# {size_text(found['filesize'])}\n" in done.stdout
    return found


def with_hello(text):
    """Return the tar of a busybox with a file /hello."""
    with io.BytesIO(rootfs()) as stream:
        with tarfile.open(fileobj=stream, mode="a") as archive:
            info = tarfile.TarInfo("hello")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
        return stream.getvalue()


def test_a_card_image_holds_it_where_the_machine_looks_for_it(hub, pushed, tmp_path):
    """As an archive that docker loads and runs, below /images; `image sizes` told what it takes."""
    base = make_base(tmp_path)
    config, output = tmp_path / "card.yaml", tmp_path / "card.img"
    environ = {**hub.environ, "PYTHONPATH": str(ROOT / "lib")}
    cache = ("--cache-dir", str(tmp_path / "cache"))
    told = stalker("image", "sizes", "--platform", AMD, pushed, *cache, environ=environ)
    config.write_text(f"base: {base}\n{told.stdout}")

    made = stalker("image", "create", "--platform", AMD, str(config), str(output), *cache, environ=environ)

    assert made.returncode == 0, made.stderr
    assert PASSWORD not in made.stdout + made.stderr
    with mounted(output, read_disk(output).partitions[2].start_bytes) as data:
        (archive,) = (data / "images").iterdir()
        _, said = load_and_run(hub, archive, pushed, "cat", "/hello")
        size_bytes = archive.stat().st_size
    assert archive.name == pushed.replace("/", "_").replace(":", "_") + "_linuxamd64.tar"
    assert said == "moin\n"
    assert yaml.safe_load(told.stdout)["oci_images"][0]["filesize"] == size_bytes


def stalker(*arguments, environ):
    argv = [sys.executable, "-m", "stalker.cli", *arguments]
    return subprocess.run(argv, env=environ, cwd=ROOT, check=False, capture_output=True, text=True)
