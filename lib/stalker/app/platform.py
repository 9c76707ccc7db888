"""Make the engine run containers of a platform that it has no emulator for."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from stalker.app.environment import connect
from stalker.app.toolbox_image import image_maker
from stalker.engine.run_id import new_run_id
from stalker.host.install_engine import look_around
from stalker.host.register_emulator import platform_up
from stalker.model.labels import CONTAINER, RUN, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.app.settings import Settings


def enable_platform(settings: Settings, platform: str, say: Callable[[str], None], *, yes: bool) -> None:
    """Register an emulator for a platform where the engine needs one; `say` gets what that changed.

    Raises:
        NoEngine: no engine answers.
        EngineError: the user did not agree, or no emulator could be registered.
    """
    engine = connect()
    try:
        platform_up(
            platform,
            engine,
            look_around(os.environ),
            yes=yes,
            ask=settings.ask,
            say=say,
            image_of=image_maker(engine, say),
            labels={RUN: new_run_id(time.time()), VERSION: CONTAINER},
        )
    finally:
        engine.close()
