"""`./stalker image create` as a whole: a base, a configuration, a card image that is read back."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest

from bases import BOOT_START, DATA_START, ENVIRON, MIB, ROOT_START, make_base, run
from disks import mounted, read_files
from stalker.disk.inspect import read_disk
from unit.helpers.server import serving

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
STALKER = [sys.executable, "-m", "stalker.cli"]
EPOCH_S = 1_700_000_000


@pytest.fixture(scope="session", autouse=True)
def toolbox(engine):
    """The toolbox is made before anything is looked at closely."""
    from stalker.app.toolbox_image import image_maker

    image_maker(engine, print)("toolbox")


@pytest.fixture(scope="session")
def bases(tmp_path_factory):
    """Bases by their number of partitions."""
    folder = tmp_path_factory.mktemp("bases")
    return {2: make_base(folder, "two.img"), 3: make_base(folder, "three.img", has_data=True)}


class Space:
    """A folder with a configuration, a cache and an output of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.output = folder / "out" / "card.img"
        self.output.parent.mkdir()
        self.cache = folder / "cache"
        self.config = folder / "card.yaml"

    def argv(self, *options):
        return [
            *STALKER,
            *("image", "create", str(self.config), str(self.output), "--cache-dir", str(self.cache)),
            *options,
        ]

    @property
    def environ(self):
        return {**os.environ, "PYTHONPATH": str(ROOT / "lib"), "SOURCE_DATE_EPOCH": str(EPOCH_S)}

    def create(self, config, *options):
        """Create an image; return what came of it."""
        self.config.write_text(config)
        return subprocess.run(
            self.argv(*options), capture_output=True, text=True, check=False, env=self.environ, cwd=ROOT
        )

    def made(self, config, *options):
        """Create an image that must come; return it."""
        done = self.create(config, *options)
        assert done.returncode == 0, done.stderr
        assert os.listdir(self.output.parent) == [self.output.name] or sorted(
            os.listdir(self.output.parent)
        ) == [self.output.name, f"{self.output.name}.manifest.json"]
        return self.output

    def leftovers(self):
        return [name for name in os.listdir(self.output.parent) if name.startswith(".")]


@pytest.fixture
def space(tmp_path):
    return Space(tmp_path)


def digest_of(path, start=0, length=-1):
    with path.open("rb") as stream:
        stream.seek(start)
        return hashlib.sha256(stream.read(length)).hexdigest()


def check_file_systems(image):
    """All file systems are clean by their own tools."""
    run("sfdisk", "--verify", "-q", str(image))
    for part in read_disk(image).partitions:
        if part.filesystem.kind.startswith("ext"):
            run("e2fsck", "-fn", f"{image}?offset={part.start_bytes}")
        elif part.filesystem.kind.startswith("fat"):
            fat = image.with_name("fat")
            fat.write_bytes(os.pread(os.open(image, os.O_RDONLY), part.size_bytes, part.start_bytes))
            run("fsck.vfat", "-n", str(fat))
            fat.unlink()


def data_of(image):
    """Return the files of the data partition by path."""
    part = read_disk(image).partitions[2]
    with mounted(image, part.start_bytes) as root:
        return {path: one for path, one in read_files(root).items() if path != "lost+found"}


def on_boot(image, name):
    return run("mtype", "-i", f"{image}@@{BOOT_START}", f"::{name}")


