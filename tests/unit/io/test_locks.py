"""Locks on files exclude each other, and waiting for one can be stopped."""

import threading

from stalker.io.locks import lock, lock_unless, locked_file, try_lock


def test_a_lock_excludes_another_opening_of_the_file_until_it_is_closed(tmp_path):
    """Threads of one process exclude each other as processes do."""
    path = tmp_path / "a"
    with path.open("w") as first, path.open() as second:
        lock(first)
        assert not try_lock(second)
        first.close()

        assert try_lock(second)


def test_shared_locks_go_together(tmp_path):
    """Two readers read at once, and nothing removes the file meanwhile."""
    path = tmp_path / "a"
    with path.open("w") as first, path.open() as second, path.open() as third:
        lock(first, shared=True)
        lock(second, shared=True)

        assert not try_lock(third)


def test_waiting_ends_when_it_is_stopped(tmp_path):
    """The lock stays with the one that has it."""
    path = tmp_path / "a"
    with path.open("w") as first, path.open() as second, path.open() as third:
        lock(first)
        answers = iter([False, True])

        assert not lock_unless(second, lambda: next(answers))
        assert not try_lock(third)


def test_waiting_ends_with_the_lock(tmp_path):
    """It is had as soon as the other one lets go."""
    path = tmp_path / "a"
    with path.open("w") as first, path.open() as second:
        lock(first)

        def stop():
            first.close()
            return False

        assert lock_unless(second, stop)


def test_a_lock_file_is_made_and_stays(tmp_path):
    """Who waits for it gets it after the other."""
    path = tmp_path / "locks" / "a"
    order = []
    inside = threading.Event()

    def other():
        inside.wait()
        with locked_file(path):
            order.append("second")

    thread = threading.Thread(target=other)
    thread.start()
    with locked_file(path):
        inside.set()
        order.append("first")
    thread.join()

    assert order == ["first", "second"]
    assert path.exists()


def test_a_lock_file_that_cannot_be_written_can_be_locked(tmp_path):
    """Reading needs no write permission."""
    path = tmp_path / "a"
    path.touch(mode=0o444)

    with locked_file(path, shared=True), locked_file(path, shared=True):
        pass
    with path.open() as file:
        assert try_lock(file)
