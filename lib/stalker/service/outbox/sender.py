"""The thread that sends stored messages; an outage of a forge delays them and fails no build."""

from __future__ import annotations

import functools
import threading
import time
from typing import TYPE_CHECKING

from stalker.service.outbox.statuses import CommitStatus, NotAccepted, send_status
from stalker.service.store import messages

if TYPE_CHECKING:
    from stalker.service.site import Site
    from stalker.service.store.messages import Message

IDLE_S = 2.0


class Sender:
    """Runs in a thread of its own between `start` and `stop`."""

    def __init__(self, site: Site) -> None:
        """Take the service; nothing runs yet."""
        self._site = site
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the message that is being sent."""
        self._stopping.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stopping.wait(IDLE_S):
            self.send_due()

    def send_due(self) -> None:
        """Send what is due, the oldest first."""
        for message in self._site.database.read(lambda connection: messages.due(connection, time.time())):
            if self._stopping.is_set():
                return
            try:
                self._send(message)
            except NotAccepted as error:
                self._failed(message, str(error), is_final=error.is_final)
            except Exception as error:  # noqa: BLE001 - a library's bug must not stop the others
                self._failed(message, f"{type(error).__name__}: {error}", is_final=False)
            else:
                self._site.database.write(functools.partial(messages.sent, number=message.number))

    def _failed(self, message: Message, error: str, *, is_final: bool) -> None:
        for value in self._site.secrets().values():
            error = error.replace(value, "***")
        write = functools.partial(messages.failed, message=message, error=error, is_final=is_final)
        self._site.database.write(write)

    def _send(self, message: Message) -> None:
        if message.kind == "status":
            self._send_status(message)
        else:
            self._notify(message)

    def _send_status(self, message: Message) -> None:
        content = message.content
        project = self._site.service.project(content["project"])
        if project is None or project.hook is None or project.status is None:
            raise NotAccepted("the project has no status any more", is_final=True)
        status = CommitStatus(
            project.hook.repository,
            content["commit"],
            content["state"],
            content["said"],
            f"{self._site.public_url}/builds/{message.build}",
        )
        send_status(project.hook.forge, project.status.api, self._secret(project.status.token), status)

    def _notify(self, message: Message) -> None:
        import apprise  # 0.3 s and many modules: only where something is sent

        content = message.content
        sender = apprise.Apprise()
        if not sender.add(self._secret(content["secret"])):
            raise NotAccepted(f"the secret {content['secret']} is not an Apprise URL", is_final=True)
        if not sender.notify(title=content["title"], body=content["body"]):
            raise NotAccepted("the service did not take the notification", is_final=False)

    def _secret(self, name: str) -> str:
        value = self._site.secrets().get(name, "")
        if not value:
            raise NotAccepted(f"the secret {name} is not set", is_final=False)
        return value
