"""Messages are tried again, later each time, and given up in the end."""

from __future__ import annotations

import time

from stalker.service.store import messages


def test_a_message_is_sent_once(database):
    database.write(lambda connection: messages.add(connection, "b", "notify", {"text": "done"}))
    (message,) = database.read(lambda connection: messages.due(connection, time.time()))

    database.write(lambda connection: messages.sent(connection, message.number))

    assert message.content == {"text": "done"}
    assert database.read(lambda connection: messages.due(connection, time.time() + 1e6)) == []
    assert database.read(messages.next_due) is None


def test_an_outage_delays_a_message(database):
    """Twice as long each time; after the last attempt its error stays with the build."""
    database.write(lambda connection: messages.add(connection, "b", "status", {}))
    later = 0.0
    for _ in range(messages.ATTEMPTS_MAX):
        (message,) = database.read(lambda connection: messages.due(connection, 1e12))
        database.write(lambda connection, message=message: messages.failed(connection, message, "refused"))
        due = database.read(messages.next_due)
        assert due is None or due > later
        later = due or later

    assert database.read(lambda connection: messages.due(connection, 1e12)) == []
    assert database.read(lambda connection: messages.of_build(connection, "b")) == [
        ("status", "failed", "refused")
    ]
