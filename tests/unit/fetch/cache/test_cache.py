import fcntl
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stalker.errors import FilesError, InputError, Interrupted, NotGenuine, NotReached
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.entry import Validators
from stalker.fetch.cache.policy_file import parse_policy
from stalker.fetch.cache.request import Request
from stalker.fetch.http.patience import Patience
from stalker.fetch.http.stop import Stop
from stalker.fetch.urls import old_path
from stalker.io.hashing import Checksum
from unit.helpers.server import serving

BODY = random.Random(7).randbytes(
    1_000_000
)  # its digests are in the names of tests, the same in each process
DIGEST = hashlib.sha256(BODY).hexdigest()
DAY = 86400.0


class Clock:
    def __init__(self):
        self.now_s = 1_800_000_000.0

    def __call__(self):
        return self.now_s


class Box:
    """A cache in a folder, its clock, and what it said."""

    def __init__(self, folder, policy=""):
        self.said = []
        self.clock = Clock()
        self.folder = folder
        read = parse_policy(policy, "policy.yaml") if policy else None
        self.cache = Cache(
            folder,
            policy=read,
            say=self.said.append,
            patience=Patience(2, 5.0, lambda _: None),
            clock=self.clock,
        )
        self.index = self.cache.keeper.index

    def get(self, source, **more):
        with self.cache.get(Request(source, **more)) as file:
            data = file.path.read_bytes()
            assert hashlib.sha256(data).hexdigest() == file.sha256
            assert len(data) == file.size_bytes
            return data

    def entry(self, source, kind="file"):
        return self.index.get((kind, source))

    def content(self, data=BODY):
        return self.cache.store.content_path(hashlib.sha256(data).hexdigest())

    def damage(self, data=BODY):
        self.content(data).chmod(0o644)
        self.content(data).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    def files(self):
        """All files but locks."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        names = sorted(str(path.relative_to(self.folder)) for path in found)
        return [name for name in names if not name.startswith("locks/")]


@pytest.fixture
def box(tmp_path):
    box = Box(tmp_path / "cache")
    yield box
    box.cache.close()


@pytest.fixture
def served():
    with serving(file=BODY) as served:
        yield served


def test_a_download_is_kept_under_its_digest(box, served):
    """Content by its digest, a note of its source, and nothing else is left."""
    url = f"{served.url}/file"

    assert box.get(url) == BODY
    entry = box.entry(url)
    assert (entry.sha256, entry.size_bytes, entry.used_count) == (DIGEST, len(BODY), 1)
    assert box.files()[0] == f"content/{DIGEST[:2]}/{DIGEST}"
    assert [name.partition("/")[0] for name in box.files()] == ["content", "sources"]


def test_nothing_is_made_before_something_is_asked_for(box):
    """A plan that looks whether something is cached touches nothing."""
    assert not box.cache.keeper.has("http://x/y")
    assert not box.folder.exists()


# freshness


def test_what_has_its_digest_needs_no_server(box, served):
    """A known SHA-256 is as fresh as can be, whatever URL it came from."""
    box.get(f"{served.url}/file")

    assert box.get(f"{served.url}/other", sha256=DIGEST.upper()) == BODY
    assert box.get("http://127.0.0.1:1/gone", sha256=DIGEST) == BODY
    assert served.gets() == 1


@pytest.mark.parametrize(
    ("etag", "headers"),
    [
        ('"v1"', {}),
        ('W/"v1"', {}),
        ("", {"Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT"}),
    ],
)
@pytest.mark.parametrize("knows_conditions", [True, False])
def test_what_the_server_has_not_changed_is_not_fetched_again(box, served, etag, headers, knows_conditions):
    """One question, and no body; a server that ignores the question is not listened to further."""
    served.etag, served.headers, served.knows_conditions = etag, headers, knows_conditions
    url = f"{served.url}/file"
    box.get(url)
    inode = box.content().stat().st_ino

    box.clock.now_s += 60
    assert box.get(url) == BODY
    assert served.gets() == 2
    assert box.content().stat().st_ino == inode
    assert box.entry(url).checked_s == box.clock.now_s


def test_a_digest_in_the_header_tells_versions_apart(box, served):
    """A mirror's redirect states the SHA-256: it decides, though ETags differ between servers."""
    import base64

    url = f"{served.url}/moved"
    served.redirects["/moved"] = "/file"
    served.knows_conditions = False
    served.headers = {"Digest": "SHA-256=" + base64.b64encode(bytes.fromhex(DIGEST)).decode()}
    box.get(url)
    served.etag = '"of another mirror"'
    inode = box.content().stat().st_ino
    box.clock.now_s += 60
    box.get(url)

    assert box.content().stat().st_ino == inode


