"""A session that serves several steps and a fresh container for each give the same images."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import build
from run_space import docker, listing
from stalker.model import events
from stalker.model.diagnostics import Place
from stalker.model.tree import File, Mount, Option, TagBase
from stalker.run.session import Sessions

pytestmark = pytest.mark.docker

PLACE = Place("stalks/s/s.hjson")
PLACED = b"PLACED BY STALKER\n"
NUMBERS = itertools.count(1)
ALONE = set()
"""TURN of the runs that have a fresh container for each step."""

BOUND = ["/etc/passwd", "/etc/conf", "/conf.d/mine", "/d/x", "/d/y/z", "/link/in"]
COPIED = ["/etc/conf", "/copied", "/d/x", "/new/deep/file", "/link"]
PATHS = sorted({*BOUND, *COPIED, "/a", "/d", "/d/y", "/conf.d", "/etc", "/mnt/s/in", "/tmp/t", "/link"})
OPERATIONS = [
    "[ -p {0} ] || echo text >{0}",
    "[ -p {0} ] || echo more >>{0}",
    "rm -rf {0}",
    "rm -f {0}",
    "mkdir -p {0}",
    "rmdir {0}",
    "ln -sfn {1} {0}",
    "chmod {2} {0}",
    "chown -h {3}:{3} {0}",
    "touch {0}",
    "mkfifo {0}",
    "[ -p {0} ] || ln {0} /tmp/second",
]
OUTSIDE = [
    "echo x >/dev/shm/{0}",
    "mkdir /dev/shm/{0}",
    "echo x >/dev/{0}",
    "echo x >/scratch/{0}",
    "rm -rf /dev/shm/* /scratch/*",
    "echo 10.0.0.9 {0} >>/etc/hosts",
    "echo options timeout:7 >>/etc/resolv.conf",
    "echo {0} >/etc/hostname",
    "chmod 600 /etc/hosts",
    "echo x >/vol/{0}",
    "rm -rf /vol/*",
    "chmod 700 /scratch",
    "rm -f /.dockerenv",
    "rm -f /etc/mtab",
    "echo 500 >/proc/$(cut -d' ' -f4 /proc/$PPID/stat)/oom_score_adj",
]
"""What a script may do to what is not in its container's layer, or only there because Docker was reported so."""

SEE = """\
ls -A /dev/shm /scratch /dev/mqueue /vol; ls -A /dev | grep -v stalker
ls -ln /etc/hosts | cut -c1-10; grep -c 10.0.0.9 /etc/hosts; grep -c timeout:7 /etc/resolv.conf
grep -c '^h[0-9]' /etc/hostname; ls -ln /dev/shm /scratch | cut -c1-10
ls -lnd /scratch | cut -c1-10; ls /.dockerenv /etc/mtab; cat /proc/self/oom_score_adj; env | grep OLDPWD
"""

# Nothing takes away what the next program runs with.
NEVER = {"rm -rf": {"/etc"}}


@st.composite
def lines(draw):
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(OUTSIDE)).format(f"h{draw(st.integers(1, 3))}")
    operation = draw(st.sampled_from(OPERATIONS))
    paths = [path for path in PATHS if path not in NEVER.get(operation[:6], ())]
    path, target = draw(st.sampled_from(paths)), draw(st.sampled_from(["/a", "/d", "../tmp", "none"]))
    mode, owner = draw(st.sampled_from(["600", "755", "4711"])), draw(st.sampled_from(["0", "7"]))
    return operation.format(path, target, mode, owner)


@dataclass(frozen=True)
class Growth:
    """A stalk: what its scripts do, which files are shown to all, copied by each, and a store."""

    scripts: tuple[tuple[str, ...], ...]
    bound: tuple[str, ...] = ()
    copied: tuple[tuple[int, str], ...] = ()
    has_store: bool = False
    user: str = ""


growths = st.builds(
    Growth,
    st.lists(st.lists(lines(), min_size=1, max_size=4).map(tuple), min_size=2, max_size=4).map(tuple),
    st.lists(st.sampled_from(BOUND), max_size=3, unique=True).map(tuple),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(COPIED)), max_size=2, unique=True).map(tuple),
    st.booleans(),
    st.sampled_from(["", "", "7"]),
)


def file(target, content, plugin="f"):
    return File(target, plugin, hashlib.sha256(content).hexdigest(), PLACE, 0o640, content)


def tree_of(growth, space, store, turn):
    mounts = (Mount("/mnt/s", "store", store, writable=True, place=PLACE),) if growth.has_store else ()
    options = [Option("network_mode", '"none"', counts=False, place=PLACE)]
    options += [Option("tmpfs", '{"/scratch": "mode=1777"}', counts=False, place=PLACE)]
    options += [Option("user", f'"{growth.user}"', counts=True, place=PLACE)] if growth.user else []
    steps = [
        build.step(
            f"s{number}",
            SEE + "".join(f"{line} 2>/dev/null\n" for line in script) + "true\n",
            files=tuple(file(target, PLACED) for target in growth.bound),
            copies=tuple(
                file(target, b"copied %d\n" % number)
                for of, target in growth.copied
                if of == number and target not in growth.bound
            ),
            mounts=mounts,
            options=tuple(options),
            variables={"TURN": turn},
        )
        for number, script in enumerate(growth.scripts)
    ]
    stalk = build.stalk(
        "s",
        *steps,
        bases=(TagBase(space.base, PLACE),),
        repository=f"{space.prefix}/grown{turn}",
    )
    return build.tree(stalk, workspace=str(space.path))


