import json
import os
import sys
import tarfile
import threading

import pytest

from stalker.engine.logins import DockerConfig
from stalker.errors import InputError, Interrupted, NotGenuine, NotReached
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.parallel import Job, fetched_together
from stalker.fetch.cache.policy_file import parse_policy
from stalker.fetch.cache.request import Request
from stalker.fetch.http.patience import Patience
from stalker.fetch.http.stop import Stop
from stalker.fetch.oci.archive_reader import read_archive
from stalker.fetch.oci.archive_writer import layer_name
from stalker.fetch.oci.inspect import inspect_image
from stalker.fetch.oci.pull import fetch_image
from stalker.fetch.oci.registry import Registries
from stalker.fetch.urls import locked
from unit.helpers.hub import PACK, digest_of, hub_serving, layer
from unit.helpers.reporting import Seen, calling

ARM = "linux/arm64/v8"
BIG = layer(noise=os.urandom(400_000))
HELLO = layer(hello=b"hello")


class Box:
    """A cache in a folder, somebody who asks a hub, and a clock."""

    def __init__(self, folder, policy=""):
        self.now_s, self.said = 1_000_000.0, []
        patience = Patience(0, 5.0, lambda _: None)
        self.cache = Cache(
            folder, policy=parse_policy(policy, "policy.yaml"), say=self.said.append, patience=patience,
            clock=lambda: self.now_s,
        )  # fmt: skip
        self.registries = Registries(DockerConfig(), patience=patience, say=self.said.append)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cache.close()
        self.registries.close()

    def look(self, hub, ident="a/b:1", platform=ARM):
        return inspect_image(f"{hub.address}/{ident}", platform, self.registries, self.cache)

    def fetch(self, hub, ident="a/b:1", platform=ARM, **options):
        self.now_s += 1
        return fetch_image(self.cache, self.look(hub, ident, platform), self.registries, **options)


@pytest.fixture
def box(tmp_path):
    with Box(tmp_path / "cache") as made:
        yield made


def content(path):
    with tarfile.open(path) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}


@pytest.mark.parametrize("packing", ["gzip", ""])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_an_image_comes_as_an_archive_of_the_size_that_was_told(box, packing, concurrency):
    """Layers as the registry has them, one that comes twice once, and names for all of it."""
    with hub_serving() as hub:
        hub.push(layers=[BIG, HELLO, BIG], packing=packing)
        remote = box.look(hub)
        with fetch_image(box.cache, remote, box.registries, concurrency=concurrency) as file:
            found = content(file.path)
            assert file.path.stat().st_size == remote.archive_bytes
            assert file.is_cached

    (manifest,) = json.loads(found["manifest.json"])
    assert manifest["RepoTags"] == [f"{hub.address}/a/b:1"]
    assert [found[one] for one in manifest["Layers"]] == [PACK[packing](one) for one in (BIG, HELLO, BIG)]
    assert digest_of(found[manifest["Config"]]) == remote.config_digest
    assert remote.full_bytes == len(BIG) + len(HELLO)


def test_a_layer_of_zstd_is_unpacked_on_the_way(box):
    """Docker 20.10 does not know it; how large that is nobody tells before."""
    with hub_serving() as hub:
        hub.push(layers=[HELLO], packing="zstd")
        remote = box.look(hub)
        with fetch_image(box.cache, remote, box.registries) as file:
            found = content(file.path)

    assert (remote.archive_bytes, remote.full_bytes) == (None, None)
    assert found[layer_name(remote.layers[0])] == HELLO


def test_a_layer_that_unpacks_to_something_else_is_refused(box):
    with hub_serving() as hub:
        hub.push(layers=[HELLO], packing="zstd")
        packed = PACK["zstd"]
        try:
            PACK["zstd"] = lambda _: packed(BIG)
            hub.push("a/b", "2", layers=[HELLO], packing="zstd")
        finally:
            PACK["zstd"] = packed

        with pytest.raises(NotGenuine, match="does not unpack to what"):
            box.fetch(hub, "a/b:2")