def test_a_body_that_is_not_what_its_own_digest_header_says_is_refused(box, served):
    """The server itself states what it should have sent."""
    import base64

    served.headers = {"Repr-Digest": "sha-256=:" + base64.b64encode(bytes(32)).decode() + ":"}

    with pytest.raises(NotGenuine, match="than its server says"):
        box.get(f"{served.url}/file")
    assert box.files() == []


def test_a_changed_etag_is_a_new_download(box, served):
    """The new content takes the place of the old one, which leaves."""
    url, new = f"{served.url}/file", BODY[::-1]
    box.get(url)
    served.files["/file"], served.etag = new, '"v2"'
    box.clock.now_s += 60

    assert box.get(url) == new
    assert not box.content().exists()
    assert len(box.files()) == 2


def test_without_any_mark_of_a_version_it_is_fetched_each_time(box, served):
    """Nothing says that it is still the same."""
    served.etag = ""
    url = f"{served.url}/file"
    box.get(url)
    box.clock.now_s += 60
    served.files["/file"] = BODY[::-1]

    assert box.get(url) == BODY[::-1]


@pytest.mark.parametrize(
    ("policy", "days", "requests"),
    [
        ("check_after: 7d\n", 6.9, 1),
        ("check_after: 7d\n", 7.1, 2),
        ("check_after: 1d\nfiles: {check_after: 30d}\n", 20, 1),
        ("check_after: 30d\nfiles: {check_after: 7d, filters: [{pattern: /file, check_after: 1d}]}\n", 2, 2),
        ("check_after: 1d\nfiles: {check_after: 7d, filters: [{pattern: /file, check_after: 30d}]}\n", 20, 1),
        ("check_after: 30d\nfiles: {check_after: 0}\n", 1, 2),
    ],
)
def test_within_check_after_nobody_is_asked(tmp_path, served, policy, days, requests):
    """Filter over section over main, for what is in the cache and in use alike."""
    box = Box(tmp_path / "cache", policy)
    box.get(f"{served.url}/file")
    box.clock.now_s += days * DAY
    box.get(f"{served.url}/file")

    assert len(served.asked) == requests


def test_a_check_counts_from_when_it_was_made(tmp_path, served):
    """Each check begins the time again."""
    box = Box(tmp_path / "cache", "check_after: 2d\n")
    for _ in range(4):
        box.get(f"{served.url}/file")
        box.clock.now_s += 1.5 * DAY

    assert len(served.asked) == 2


@pytest.mark.parametrize("trouble", ["gone", "503", "404"])
def test_without_a_server_what_is_there_is_used(box, trouble):
    """Offline runs go on, and say so."""
    with serving(file=BODY) as served:
        url = f"{served.url}/file"
        box.get(url)
        box.clock.now_s += 60
        if trouble != "gone":
            served.tricks.extend([trouble] * 9)
            assert box.get(url) == BODY
            assert served.gets() == 2
        box.cache.close()
    if trouble == "gone":
        assert box.get(url) == BODY
    assert any("the copy in the cache is used" in line for line in box.said)


# damage


def test_a_damaged_entry_is_noticed_and_fetched_anew(box, served):
    """Content of a hit was never verified in the first tool."""
    box.get(f"{served.url}/file")
    box.damage()

    assert box.get(f"{served.url}/file", sha256=DIGEST) == BODY
    assert any("damaged" in line for line in box.said)
    assert box.content().read_bytes() == BODY


