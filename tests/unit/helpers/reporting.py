"""A reporter that keeps what it gets."""

from stalker.io.progress import Silent, Task


class Seen(Silent):
    """Keeps lines, and (name, done, total, is done) of each movement."""

    def __init__(self):
        self.said = []
        self.tasks = []

    def say(self, text):
        self.said.append(text)

    def moved(self, task):
        self.tasks.append((task.name, task.done_bytes, task.total_bytes, task.is_done))


def calling(on_bytes):
    """Return a task that calls `on_bytes(done, total)` for each piece."""

    class Calling(Silent):
        def moved(self, task):
            if task.done_bytes:
                on_bytes(task.done_bytes, task.total_bytes)

    return Task("it", Calling())
