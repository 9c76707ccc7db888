"""What of a container's changes an image cannot hold."""

from stalker.run.changes import whiteout_names


def test_a_name_that_deletes_its_neighbour_is_named():
    """One that was deleted is in no layer, and the prefix elsewhere in a path is only a name."""
    changed = [("A", "/srv/.wh.x"), ("C", "/srv/.wh..wh..opq"), ("D", "/srv/.wh.y"), ("A", "/a.wh.b/.wh")]

    assert whiteout_names(changed) == ["/srv/.wh.x", "/srv/.wh..wh..opq"]