@pytest.mark.parametrize("how", ["cut", "gone", "folder"])
def test_content_that_is_cut_or_gone_is_fetched_anew(box, served, how):
    """Whatever became of the file."""
    box.get(f"{served.url}/file")
    if how == "cut":
        os.truncate(box.content(), 10)
    else:
        box.content().unlink()
    if how == "folder":
        box.content().parent.rmdir()

    assert box.get(f"{served.url}/file") == BODY


def test_a_damaged_entry_is_never_used_offline(box):
    """No server and bad content: an error, not bad content."""
    with serving(file=BODY) as served:
        url = f"{served.url}/file"
        box.get(url)
        box.cache.close()
    box.damage()

    with pytest.raises(NotReached):
        box.get(url)


# checksums


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [
        ("md5", hashlib.md5(BODY).hexdigest()),
        ("SHA-1", hashlib.sha1(BODY).hexdigest()),
        ("sha-512", hashlib.sha512(BODY).hexdigest().upper()),
        ("adler32", f"{__import__('zlib').adler32(BODY):08x}"),
    ],
)
def test_any_kind_of_checksum_is_held_against_download_and_hit(box, served, algorithm, value):
    """The first tool ignored checksums of hits."""
    url = f"{served.url}/file"
    good = Checksum.of(algorithm, value)
    bad = Checksum(good.algorithm, "0" * len(good.value))

    assert box.get(url, checksum=good) == box.get(url, checksum=good) == BODY
    with pytest.raises(NotGenuine) as caught:
        box.get(url, checksum=bad)
    assert bad.value in caught.value.details
    assert good.value in caught.value.details
    assert box.get(url) == BODY


@pytest.mark.parametrize(("algorithm", "value"), [("crc", "00"), ("md5", "00"), ("md5", "g" * 32)])
def test_what_can_be_no_checksum_is_said(algorithm, value):
    with pytest.raises(InputError):
        Checksum.of(algorithm, value)


def test_a_wrong_digest_leaves_nothing(box, served):
    """Both digests are reported, nothing is kept."""
    with pytest.raises(NotGenuine) as caught:
        box.get(f"{served.url}/file", sha256="0" * 64)

    assert caught.value.details == f"expected {'0' * 64}\nfound    {DIGEST}"
    assert box.files() == []
    assert box.index.entries() == []


# policy


@pytest.mark.parametrize(
    "policy",
    [
        "enabled: false\n",
        "files: {enabled: false}\n",
        "files: {filters: [{pattern: /FILE, ignore: true}]}\n",
        "max_size: 1kB\n",
    ],
)
def test_what_the_policy_does_not_keep_is_fetched_and_gone(tmp_path, served, policy):
    """There while it is used; nothing is cached."""
    box = Box(tmp_path / "cache", policy)

    with box.cache.get(Request(f"{served.url}/file", sha256=DIGEST)) as file:
        assert file.path.read_bytes() == BODY
        assert not file.is_cached
    assert box.files() == []
    assert box.index.entries() == []


def sources(box):
    return [entry.source[-1] for entry in box.index.entries()]


def test_a_new_download_makes_room_by_the_policy(tmp_path):
    """The least recently used one goes."""
    with serving(a=b"a", b=b"b", c=b"c") as served:
        box = Box(tmp_path / "cache", "max_num: 2\n")
        for name in "abac":
            box.clock.now_s += 1
            box.get(f"{served.url}/{name}", use="any")

    assert sources(box) == ["a", "c"]
    assert not box.content(b"b").exists()


def test_what_is_being_read_does_not_go(tmp_path):
    """It goes once nobody reads it."""
    from stalker.fetch.cache.maintenance import prune

    with serving(a=b"a", b=b"b", c=b"c") as served:
        box = Box(tmp_path / "cache", "max_num: 2\n")
        with box.cache.get(Request(f"{served.url}/a")) as held:
            for name in "bc":
                box.clock.now_s += 1
                box.get(f"{served.url}/{name}")
            stayed = prune(box.cache.keeper)

            assert held.path.read_bytes() == b"a"
        assert sources(box) == ["a", "b", "c"]
        assert [one.entry.source[-1] for one in stayed.in_use] == ["a"]
        prune(box.cache.keeper)
        assert sources(box) == ["b", "c"]


