"""Places and problems as a user reads them."""

from stalker.model.diagnostics import Place, Problem


def test_a_problem_is_printed_with_place_keys_and_remedy():
    """Control characters of a file do not reach the terminal."""
    place = Place("a.hjson", 14, 5, "plugins.x")

    assert place.short == "a.hjson:14"
    assert str(Problem(place, "wrong\x1b[2J", "fix it")) == "a.hjson:14:5: plugins.x: wrong\\x1b[2J\n  fix it"
    assert str(Problem(Place("a"), "old", is_warning=True)) == "a:1:1: warning: old"