def test_the_same_image_is_the_same_bytes(box, tmp_path):
    with hub_serving() as hub, Box(tmp_path / "other") as other:
        hub.push(layers=[BIG, HELLO])
        with box.fetch(hub, concurrency=2) as one, other.fetch(hub) as two:
            assert one.path.read_bytes() == two.path.read_bytes()


def test_an_altered_byte_is_refused_and_nothing_is_kept(box, tmp_path):
    with hub_serving() as hub:
        hub.push(layers=[HELLO, BIG])
        digest = digest_of(PACK["gzip"](BIG))
        body = bytearray(hub.blobs[digest])
        body[1000] ^= 1
        hub.blobs[digest] = bytes(body)

        with pytest.raises(NotGenuine, match=f"a layer of {hub.address}/a/b:1") as caught:
            box.fetch(hub)

    assert caught.value.exit_code == 4
    kept = [one for name in ("content", "parts") for one in (tmp_path / "cache" / name).rglob("*")]
    assert kept == []


def test_a_layer_that_broke_off_goes_on_in_the_next_run(box):
    """Whole layers are not fetched again either: one byte shows that they are the same."""
    with hub_serving() as hub:
        hub.push(layers=[HELLO, BIG])
        digest = digest_of(PACK["gzip"](BIG))
        hub.cuts[digest] = 300_000
        with pytest.raises(NotReached, match="could not be downloaded"):
            box.fetch(hub)
        hub.asked.clear()

        with box.fetch(hub) as file:
            assert read_archive(file.path, ARM, counts=True).full_bytes == len(HELLO) + len(BIG)

    small = len(PACK["gzip"](HELLO))
    ranges = [one.range for one in hub.asked if one.range.endswith("-")]
    assert ranges == [f"bytes={small - 1}-", "bytes=300000-"]


def test_an_image_is_fetched_once_for_as_long_as_it_is_the_same(box):
    """A tag that moved is another image."""
    with hub_serving() as hub:
        hub.push(layers=[BIG])
        for _ in range(3):
            box.fetch(hub).close()
        assert [one.path for one in hub.asked if "blobs" in one.path and not one.range].count(
            f"/v2/a/b/blobs/{digest_of(PACK['gzip'](BIG))}"
        ) == 1
        hub.push(layers=[HELLO])

        with box.fetch(hub) as file:
            assert PACK["gzip"](HELLO) in content(file.path).values()


