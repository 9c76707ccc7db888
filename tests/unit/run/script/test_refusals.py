"""What hindered a step, in words."""

from __future__ import annotations

from build import step
from stalker.run.script.payload import Start, make_payload
from stalker.run.script.refusals import survived


def test_many_places_of_one_file_are_counted():
    made = step("s")
    payload = make_payload(made, {}, "abc", Start({}))
    places = "\n".join(f"/srv/{number}" for number in range(2000))

    error = survived(made, [(0, "s", places)], payload)

    assert error.brief.endswith("was moved or linked to /srv/0 and /srv/1 and /srv/2 and 1997 other places")