@pytest.mark.parametrize("partitions", [2, 3])
def test_a_configuration_becomes_an_image(space, bases, partitions):
    """Files, an archive, the runtime configuration: all of it is there, and nothing else has changed."""
    base = bases[partitions]
    archive = space.folder / "web.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in {"index.html": "<h1>", "js/app.js": "run()"}.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(text), EPOCH_S
            tar.addfile(member, io.BytesIO(text.encode()))
    with serving(**{"big.bin": os.urandom(3 * MIB)}) as server:
        image = space.made(f"""
base: {base}
output: {{size: 256MiB}}
files:
- url: {server.url}/big.bin
  to: /data/zims/big.bin
- to: /data/conf/message.txt
  content: |
    hello   $(world) "ü"

- url: file://{archive}
  to: /data/web
  via: gztar
- to: /data/conf/raw
  content: {base64.b64encode(bytes(range(256))).decode()}
  via: base64
write_config: true
offspot:
  timezone: Africa/Bamako
  ap: {{ssid: "Café", as-gateway: true, channel: 11}}
""")
        big = server.files["/big.bin"]

    check_file_systems(image)
    assert image.stat().st_size == 256 * MIB
    files = data_of(image)
    assert files["zims/big.bin"][-1] == big
    assert files["conf/message.txt"][-1] == b'hello   $(world) "\xc3\xbc"\n'
    assert files["web/js/app.js"][-1] == b"run()"
    assert files["conf/raw"][-1] == bytes(range(256))
    assert files["image.yaml"][-1].decode() == space.config.read_text()
    assert ("master_fs" in files) == (partitions == 3)
    assert set(files) - {"master_fs"} == {
        *("zims", "zims/big.bin", "conf", "conf/message.txt", "conf/raw", "image.yaml"),
        *("web", "web/index.html", "web/js", "web/js/app.js"),
    }
    import yaml

    assert yaml.safe_load(on_boot(image, "offspot.yaml")) == {
        "timezone": "Africa/Bamako",
        "ap": {"ssid": "Café", "as-gateway": True, "channel": 11},
    }
    assert on_boot(image, "config.txt") == "arm_64bit=0\n"
    size = DATA_START - ROOT_START
    assert digest_of(image, ROOT_START, size) == digest_of(base, ROOT_START, size)
    facts = read_disk(image).partitions[2]
    assert facts.start_bytes + facts.size_bytes == 256 * MIB


def test_the_same_inputs_give_the_same_bytes(space, bases):
    """Whenever it is made."""
    config = f"base: {bases[2]}\nfiles: [{{to: /data/a, content: x}}]\ninjections: {{hostname: one}}\n"
    first = digest_of(space.made(config))

    second = digest_of(space.made(config, "-X"))

    assert first == second


@pytest.mark.parametrize("partitions", [2, 3])
def test_a_data_partition_is_mounted_by_the_machine(space, bases, partitions):
    """By its id in the table, though nothing is put there; the folder is made."""
    image = space.made(f"base: {bases[partitions]}\ndata: {{mount: true, label: store}}\n")

    check_file_systems(image)
    with mounted(image, ROOT_START) as root:
        files = read_files(root)
    assert files["etc/fstab"][-1].decode().splitlines() == [
        "proc /proc proc defaults 0 0",
        "PARTUUID=5ca1ab1e-03 /data ext4 defaults,noatime,nofail 0 2",
    ]
    assert "data" in files
    assert read_disk(image).partitions[2].filesystem.label == ("store" if partitions == 2 else "data")


def test_nothing_asked_is_the_base_itself(space, bases):
    """Byte for byte."""
    assert digest_of(space.made(f"base: {bases[3]}\n")) == digest_of(bases[3])


def packed(path, kind):
    data = path.read_bytes()
    if kind == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("base.img", data)
        return buffer.getvalue()
    if kind == "zst":
        return subprocess.run(["zstd", "-qc", str(path)], capture_output=True, check=True).stdout
    return {"xz": lzma.compress, "gz": gzip.compress, "bz2": bz2.compress}[kind](data)


@pytest.mark.parametrize("kind", ["xz", "zst", "gz", "zip"])
def test_a_packed_base_is_unpacked_on_the_way(space, bases, kind):
    """Its unpacked size counts, not that of the download."""
    with serving(**{f"base.img.{kind}": packed(bases[2], kind)}) as server:
        image = space.made(f"base: {server.url}/base.img.{kind}\nfiles: [{{to: /data/a, content: x}}]\n")

    assert digest_of(image, ROOT_START, DATA_START - ROOT_START) == digest_of(
        bases[2], ROOT_START, DATA_START - ROOT_START
    )
    assert data_of(image)["a"][-1] == b"x"