def test_only_new_layers_of_a_tag_that_moved_come(box):
    """The others stand in what was fetched before; what is damaged there is fetched again."""
    with hub_serving() as hub:
        hub.push(layers=[BIG, HELLO])
        with box.fetch(hub) as file:
            first = file.path
        hub.push(layers=[BIG, layer(new=b"1")])
        hub.asked.clear()
        with box.fetch(hub, "a/b:1") as file:
            assert read_archive(file.path, ARM, counts=True).full_bytes == len(BIG) + len(layer(new=b"1"))
            second = file.path
        assert f"/v2/a/b/blobs/{digest_of(PACK['gzip'](BIG))}" not in whole(hub)
        assert not first.exists()

        second.chmod(0o644)
        data = bytearray(second.read_bytes())
        data[len(data) // 2] ^= 1
        second.write_bytes(data)
        hub.push("c", layers=[BIG])
        with box.fetch(hub, "c:1") as file:
            assert read_archive(file.path, ARM, counts=True).full_bytes == len(BIG)
        assert f"/v2/c/blobs/{digest_of(PACK['gzip'](BIG))}" in whole(hub)


def test_a_layer_of_another_size_than_told_is_refused(box):
    """Room is reckoned by what the manifest tells."""
    with hub_serving() as hub:
        digest = hub.push(layers=[HELLO])
        media, body = hub.documents[f"a/b/{digest}"]
        found = json.loads(body)
        found["layers"][0]["size"] += 1
        hub.put_document("a/b", "1", media, found)

        with pytest.raises(NotGenuine, match="has 98 bytes"):
            box.fetch(hub)


def whole(hub):
    """Return the blobs that were asked for from their beginning."""
    return [one.path for one in hub.asked if "blobs" in one.path and not one.range]


def test_what_is_fresh_or_named_by_a_digest_is_not_asked_for(tmp_path):
    with hub_serving() as hub, Box(tmp_path, "check_after: 1d") as box:
        digest = hub.push(layers=[BIG])
        pinned = f"a/b:1@{digest}"
        first = box.look(hub)
        for ident in ("a/b:1", pinned):
            box.fetch(hub, ident).close()
        hub.asked.clear()

        again = box.look(hub)
        box.fetch(hub).close()
        assert hub.asked == []
        assert again.is_at_hand
        assert (again.digest, again.config_digest) == (first.digest, first.config_digest)
        assert (again.archive_bytes, again.full_bytes) == (first.archive_bytes, first.full_bytes)
        box.now_s += 25 * 3600.0
        box.fetch(hub, pinned).close()
        assert hub.asked == []
        box.fetch(hub).close()
        assert hub.paths("manifests")


def test_a_look_does_not_make_a_copy_fresh(tmp_path):
    """Only the registry does: else what is used each day would never be asked for."""
    with hub_serving() as hub, Box(tmp_path, "check_after: 1d") as box:
        hub.push(layers=[HELLO])
        box.fetch(hub).close()
        hub.asked.clear()
        for _ in range(3):
            box.now_s += 0.4 * 86400
            box.fetch(hub).close()

        assert len(hub.paths("manifests")) == 1


def test_a_registry_that_is_gone_costs_nothing_when_a_copy_is_there(tmp_path):
    with hub_serving() as hub, Box(tmp_path) as box:
        hub.push(layers=[BIG])
        box.fetch(hub).close()

    with Box(tmp_path) as box:
        box.now_s += 100
        with box.fetch(hub) as file:
            assert file.is_cached
        assert any("the copy in the cache is used" in line for line in box.said)
        with pytest.raises(NotReached):
            box.fetch(hub, "a/b:2")


def test_many_that_want_an_image_fetch_it_once(tmp_path):
    """Each with a cache of its own in the same folder, as processes have."""
    boxes = [Box(tmp_path) for _ in range(4)]
    with hub_serving() as hub:
        hub.push(layers=[BIG, HELLO])
        start, got = threading.Barrier(4), []

        def fetch(box):
            remote = box.look(hub)
            start.wait(10)
            with box, fetch_image(box.cache, remote, box.registries) as file:
                got.append(file.sha256)

        threads = [threading.Thread(target=fetch, args=(box,)) for box in boxes]
        for one in threads:
            one.start()
        for one in threads:
            one.join(30)

    assert len(got) == 4
    assert len(set(got)) == 1
    assert sum(line.startswith("downloading") for box in boxes for line in box.said) == 1
    whole = [one.path for one in hub.asked if "blobs" in one.path and not one.range]
    assert whole.count(f"/v2/a/b/blobs/{digest_of(PACK['gzip'](BIG))}") == 1


def test_images_with_a_layer_in_common_do_not_wait_for_each_other_for_ever(box):
    with hub_serving() as hub:
        hub.push("one", layers=[BIG, HELLO])
        hub.push("two", layers=[HELLO, BIG])
        remotes = [box.look(hub, f"{name}:1") for name in ("one", "two")]

        def job(remote):
            return Job(
                remote.ident,
                lambda task, stop: fetch_image(box.cache, remote, box.registries, task=task, stop=stop),
            )

        with fetched_together(box.cache, [job(one) for one in remotes]) as files:
            assert [read_archive(one.path, ARM).names[0][-5:] for one in files] == ["one:1", "two:1"]


def test_who_waits_for_a_layer_holds_none_that_comes_later(tmp_path):
    """In one order for all: so nobody waits for somebody who waits for him."""
    layers = sorted((BIG, HELLO), key=lambda one: digest_of(PACK["gzip"](one)))
    with hub_serving() as hub, Box(tmp_path) as box:
        hub.push(layers=layers[::-1])
        remote, waits = box.look(hub), threading.Event()
        first, later = (box.cache.store.lock_path(("layer", digest_of(PACK["gzip"](one)))) for one in layers)
        box.cache.say = lambda text: waits.set() if text.startswith("waiting") else None
        thread = threading.Thread(target=lambda: fetch_image(box.cache, remote, box.registries).close())
        with locked(first, print, "first"):
            thread.start()
            assert waits.wait(20)
            said = []
            with locked(later, said.append, "later"):
                pass
        thread.join(20)

    assert said == []
    assert not thread.is_alive()


def test_files_and_images_come_together_with_one_progress(box):
    """And one that is not available stops them all."""
    seen = Seen()
    with hub_serving() as hub:
        hub.push(layers=[BIG])
        plain = hub.put(os.urandom(50_000))
        remote = box.look(hub)
        job = Job(
            "b:1", lambda task, stop: fetch_image(box.cache, remote, box.registries, task=task, stop=stop)
        )
        wanted = [Request(f"http://{hub.address}/storage/{plain}"), job]
        with fetched_together(box.cache, wanted, reporter=seen) as files:
            sizes = [one.size_bytes for one in files]
        with (
            pytest.raises(InputError, match="404"),
            fetched_together(box.cache, [*wanted, Request(f"http://{hub.address}/storage/no")]),
        ):
            pass

    assert sizes == [50_000, remote.archive_bytes]
    last = [one for one in seen.tasks if one[0] == "all" and one[3]][-1]
    assert last == ("all", sum(sizes), sum(sizes), True)
    assert {name for name, *_ in seen.tasks} == {"all", plain.replace("/", "_"), "b:1"}


def test_what_is_not_to_be_cached_is_gone_once_closed(tmp_path):
    with hub_serving() as hub, Box(tmp_path, "oci_images: {enabled: false}") as box:
        hub.push(layers=[HELLO])
        with box.fetch(hub) as file:
            path = file.path
            assert path.is_file()
            assert not file.is_cached
    assert not path.exists()
    assert not list(tmp_path.glob("parts/.*.part"))


def test_a_stop_ends_it(box):
    with hub_serving() as hub:
        hub.push(layers=[BIG])
        remote, stop = box.look(hub), Stop()

        def moved(_size, _total):
            stop.set()

        with pytest.raises(Interrupted):
            fetch_image(box.cache, remote, box.registries, task=calling(moved), stop=stop)


def waits_for_bytes():
    """Say whether the thread that gets a layer stands in a read of its connection."""
    thread = next(one for one in threading.enumerate() if one.name.startswith("layer"))
    frame = sys._current_frames()[thread.ident]
    return frame.f_code.co_name == "read" and "httpcore" in frame.f_code.co_filename


def test_a_stop_ends_a_layer_that_says_nothing_at_once(tmp_path):
    """Also after the same registry was asked before, under another one."""
    with hub_serving() as hub, Cache(tmp_path) as cache:
        hub.push(layers=[BIG])
        hub.stalls = {digest_of(PACK["gzip"](BIG))}
        registries, stop, raised = Registries(DockerConfig(), patience=Patience(0, 60.0)), Stop(), []
        half = len(PACK["gzip"](BIG)) // 2
        has_half = threading.Event()

        def moved(size, _total):
            if size == half:
                has_half.set()

        def fetch():
            try:
                fetch_image(cache, remote, registries, task=calling(moved), stop=stop)
            except Interrupted as error:
                raised.append(error)

        with registries:
            remote = inspect_image(f"{hub.address}/a/b:1", ARM, registries, cache)
            thread = threading.Thread(target=fetch)
            thread.start()
            assert has_half.wait(20)
            while not waits_for_bytes():
                pass
            stop.set()
            thread.join(20)
            is_over = not thread.is_alive()
            hub.gate.set()
            thread.join()

    assert is_over
    assert len(raised) == 1


def test_a_token_that_ends_within_an_image_is_replaced(box):
    """Each layer is asked for with one that holds."""
    with hub_serving(auth="token") as hub:
        hub.push(layers=[HELLO, BIG])
        remote = box.look(hub)
        hub.asked.clear()
        box.registries.of(remote.name)._tokens._known.clear()

        fetch_image(box.cache, remote, box.registries).close()

    assert len(hub.paths("/token")) == 1