def test_what_is_too_old_is_fetched_anew(tmp_path, served):
    """max_age counts from when it was added, though the server has nothing newer."""
    box = Box(tmp_path / "cache", "max_age: 1d\n")
    box.get(f"{served.url}/file")
    box.clock.now_s += 2 * DAY

    box.get(f"{served.url}/file")
    assert served.gets() == 2
    assert box.entry(f"{served.url}/file").added_s == box.clock.now_s


def test_a_broken_policy_file_is_told_before_anything_is_fetched(box, served):
    """With its place."""
    box.folder.mkdir()
    (box.folder / "policy.yaml").write_text("max_num: x\n")

    with pytest.raises(FilesError, match="1 problem"):
        box.get(f"{served.url}/file")
    assert served.asked == []


# entries


@pytest.mark.parametrize("how", ["rubbish", "empty", "gone", "cut", "other name"])
def test_an_entry_that_cannot_be_read_is_none(box, served, how):
    """Its content is found again by its digest, and only the source is asked again."""
    from stalker.fetch.cache.maintenance import verify

    url = f"{served.url}/file"
    box.get(url)
    (path,) = (box.folder / "sources").iterdir()
    match how:
        case "gone":
            path.unlink()
        case "other name":
            path.rename(path.with_name(f"{'0' * 64}.json"))
        case _:
            path.write_bytes({"rubbish": os.urandom(99), "empty": b"", "cut": path.read_bytes()[:-9]}[how])

    assert box.entry(url) is None
    assert [one.state for one in verify(box.cache.keeper)] == ["found", "ok"]
    assert box.get("http://127.0.0.1:1/x", sha256=DIGEST) == BODY
    assert box.get(url) == BODY
    assert box.entry(url).validators.etag == '"v1"'


def test_an_entry_of_an_earlier_version_is_read(box, served):
    """It had neither a count nor the times of the last check and use: nothing is fetched again."""
    url = f"{served.url}/file"
    box.get(url)
    (path,) = (box.folder / "sources").iterdir()
    known = json.loads(path.read_text())
    for key in ("checked_s", "used_s", "used_count"):
        del known[key]
    path.write_text(json.dumps(known))

    assert box.entry(url).used_s == known["added_s"]
    assert box.get(url, use="any") == BODY
    assert (box.entry(url).used_count, served.gets()) == (1, 1)


def test_content_whose_source_nobody_knows_is_found_by_its_digest(box, served):
    """All that is left after a crash is a file under its digest."""
    box.content().parent.mkdir(parents=True)
    box.content().write_bytes(BODY)
    (box.folder / "sources").mkdir()

    assert box.get("http://127.0.0.1:1/x", sha256=DIGEST) == BODY


def test_content_that_a_crash_left_is_taken_by_its_digest(box, served):
    """Killed between the content and its entry: nothing is fetched again, and it has an entry now."""
    box.get(f"{served.url}/file")
    with box.index.changing() as change:
        change.remove(("file", f"{served.url}/file"))

    assert box.get("http://127.0.0.1:1/file", sha256=DIGEST) == BODY
    assert box.entry("http://127.0.0.1:1/file").sha256 == DIGEST


def test_nobody_else_reads_urls(box, served):
    """They may hold credentials."""
    served.tricks.extend(["cut 1000", *["503"] * 9])
    with pytest.raises(NotReached):
        box.get(f"{served.url}/file")
    kept = [path.parent for path in box.folder.rglob("*.json")]
    served.tricks.clear()
    box.get(f"{served.url}/file")

    private = [*kept, *(box.folder / "sources").iterdir()]
    assert [path.stat().st_mode & 0o077 for path in private] == [0] * 2


def test_foreign_files_are_left_alone(box, served):
    """Whatever somebody put into the folder."""
    from stalker.fetch.cache.maintenance import prune, verify

    box.get(f"{served.url}/file")
    foreign = [
        box.folder / "mine.txt",
        box.folder / "content/notes",
        box.folder / "content/ab/short",
        box.folder / "parts/mine.part",
        box.folder / "sources/mine.json",
        box.folder / "images/x",
    ]
    for path in foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        os.utime(path, (1, 1))
    list(verify(box.cache.keeper))
    prune(Box(box.folder, "max_num: 1\nfiles: {enabled: false}\n").cache.keeper)

    assert [path.read_text() for path in foreign] == ["mine"] * len(foreign)
    assert box.index.entries() == []