def unpacked(path, ending):
    if ending == ".zip":
        with zipfile.ZipFile(path) as archive:
            assert archive.namelist() == ["card.img"]
            return archive.read("card.img")
    program = {".img.zst": "zstd", ".img.xz": "xz", ".img.gz": "gzip"}[ending]
    with path.open("rb") as stream:
        return subprocess.run([program, "-dc"], stdin=stream, capture_output=True, check=True).stdout


@pytest.mark.parametrize("ending", [".img.zst", ".img.xz", ".img.gz", ".zip"])
def test_the_name_of_the_output_says_how_it_is_packed(space, bases, ending):
    """The packed one unpacks to the raw one, and has its checksum beside it."""
    config = f"base: {bases[2]}\nfiles: [{{to: /data/a, content: x}}]\n"
    raw = digest_of(space.made(config))
    space.output = space.output.with_name(f"card{ending}")

    done = space.create(config)

    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(unpacked(space.output, ending)).hexdigest() == raw
    noted = (space.output.parent / f"{space.output.name}.sha256").read_text().split()
    assert noted == [digest_of(space.output), space.output.name]


# what was there before, and what is left


@pytest.mark.parametrize(
    ("config", "code", "words"),
    [
        ("base: {base}\nfiles: [{{to: /etc/a, content: x}}]\n", 2, "/data"),
        ("base: {base}\noutput: {{size: 1MiB}}\nfiles: [{{to: /data/a, content: x}}]\n", 2, "MiB"),
        ("base: {url}/gone.img\n", 4, "404"),
        ("base: {base}\nfiles: [{{to: /data/a, url: '{url}/gone'}}]\n", 4, "404"),
        (
            "base: {base}\nfiles: [{{to: /data/a, url: '{url}/a', checksum: {{algo: md5, value: '{zeros}'}}}}]\n",
            4,
            "checksum",
        ),
        ("base: {base}\nfiles: [{{to: /data/a, url: '{url}/a', via: tar}}]\n", 4, "tar"),
    ],
    ids=["config", "too-small", "no-base", "no-file", "checksum", "archive"],
)
def test_whatever_fails_leaves_the_old_output_and_nothing_else(space, bases, config, code, words):
    """Also with -X; the foreign file in the build folder stays too."""
    space.output.write_text("precious")
    build = space.folder / "build"
    build.mkdir()
    (build / "mine").write_text("mine")
    with serving(a=b"not what it was") as server:
        text = config.format(base=bases[2], url=server.url, zeros="0" * 32)
        done = space.create(text, "-X", "--build-dir", str(build))

    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert space.output.read_text() == "precious"
    assert os.listdir(space.output.parent) == ["card.img"]
    assert os.listdir(build) == ["mine"]