@dataclass
class Grown:
    """What is in each image, what each step saw, the failed steps, and how many containers served."""

    images: dict
    seen: dict
    failed: dict
    containers: int


def grow(growth, space, *, one_by_one=False, alone=False):
    """Grow it in one run, or in a run for each step that goes on from the one before; `alone`: no session is reused."""
    turn = next(NUMBERS)  # or the images of another turn would be this work, done
    if alone:
        ALONE.add(str(turn))
    store = f"stalker-test-{space.arch}-{turn}"
    tree = tree_of(growth, space, store, turn)
    rounds = [step.id for step in tree.stalks[0].steps] if one_by_one else [None]
    runs = []
    try:
        for until in rounds:
            runs.append(build.run(tree, space.engine, until=until))
            if runs[-1].result.exit_code:
                break
    finally:
        with contextlib.suppress(Exception):
            space.engine.remove_volume(store)
    grown = Grown({}, {}, {}, 0)
    for ran in runs:
        for event in ran.of(events.StepFinished):
            if event.state == "done":
                grown.images[event.step] = listing(space.engine, event.image)
            else:
                grown.failed.setdefault(event.step, (event.exit_code, event.brief))
        for event in ran.of(events.StepOutput):
            stream = (event.step, event.stream)  # how the two come in between each other is chance
            grown.seen[stream] = grown.seen.get(stream, b"") + event.data
        grown.containers += sum(not event.is_reused for event in ran.of(events.ContainerStarted))
    return grown


@pytest.fixture(scope="module")
def ground(shared_space):
    """A workspace on a base that declares a volume."""
    space = shared_space()
    name = f"{space.prefix}/vol:1"
    made = ("run", "-d", "--network", "none", space.base, "mkdir", "/scratch", "/vol")
    container = docker(*made).stdout.strip()
    docker("wait", container)
    docker("commit", "--change", 'VOLUME ["/vol"]', "--change", "CMD []", container, name)
    docker("rm", container)
    space.base = name
    return space


@pytest.fixture(autouse=True)
def fresh_where_asked(monkeypatch):
    """Let no session serve the runs in `ALONE`; others go on as they do, also at the same time."""
    serves = Sessions._serves

    def serves_unless_alone(self, session, job, spec):
        turn = next((one.value for one in job.step.variables if one.name == "TURN"), "")
        return turn not in ALONE and serves(self, session, job, spec)

    monkeypatch.setattr(Sessions, "_serves", serves_unless_alone)


OVER_A_FILE = Growth(
    (("echo mine >>/etc/passwd", "rm -f /etc/conf"), ("rm -rf /etc/passwd", "mkdir /conf.d/more"), ("true",)),
    bound=("/etc/passwd", "/etc/conf", "/conf.d/mine"),
)
OF_A_STORE = Growth(
    (("echo x >/mnt/s/in", "mkdir -p /d/y"), ("rm -rf /d", "touch /mnt/beside"), ("rm -rf /mnt/s",)),
    bound=("/d/y/z",),
    has_store=True,
)
OF_A_USER = Growth((("touch /tmp/t",), ("echo x >/tmp/t", "rm -rf /d")), bound=("/d/x",), user="7")
OVER_A_LINK = Growth(
    (("mkdir -p /d/y", "ln -sfn /d /link", "ln -sfn /none /etc/conf"), ("rm -rf /link",), ("true",)),
    bound=("/link/in", "/etc/conf"),
    copied=((1, "/link"),),
)
OVER_A_HARD_LINK = Growth((("echo x >/a", "ln /a /tmp/second"), ("echo more >>/a",), ("cat /tmp/second",)))
OF_THE_ENGINE = Growth(
    (
        ("rm -f /.dockerenv",),
        ("rm -f /etc/mtab",),
        ("chmod 700 /scratch",),
        ("echo 500 >/proc/$(cut -d' ' -f4 /proc/$PPID/stat)/oom_score_adj",),
        ("true",),
    )
)
IN_THE_WAY = Growth((("echo x >/d",), ("true",), ("true",)), copied=((1, "/d/x"),))