# earlier downloads


def test_a_download_of_before_the_index_is_taken_over(box):
    """It moves to its place; no server is asked."""
    url = "http://127.0.0.1:1/stage3.tar"
    old = old_path(box.folder, url)
    old.parent.mkdir(parents=True)
    old.write_bytes(BODY)

    assert box.cache.keeper.has(url)
    assert box.get(url, use="any") == BODY
    assert not old.exists()
    assert box.entry(url).sha256 == DIGEST


def test_a_damaged_download_of_before_the_index_is_not_used_and_not_removed(box, served):
    """It may be all that somebody has."""
    url = f"{served.url}/file"
    old = old_path(box.folder, url)
    old.parent.mkdir(parents=True)
    old.write_bytes(b"something else")

    assert box.get(url, sha256=DIGEST) == BODY
    assert old.read_bytes() == b"something else"


# addresses


def test_urls_that_look_alike_do_not_collide(tmp_path):
    """`/a` and `/a/b`, queries, and names that a file system would fold."""
    paths = ["/a", "/a/b", "/a/b?x=1", "/A", "/a/../b", "/b", "/" + "n" * 300]
    with serving() as served:
        served.files = {path: path.encode() for path in paths}
        box = Box(tmp_path / "cache")
        for _ in range(2):
            got = {path: box.get(served.url + path, use="any") for path in paths if ".." not in path}
            assert got == {path: path.encode() for path in paths if ".." not in path}