@pytest.mark.parametrize("via", ["direct", "tar"])
def test_a_checksum_holds_for_archives_and_for_what_is_cached(space, bases, via):
    """Nothing of a wrong one is kept, and what is kept is checked against another checksum too."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("x"), io.BytesIO())
    right, wrong = hashlib.sha512(body.getvalue()).hexdigest(), "0" * 128
    with serving(a=body.getvalue()) as server:

        def config(value):
            checksum = f"checksum: {{algo: sha-512, value: '{value}'}}"
            return (
                f"base: {bases[2]}\nfiles: [{{to: /data/a, url: '{server.url}/a', via: {via}, {checksum}}}]\n"
            )

        codes = [space.create(config(value), "-X").returncode for value in (wrong, right, wrong)]

    assert codes == [4, 0, 4]


@pytest.mark.parametrize("word", ["source", "file"])
def test_a_checksum_holds_for_a_base_of_this_host(space, bases, word):
    """Whatever word names it, packed or not."""
    value = digest_of(bases[2])
    config = "base: {{{word}: '{base}', checksum: {{algo: sha256, value: '{value}'}}}}\n"

    codes = [
        space.create(config.format(word=word, base=bases[2], value=one), "-X").returncode
        for one in ("0" * 64, value)
    ]

    assert codes == [4, 0]


@pytest.mark.parametrize(
    ("config", "code", "words"),
    [
        ("base: ./none.img\n", 4, "there is no base"),
        (
            "base: {base}\ninjections: {{users: [{{name: ann, password: {{env: NOBODY_SET_IT}}}}]}}\n",
            2,
            "NOBODY_SET_IT",
        ),
    ],
    ids=["base", "secret"],
)
def test_what_cannot_be_is_told_by_a_check(space, bases, config, code, words):
    """Before an hour of downloads."""
    done = space.create(config.format(base=bases[2]), "--check")

    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_for_the_data_partition_alone_makes_one(space, bases):
    """An injection too."""
    image = space.made(
        f"base: {bases[2]}\ninjections: {{files: [{{partition: data, to: /x, content: hi}}]}}\n"
    )

    assert data_of(image)["x"][-1] == b"hi"


def test_an_output_that_is_there_is_refused_before_anything(space, bases):
    """Without -X; and the base is never replaced."""
    space.output.write_text("precious")
    with serving() as server:
        done = space.create(f"base: {server.url}/base.img\n")
        assert server.asked == []
    assert (done.returncode, space.output.read_text()) == (2, "precious")

    own = space.folder / "out" / "base.img"
    own.write_bytes(bases[2].read_bytes())
    space.output = own
    done = space.create(f"base: {own}\n", "-X")
    assert (done.returncode, digest_of(own)) == (2, digest_of(bases[2]))


def test_a_check_makes_nothing(space, bases):
    """It asks for sizes alone, and says what would come."""
    space.output.write_text("precious")
    with serving(a=b"x" * 1000) as server:
        done = space.create(
            f"base: {bases[2]}\nfiles: [{{to: /data/a, url: '{server.url}/a'}}]\n", "-C", "-X"
        )

        assert [one for one in server.asked if one[0] == "GET" and one[2] != "bytes=0-0"] == []
    assert done.returncode == 0, done.stderr
    assert space.output.read_text() == "precious"
    assert os.listdir(space.output.parent) == ["card.img"]


def test_a_size_that_cannot_hold_it_is_refused_before_any_download(space, bases):
    """Both figures are reported."""
    with serving(a=b"x" * 200 * MIB) as server:
        done = space.create(
            f"base: {bases[2]}\noutput: {{size: 150MiB}}\nfiles: [{{to: /data/a, url: '{server.url}/a'}}]\n"
        )

        assert set(server.ranges()) <= {"bytes=0-0"}
    assert done.returncode == 2
    assert "150 MiB" in done.stderr
    assert "201 MiB" in done.stderr


def test_a_larger_image_than_allowed_is_refused(space, bases):
    """--max-size."""
    done = space.create(f"base: {bases[2]}\noutput: {{size: 4GiB}}\n", "--max-size", "2GiB")

    assert done.returncode == 2
    assert "2 GiB" in done.stderr


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(space, bases, sent):
    """In the middle of a download: 130, and what came is gone on with."""
    body = os.urandom(4 * MIB)
    space.output.write_text("precious")
    with serving(a=body) as server:
        server.gate, server.slow_at = threading.Event(), MIB
        space.config.write_text(f"base: {bases[2]}\nfiles: [{{to: /data/a, url: '{server.url}/a'}}]\n")
        process = subprocess.Popen(
            space.argv("-X"), env=space.environ, cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        assert server.reached.wait(30)
        time.sleep(0.2)
        process.send_signal(sent)
        said = process.communicate(timeout=30)[1]
        server.gate.set()
        server.slow_at = 0

        assert process.returncode == 130, said
        assert space.output.read_text() == "precious"
        assert space.leftovers() == []
        image = space.made(space.config.read_text(), "-X")
        assert "bytes=" in server.ranges()[-1]
    assert data_of(image)["a"][-1] == body


def test_a_kill_at_any_moment_is_mended_by_the_next_one(space, bases):
    """Neither OUTPUT nor the cache is ever half; what was left is swept."""
    config = f"base: {bases[3]}\nfiles: [{{to: /data/a, url: 'URL/a'}}, {{to: /data/b, content: x}}]\n"
    body = os.urandom(2 * MIB)
    moments = random.Random(7)
    with serving(a=body) as server:
        text = config.replace("URL", server.url)
        began_s = time.monotonic()
        whole = digest_of(space.made(text))
        took_s = time.monotonic() - began_s
        for _ in range(6):
            process = subprocess.Popen(
                space.argv("-X"),
                env=space.environ,
                cwd=ROOT,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            time.sleep(moments.uniform(0.1, took_s))
            process.kill()
            process.wait()
            assert digest_of(space.output) == whole

        assert digest_of(space.made(text, "-X")) == whole
    assert space.leftovers() == []


def test_it_works_without_the_server_when_all_is_there(space, bases):
    """From the cache; --check too."""
    with serving(a=b"x" * 1000) as server:
        text = f"base: {bases[2]}\nfiles: [{{to: /data/a, url: '{server.url}/a'}}]\n"
        first = digest_of(space.made(text))

    assert digest_of(space.made(text, "-X")) == first


@pytest.mark.parametrize("at_once", [1, 4])
def test_downloads_come_as_many_at_a_time_as_asked(space, bases, at_once):
    """-T as it is seen at the server."""
    with serving(**{f"f{number}": os.urandom(100_000) for number in range(6)}) as server:
        server.gate, server.slow_at = threading.Event(), 50_000

        def open_soon():
            server.reached.wait(60)
            time.sleep(1.5)
            server.gate.set()

        threading.Thread(target=open_soon).start()
        files = "".join(f"- {{to: /data/f{n}, url: '{server.url}/f{n}'}}\n" for n in range(6))
        space.made(f"base: {bases[2]}\nfiles:\n{files}", "-T", str(at_once))

        assert server.most_at_once == at_once


def test_what_a_machine_has_of_its_own_is_injected(space, bases, monkeypatch):
    """Into the file systems of the base, which stay clean."""
    monkeypatch.setenv("ANN", "correct horse")
    image = space.made(f"""
