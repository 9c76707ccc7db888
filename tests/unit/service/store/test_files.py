"""Published files: a name has one file, a link the newest."""

from __future__ import annotations

from stalker.service.store import files
from stalker.service.store.files import File


def test_a_link_is_the_newest_file(database):
    for number, build in enumerate(("a", "b")):
        file = File(build, "core", f"core-{build}.tar", "core.tar", number, "0" * 64)
        database.write(lambda connection, file=file: files.add(connection, file))

    found = database.read(lambda connection: files.find(connection, "core", "core.tar"))

    assert found.name == "core-b.tar"
    assert database.read(lambda connection: files.find(connection, "core", "../core.tar")) is None
    assert [file.name for file in database.read(lambda connection: files.of_build(connection, "a"))] == [
        "core-a.tar"
    ]


def test_a_name_is_replaced(database):
    for build in ("a", "b"):
        file = File(build, "core", "core.tar", "", 1, "0" * 64)
        database.write(lambda connection, file=file: files.add(connection, file))

    assert [
        file.build for file in database.read(lambda connection: files.of_project(connection, "core"))
    ] == ["b"]