OUTSIDE_OF_THE_LAYER = Growth(
    (
        ("echo x >/dev/shm/h1", "echo 10.0.0.9 h1 >>/etc/hosts", "echo x >/vol/h1"),
        ("echo x >/scratch/h2", "rm -rf /vol/*", "head -c 3000000 /dev/zero >/a"),
        ("chmod 600 /etc/hosts", "echo h3 >/etc/hostname"),
        ("true",),
    ),
    bound=("/etc/conf",),
)
OF_A_LARGE_STEP = Growth(
    (
        ("head -c 3000000 /dev/zero >/a", "echo options timeout:7 >>/etc/resolv.conf", "echo x >/dev/h1"),
        ("true",),
        ("echo x >/dev/shm/h2",),
        ("true",),
    )
)


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@example(OVER_A_FILE)
@example(OF_A_STORE)
@example(OF_A_USER)
@example(OVER_A_LINK)
@example(IN_THE_WAY)
@example(OUTSIDE_OF_THE_LAYER)
@example(OF_A_LARGE_STEP)
@given(growth=growths)
def test_one_run_fresh_containers_and_resuming_give_the_same(ground, growth):
    """What each step sees and each image holds: one run, a container for each step, a run for each step."""
    compare(growth, ground)


@pytest.mark.parametrize("growth", [OVER_A_HARD_LINK, OF_THE_ENGINE], ids=["hard link", "engine"])
def test_what_a_container_shows_only_for_a_while_ends_its_session(ground, growth):
    """Hard links, which a new layer breaks, and what Docker makes in each container."""
    compare(growth, ground)


def compare(growth, ground):
    """Grow it in three ways; the same is seen and left."""
    with ThreadPoolExecutor(3) as pool:
        ways = [
            pool.submit(grow, growth, ground, **way) for way in ({}, {"one_by_one": True}, {"alone": True})
        ]
    served, resumed, alone = (way.result() for way in ways)

    assert served.failed == alone.failed
    assert served.images == alone.images
    assert served.seen == alone.seen
    assert (resumed.images, resumed.seen) == (served.images, served.seen)
    assert served.containers <= alone.containers
    for entries in served.images.values():
        assert [path for path in entries if path.startswith(("/.stalker", "/entropy"))] == []
        assert [path for path, entry in entries.items() if PLACED in entry.content] == []


def test_a_session_serves_all_steps_of_a_plain_stalk(ground):
    """The property above compares two different things."""
    alone = grow(OVER_A_FILE, ground, alone=True)
    served = grow(OVER_A_FILE, ground)

    assert (served.containers, alone.containers) == (1, 3)


def test_what_a_step_leaves_outside_of_its_layer_ends_its_session(ground):
    """A container that steps have left something in serves no other, nor does its network."""
    served = grow(OUTSIDE_OF_THE_LAYER, ground)

    assert served.containers == 4


def test_what_is_shown_over_a_file_gives_it_back(ground):
    """Owner, mode, content and kind of what stood there are as they were."""
    before = (("echo mine >/etc/conf; chmod 4711 /etc/conf; chown 7:7 /etc/conf; ln -s none /d",), ("true",))

    grown = grow(Growth(before, bound=("/etc/conf", "/d")), ground)

    assert grown.failed == {}
    bare = listing(ground.engine, ground.base)
    assert grown.images["s:s1"]["/etc/passwd"] == bare["/etc/passwd"]
    assert "/etc/conf" not in grown.images["s:s1"]  # it was written to what was shown, not below it


def test_200_steps_in_one_stalk(workspace):
    """An engine takes about 125 layers; a stalk may have more steps."""
    workspace.tree({"s": {}})
    workspace.stalk("s", {f"n{number}": f"echo {number} >/n{number}" for number in range(200)})

    done = workspace.run()

    assert done.code == 0, done.err
    added = workspace.added("s:final")
    assert {path: entry.content for path, entry in added.items()} == {
        f"/n{number}": f"{number}\n".encode() for number in range(200)
    }
    assert workspace.added("s:n99").keys() == {f"/n{number}" for number in range(100)}
    assert workspace.image("s:final").layers < 125
    assert workspace.plan().keys() == {f"s:n{number}" for number in range(200)}
    assert (
        docker("run", "--rm", "--network", "none", workspace.name("s:final"), "cat", "/n199").stdout
        == "199\n"
    )


def test_steps_that_write_a_lot_have_layers_of_their_own(workspace):
    """A session that was kept would store again what the steps before wrote."""
    workspace.tree({"s": {}})
    workspace.stalk("s", {f"n{n}": f"head -c 8000000 /dev/urandom >/n{n}" for n in range(4)})

    done = workspace.run()

    assert done.code == 0, done.err
    base = workspace.engine.image(workspace.base).size_bytes
    assert workspace.image("s:final").size_bytes - base < 4 * 8_000_000 * 1.3
    assert workspace.added("s:n2").keys() == {"/n0", "/n1", "/n2"}


def test_a_process_that_a_step_left_is_gone_in_the_next(workspace):
    """It does not hang its step, and the next one begins without it."""
    workspace.tree({"s": {}})
    workspace.stalk(
        "s",
        {
            "leave": "sleep 1000 & echo $! >/pid; echo left",
            "detach": "setsid sleep 1001 </dev/null >/dev/null 2>&1 & exit 0",
            "look": "ps -o args | grep -c '^sleep 100' >/found; true",
        },
    )

    done = workspace.run()

    assert done.code == 0, done.err
    assert done.took_s < 200
    assert workspace.text("s:look", "/found") == "0\n"
    assert workspace.containers() == []
