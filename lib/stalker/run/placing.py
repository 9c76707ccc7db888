"""Files of a step put into a running container, where its script finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.errors import EngineError
from stalker.run.payload import Report

if TYPE_CHECKING:
    from stalker.engine.interface import Engine
    from stalker.run.payload import Payload


def place(engine: Engine, container: str, payload: Payload) -> None:
    """Put the files of a payload in their places; its archive is in the container already.

    Raises:
        EngineError: one could not be placed; what was said of it.
    """
    said = bytearray()
    report = Report(payload.nonce, lambda data, _: said.extend(data))
    code = engine.exec(container, payload.enter, {}, report.feed, user="0")
    if code != 0:
        raise EngineError(
            f"could not place files in the container: {report.trouble or 'unknown'}",
            said.decode("utf-8", "replace").strip(),
        )
