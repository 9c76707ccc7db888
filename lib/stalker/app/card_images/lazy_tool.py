"""The container of tools for a card image: what starts it is loaded when it is needed, which is seldom."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stalker.io.cancel import Cancel
    from stalker.toolbox.container import Tool


@contextlib.contextmanager
def lazy_tool(
    directory: Path, say: Callable[[str], None], cancel: Cancel | None = None
) -> Iterator[Callable[[], Tool]]:
    """Yield a function that returns the container of tools for a directory, which it sees as `/out`.

    Its first call connects to the engine, removes what killed runs left there, and starts the container; work
    that changes only a FAT never calls it and needs no engine. All is closed at the end.
    """
    with contextlib.ExitStack() as stack:

        @functools.cache
        def tool() -> Tool:
            from stalker.app.environment import connect
            from stalker.app.toolbox_image import open_toolbox
            from stalker.run.cleanup import sweep

            engine = stack.enter_context(contextlib.closing(connect()))
            sweep(engine, (), say)
            return stack.enter_context(open_toolbox(engine, say, cancel).opened("toolbox", folder=directory))

        yield tool
