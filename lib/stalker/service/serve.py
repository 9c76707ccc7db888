"""Start the service: read its configuration, open its database, take up its builds, answer requests."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.config.service.load import FILE_NAME
from stalker.errors import StalkerError
from stalker.service.builds.places import Places
from stalker.service.outbox.sender import Sender
from stalker.service.queue.dispatcher import Dispatcher
from stalker.service.site import Configuration, Site
from stalker.service.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable


@contextlib.contextmanager
def running_site(file: Path, workspace: str) -> Iterator[Site]:
    """Give a service whose builds run; requests are answered by the caller.

    Raises:
        StalkerError: the configuration is wrong, git is missing, or another service uses the database.
    """
    configuration = Configuration(file, workspace)
    if shutil.which("git") is None:
        raise StalkerError(
            "git is not installed", "the service fetches commits with it", "apt-get install git"
        )
    places = Places(Path(configuration.service.work_directory))
    places.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(configuration.service.database)
    site = Site(configuration, database, places)
    dispatcher, sender = Dispatcher(site), Sender(site)
    try:
        dispatcher.start()
        sender.start()
        yield site
    finally:
        dispatcher.stop()
        sender.stop()
        database.close()


def serve(workspace: str, file: str, say: Callable[[str], None]) -> None:
    """Run the service until it is stopped. Raises StalkerError when it cannot start."""
    import uvicorn

    from stalker.service.web.app import create_app

    path = Path(file) if file else Path(workspace, FILE_NAME)
    with running_site(path, workspace) as site:
        service = site.service
        listener = _listen(service.host, service.port)
        say(f"listening at http://{service.host}:{listener.getsockname()[1]}")
        config = uvicorn.Config(
            create_app(site),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=3,
            h11_max_incomplete_event_size=64 << 10,
        )
        # uvicorn ends at SIGTERM and then raises it again, for the handler from before: the rest is ended here.
        signal.signal(signal.SIGTERM, lambda *_: None)
        with contextlib.closing(listener):
            uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise StalkerError(
            f"cannot listen at {host}:{port}",
            error.strerror or str(error),
            "change `listen` in service.hjson",
        ) from error
    return listener