base: {bases[2]}
injections:
  hostname: kiosk-7
  country: FR
  wifi: {{ssid: "It's \\"$(x)\\"\\nü", password: "a 'b' $HOME"}}
  users:
  - {{name: ann, password: {{env: ANN}}, groups: [sudo], ssh_keys: ["{key()}"]}}
  ssh_keys: {{pi: "{key()}"}}
  files:
  - {{partition: boot, to: /ssh, content: ""}}
  - {{partition: root, to: /etc/motd, content: "hi\\n", mode: "0600", owner: "1000:1000"}}
  raw: {{offset: 8KiB, content: "dS1ib290"}}
""")

    check_file_systems(image)
    with mounted(image, ROOT_START) as root:
        files = read_files(root)
    assert files["etc/hostname"][-1] == b"kiosk-7\n"
    assert b"127.0.1.1\tkiosk-7" in files["etc/hosts"][-1]
    assert b"# kept" in files["etc/hosts"][-1]
    assert files["etc/motd"][1:4] == (0o600, 1000, 1000)
    assert b"ann:x:1001:" in files["etc/passwd"][-1]
    assert b"correct horse" not in files["etc/shadow"][-1]
    assert files["etc/shadow"][1] == 0o640
    assert key().encode() in files["home/pi/.ssh/authorized_keys"][-1]
    assert key().encode() in files["home/ann/.ssh/authorized_keys"][-1]
    connections = [path for path in files if "system-connections/" in path and not path.endswith(".keep")]
    assert len(connections) == 1
    assert files[connections[0]][1] == 0o600
    assert b"a 'b'" not in files[connections[0]][-1]
    assert on_boot(image, "ssh") == ""
    with image.open("rb") as stream:
        assert os.pread(stream.fileno(), 7, 8192) == b"u-boot\0"


def key():
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes(range(32))
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} ann@host"


@pytest.mark.parametrize("is_fat_alone", [True, False])
def test_a_ready_image_is_injected_in_place(space, bases, is_fat_alone):
    """`image inject`: the image is the same but for what was asked."""
    image = space.made(f"base: {bases[2]}\nfiles: [{{to: /data/a, content: x}}]\n")
    before = digest_of(image, ROOT_START, DATA_START - ROOT_START)
    hostname = "" if is_fat_alone else "  hostname: other\n"
    config = space.folder / "one.yaml"
    config.write_text(f"injections:\n{hostname}  files: [{{partition: boot, to: /id.txt, content: '42'}}]\n")

    done = subprocess.run(
        [*STALKER, "image", "inject", str(image), str(config)],
        capture_output=True,
        text=True,
        check=False,
        env=space.environ,
    )

    assert done.returncode == 0, done.stderr
    check_file_systems(image)
    assert on_boot(image, "id.txt") == "42"
    assert (digest_of(image, ROOT_START, DATA_START - ROOT_START) == before) == is_fat_alone
    assert data_of(image)["a"][-1] == b"x"
    assert space.leftovers() == []


def test_a_root_file_system_that_was_not_unmounted_is_repaired_before_an_injection(space, bases):
    """In a copy, by the toolbox: the image is replaced once all is done, and it is said."""
    image = space.made(f"base: {bases[2]}\nfiles: [{{to: /data/a, content: x}}]\n")
    device = f"{image}?offset={ROOT_START}"
    subprocess.run(
        ["debugfs", "-w", "-R", "ssv state 0", device], check=True, capture_output=True, env=ENVIRON
    )
    config = space.folder / "one.yaml"
    config.write_text("injections: {hostname: other}\n")

    done = subprocess.run(
        [*STALKER, "image", "inject", str(image), str(config)],
        capture_output=True,
        text=True,
        check=False,
        env=space.environ,
    )

    assert done.returncode == 0, done.stderr
    assert "it is repaired in a copy" in done.stderr + done.stdout
    check_file_systems(image)
    name = subprocess.run(
        ["debugfs", "-R", "cat /etc/hostname", device], check=True, capture_output=True, env=ENVIRON
    )
    assert name.stdout == b"other\n"
    assert space.leftovers() == []


def test_the_manifest_says_what_it_was_made_of(space, bases):
    """And `image verify` holds the image against it."""
    image = space.made(f"base: {bases[2]}\nfiles: [{{to: /data/a, content: x}}]\n")

    manifest = json.loads((image.parent / "card.img.manifest.json").read_text())
    done = subprocess.run(
        [*STALKER, "image", "verify", str(image)],
        capture_output=True,
        text=True,
        check=False,
        env=space.environ,
    )

    assert [one["name"] for one in manifest["disk"]["partitions"]] == ["boot", "root", "data"]
    assert done.returncode == 0, done.stdout
    with image.open("r+b") as stream:
        stream.seek(446 + 16 + 9)
        stream.write(b"\0")
    assert (
        subprocess.run([*STALKER, "image", "verify", str(image)], check=False, env=space.environ).returncode
        == 1
    )


assert ENVIRON  # the tools of file systems are in a folder that not every user has on his path
