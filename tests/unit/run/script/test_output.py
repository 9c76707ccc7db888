"""What a step writes, on its way to the observers."""

from stalker.model.events import StepOutput
from stalker.run.script.output import TAIL_BYTES, Output


def collected(secrets=()):
    events = []
    return Output("s:a", secrets, events.append, lambda: 7.0), events


def test_each_piece_is_an_event_of_its_stream():
    output, events = collected()

    output.show(b"out", False)
    output.show(b"err", True)

    assert events == [StepOutput(7.0, "s:a", b"out"), StepOutput(7.0, "s:a", b"err", "stderr")]


def test_a_secret_is_masked_also_where_it_comes_in_two_pieces():
    """The other stream between them does not matter; what may be its beginning is held back."""
    output, events = collected(["s3cr3t!"])

    output.show(b"pass s3cr", False)
    output.show(b"warning\n", True)
    output.show(b"3t! end", False)
    output.flush()

    written = b"".join(event.data for event in events if event.stream == "stdout")
    assert b"s3cr" not in written
    assert written.startswith(b"pass ")
    assert written.endswith(b" end")
    assert "s3cr" not in output.tail


def test_the_end_of_it_is_kept():
    output, _ = collected()

    output.show(b"x" * TAIL_BYTES, False)
    output.show(b"last \xff", False)

    assert output.tail.endswith("last \ufffd")
    assert len(output.tail) == TAIL_BYTES
