"""Tasks count bytes, alone and together, and their text holds what is known."""

import pytest

from stalker.errors import Interrupted
from stalker.io.progress import Group, Lines, Rate, Silent, Task
from unit.helpers.reporting import Seen


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def test_a_task_reports_its_start_and_each_piece():
    """Also that it started over, and its end."""
    seen = Seen()
    task = Task("copying", seen, 10)
    task.add(3)
    task.add(4)
    task.move(2, None)
    task.end(9)

    assert seen.tasks == [
        ("copying", 0, 10, False),
        ("copying", 3, 10, False),
        ("copying", 7, 10, False),
        ("copying", 2, None, False),
        ("copying", 9, 9, True),
    ]


def test_a_reporter_stops_the_work_that_reports_to_it():
    """A long copy sees Ctrl-C of another thread at its next piece."""

    class Stopping(Silent):
        def check(self):
            raise Interrupted("interrupted", "", "")

    task = Task("copying", Stopping())

    with pytest.raises(Interrupted):
        task.add(1)


def test_rate_and_time_left():
    """Steady bytes give a steady rate; what is not known is left out."""
    clock = Clock()
    group = Group("all", ["a", "b"], Silent(), clock=clock)
    task = group.parts[0]
    for second in range(5):
        clock.now_s = float(second)
        task.move(second * 1_000_000, 10_000_000)

    assert task.rate_bytes_s == group.rate_bytes_s == 1_000_000
    assert (task.left_s, group.left_s, group.total_bytes) == (6, None, None)
    assert str(task) == "a: 40%, 3.82 MiB of 9.54 MiB, 977 KiB/s, 6.0 s left"
    assert str(group) == "all: 3.82 MiB, 977 KiB/s"


@pytest.mark.parametrize(
    ("left_s", "text"), [(59, "59 s left"), (62, "1 min 2 s left"), (3610, "1 h 0 min left")]
)
def test_the_time_left_has_two_units_at_most(left_s, text):
    """Of an hour the seconds do not matter."""
    clock = Clock()
    task = Task("a", Silent(), clock=clock)
    task.move(0, 10)
    clock.now_s = 1.0
    task.move(10**6, (left_s + 1) * 10**6)

    assert str(task).endswith(text)


def test_a_group_is_done_when_all_of_it_is():
    """Its size is known when all sizes are."""
    seen = Seen()
    one, other = Group("all", ["a", "b"], seen).parts
    one.end(5)
    other.move(1, 7)
    other.end(7)

    assert [task for task in seen.tasks if task[0] == "all"][1:] == [
        ("all", 5, None, False),
        ("all", 6, 12, False),
        ("all", 12, 12, True),
    ]


def test_lines_are_printed_once_a_second():
    """Whatever moves meanwhile."""
    clock, said = Clock(), []
    task = Task("a", Lines(said.append, clock), 100, clock=clock)
    for now_s in (0.1, 0.9, 1.1, 1.2, 2.5):
        clock.now_s = now_s
        task.add(1)

    assert [text.partition(",")[0] for text in said] == ["a: 3%", "a: 5%"]


def test_a_rate_forgets_what_was_long_ago():
    """A minute of nothing is not made good by a fast start, and a new start counts from there."""
    rate = Rate()
    for second in range(10):
        rate.take(second * 100, float(second))
    slow = [rate.take(900, float(second)) for second in range(10, 40)][-1]

    assert slow == 0
    assert rate.take(0, 41.0) == 0


@pytest.mark.parametrize(
    ("done", "total", "spent_s", "text"),
    [
        (0, 0, 0.0, "writing: 0 B"),
        (450, 1000, 0.0, "writing: 45%, 450 B of 1000 B"),
        (12, 10, 2.0, "writing: 100%, 12 B of 12 B, 6 B/s"),
        (5_000_000, None, 1.0, "writing: 4.77 MiB, 4.77 MiB/s"),
    ],
)
def test_the_text_has_what_is_known(done, total, spent_s, text):
    """Share and time left only when the end is known, a rate only when there is one."""
    clock = Clock()
    task = Task("writing", Silent(), total, clock=clock)
    task.move(0, total)
    clock.now_s = spent_s
    if done:
        task.move(done, total)

    assert str(task) == text
