"""Which view a run has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TextIO

from stalker.journal.views.plain import Detail, PlainView
from stalker.journal.views.stream import Sink, clean_line, harmless
from stalker.model import events as ev

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class View(Protocol):
    """An observer that shows a run; `close` gives the terminal back, also after a crash."""

    def on_event(self, event: ev.Event) -> None:
        """Take one event; never raise."""

    def close(self) -> None:
        """Show what is held back; to be called once, at the end."""


class InfoView:
    """Observer for `--eliot_info`: what became of containers and images, as it happens, a line each."""

    def __init__(self, stream: TextIO | Sink) -> None:
        """Write to `stream`."""
        self._sink = stream if isinstance(stream, Sink) else Sink(stream)

    def on_event(self, event: ev.Event) -> None:
        """Take one event; never raises."""
        line = _info(harmless(event))
        if line:
            self._sink.write_line(clean_line(line))

    def close(self) -> None:
        """Nothing is held back."""


class Several:
    """Several views as one, notified in this order."""

    def __init__(self, views: Sequence[View]) -> None:
        """Take the views."""
        self._views = tuple(views)

    def on_event(self, event: ev.Event) -> None:
        """Tell each of one event; never raises."""
        for view in self._views:
            view.on_event(event)

    def close(self) -> None:
        """Close each."""
        for view in self._views:
            view.close()


def choose_view(
    stdout: TextIO,
    stderr: TextIO,
    environ: Mapping[str, str],
    *,
    quiet: bool = False,
    json: bool = False,
    watch: bool = False,
    eliot_info: bool = False,
) -> View:
    """Return the view that flags and streams ask for: results on stdout, messages on stderr.

    A live view is for a terminal on stderr to which nothing else is written.
    """
    out = Sink(stdout)
    err = Sink(stderr, out)
    colour = "NO_COLOR" not in environ or environ["NO_COLOR"] == ""
    can_draw = err.is_terminal and environ.get("TERM", "") not in {"", "dumb"}
    colour = colour and can_draw
    info: list[View] = [InfoView(out)] if eliot_info and not json else []
    main: View
    # The views are imported where they are chosen: start-up time is what every run pays.
    if json:
        from stalker.journal.views.json_lines import JsonView

        main = Several(
            [JsonView(out), PlainView(err, detail="errors" if quiet else "results", colour=colour)]
        )
    elif quiet and not watch:
        main = PlainView(err, detail="errors", colour=colour)
    elif watch:
        detail: Detail = (
            "errors" if quiet else "all" if err.is_terminal and not out.is_terminal else "results"
        )
        from stalker.journal.views.watch import WatchView

        main = WatchView(out, PlainView(err, detail=detail, colour=colour))
    elif can_draw and not info:
        from stalker.journal.views.live import LiveView

        main = LiveView(err, colour=colour)
    else:
        main = PlainView(err, colour=colour)
    return Several([main, *info]) if info else main


def _info(event: ev.Event) -> str:
    match event:
        case ev.BaseFinished() if event.image:
            return f"{event.stalk}:initial : {_short(event.image)} found"
        case ev.StepReused():
            return f"{event.step} : {_short(event.image)} found"
        case ev.ContainerStarted():
            return f"{event.step} : {event.container} {'reused' if event.is_reused else 'created'}"
        case ev.StepFinished() if event.image:
            return f"{event.step} : {_short(event.image)} committed"
        case ev.StepBlocked():
            return f"{event.step} : blocked, {event.cause}"
        case ev.ArtifactFinished() if event.state == "done":
            return f"{event.artifact} : {event.path} published"
    return ""


def _short(image: str) -> str:
    """Return `sha256:` and ten digits, as docker-py's short ids are; a name as it is."""
    return image[: len("sha256:") + 10] if image.startswith("sha256:") else image