def test_a_url_is_no_path_of_this_host(box, tmp_path):
    """The first tool resolved links of the host in the path of a URL, so that two URLs were one."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with serving() as served:
        served.files = {f"{tmp_path}/real/x": b"real", f"{tmp_path}/link/x": b"link"}
        got = [box.get(f"{served.url}{tmp_path}/{name}/x", use="any") for name in ("real", "link")]

    assert got == [b"real", b"link"]


def test_the_version_is_that_of_the_answer_which_brought_the_content(box, served):
    """The first tool asked once more after the download, and noted a newer version for the older content."""
    served.gate, served.slow_at = threading.Event(), 500_000

    def change():
        served.reached.wait(10)
        served.etag = '"v2"'
        served.gate.set()

    thread = threading.Thread(target=change)
    thread.start()
    box.get(f"{served.url}/file")
    thread.join()

    assert box.entry(f"{served.url}/file").validators.etag == '"v1"'
    assert served.gets() == 1


def test_looking_loads_neither_yaml_nor_http(tmp_path):
    """A run that downloads nothing does not pay for it."""
    script = (
        "import sys\nfrom pathlib import Path\nimport stalker.fetch.base.provider\nfrom stalker.fetch.cache.cache import Cache\n"
        "Cache(Path(sys.argv[1])).keeper.has('http://x')\n"
        "print({'yaml', 'httpx'} & set(sys.modules))"
    )
    out = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "none")],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4] / "lib")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert out.stdout == "set()\n"


def test_a_file_of_this_host_is_used_where_it_stands(box, tmp_path):
    """`file://` and paths are verified and not copied."""
    (tmp_path / "a b").write_bytes(BODY)
    with box.cache.get(Request(f"file://{tmp_path}/a%20b", sha256=DIGEST)) as file:
        assert (file.path, file.is_cached) == (tmp_path / "a b", False)
    with pytest.raises(NotGenuine):
        box.get(str(tmp_path / "a b"), sha256="0" * 64)
    with pytest.raises(InputError):
        box.get("file:///not/there")

    assert (tmp_path / "a b").exists()
    assert not box.folder.exists()


@pytest.mark.parametrize("url", ["gopher://x/y", "ftp://x/y", "http://[bad/x", "http:///x"])
def test_an_address_that_cannot_be_is_said(box, url):
    with pytest.raises(InputError):
        box.get(url)


def test_credentials_go_with_the_request_and_into_no_message(box, served):
    """A token in a header or a URL."""
    url = f"{served.url}/gone?token=geheim".replace("//", "//me:geheim@")
    with pytest.raises(InputError) as caught:
        box.get(url, headers={"Authorization": "Bearer geheim"})

    assert "geheim" not in f"{caught.value.brief}{caught.value.details}{caught.value.resolution}{box.said}"


# what is had in another way

IMAGE = Request("ghcr.io/kiwix/serve:3.5", kind="image")


def test_what_was_made_elsewhere_is_kept_and_found(box):
    """An image by its name: there, as long as the registry says the same of it."""
    file = box.cache.new_file()
    file.write_bytes(BODY)
    with box.cache.alone(IMAGE), box.cache.put(IMAGE, file, Validators("sha256:1")) as kept:
        assert kept.is_cached
        assert kept.path.read_bytes() == BODY
    box.clock.now_s += 60

    assert box.cache.find(IMAGE) is None
    assert box.cache.find(IMAGE, Validators("sha256:2")) is None
    with box.cache.find(IMAGE, Validators("sha256:1")) as found:
        assert found.sha256 == DIGEST
    assert box.entry(IMAGE.source, "image").checked_s == box.clock.now_s
    assert not file.exists()


def test_what_was_made_elsewhere_must_be_right(box):
    file = box.cache.new_file()
    file.write_bytes(BODY)

    with pytest.raises(NotGenuine):
        box.cache.put(Request("x", kind="image", sha256="0" * 64), file)
    assert box.files() == []


def test_what_was_made_elsewhere_and_is_not_kept_is_gone_after_use(tmp_path):
    box = Box(tmp_path / "cache", "oci_images: {enabled: false}\n")
    file = box.cache.new_file()
    file.write_bytes(BODY)

    with box.cache.put(IMAGE, file) as passing:
        assert (passing.path.read_bytes(), passing.is_cached) == (BODY, False)
    assert box.files() == []
    assert box.cache.find(IMAGE, Validators("x")) is None


# several at once, in one process


def test_one_download_for_one_thing(box, served):
    """Ten threads want it, one fetches, the others wait for it and ask nobody."""
    served.gate = threading.Event()
    waiting = threading.Semaphore(0)
    box.cache.keeper.say = box.cache.say = lambda line: (
        waiting.release() if line.startswith("waiting") else None
    )
    got = []
    threads = [threading.Thread(target=lambda: got.append(box.get(f"{served.url}/file"))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for _ in range(9):
        assert waiting.acquire(timeout=10)
    served.gate.set()
    for thread in threads:
        thread.join()

    assert got == [BODY] * 10
    assert len(served.asked) == 1


def test_one_download_for_one_digest_from_two_addresses(box, served):
    """Mirrors of one file are not fetched beside each other."""
    served.files["/mirror"] = BODY
    served.gate = threading.Event()
    got = []
    threads = [
        threading.Thread(target=lambda path=path: got.append(box.get(served.url + path, sha256=DIGEST)))
        for path in ("/file", "/mirror")
    ]
    for thread in threads:
        thread.start()
    served.gate.set()
    for thread in threads:
        thread.join()

    assert got == [BODY] * 2
    assert len(served.asked) == 1


def test_waiting_for_another_one_can_be_stopped(box, served):
    """Ctrl-C is not held up by another run."""
    path = box.cache.store.lock_path(("file", f"{served.url}/file"))
    path.parent.mkdir(parents=True)
    stop = Stop()
    box.cache.say = lambda line: stop.set() if line.startswith("waiting") else None
    with path.with_name(f".{path.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Interrupted):
            box.cache.get(Request(f"{served.url}/file"), stop=stop)


def test_a_source_that_is_written_down_can_be_read_by_people(box, served):
    """The note beside the content says where it came from."""
    box.get(f"{served.url}/file")
    (path,) = (box.folder / "sources").iterdir()
    known = json.loads(path.read_text())

    assert known["source"] == f"{served.url}/file"
    assert known["sha256"] == DIGEST
    assert known["used_count"] == 1
