"""A long-lived process asks an engine from many threads and holds many files open."""

import gc
import os
import resource
import threading

import pytest

pytestmark = pytest.mark.docker


def open_files():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_a_thread_that_ended_leaves_no_connection(engine):
    """Each thread has a connection of its own; it goes with the thread."""
    engine.info()
    before = open_files()

    for _ in range(20):
        thread = threading.Thread(target=engine.info)
        thread.start()
        thread.join()

    assert open_files() <= before + 2


@pytest.fixture
def many_files():
    """Hold more files open than `select` can count."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    yield
    for one in held:
        os.close(one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_output_is_read_whatever_number_its_descriptor_has(workspace, many_files):
    """More than 1,024 open files are no reason to fail."""
    from build import run, stalk, step, tree
    from stalker.model.diagnostics import Place
    from stalker.model.tree import TagBase

    base = TagBase(workspace.base, Place("t"))
    grown = stalk("s", step("a", "echo hello"), bases=(base,), repository=workspace.name("s"))

    ran = run(tree(grown, workspace=str(workspace.path)), workspace.engine)

    assert ran.result.failed == []
    assert b"".join(event.data for event in ran.events if type(event).__name__ == "StepOutput") == b"hello\n"
