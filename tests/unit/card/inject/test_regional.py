"""Time zone, language and keyboard of one machine."""

from __future__ import annotations

import pytest

from stalker.card.inject.inject import inject
from stalker.errors import StalkerError
from stalker.model.card import Injections
from unit.helpers.memory_editor import MemoryEditor, MemoryEditors

BERLIN = "/usr/share/zoneinfo/Europe/Berlin"
UTC = "/usr/share/zoneinfo/UTC"


def injected(root: MemoryEditor, **injections: str) -> list[str]:
    editors = MemoryEditors(root=root)
    done = inject(editors, Injections(**injections), lambda secret: secret.text)
    editors.take(done)
    return list(done.said)


def test_a_time_zone_is_a_link_to_one_that_the_image_has():
    """A copy that is there is replaced, and Debian's file agrees."""
    root = MemoryEditor({BERLIN: "TZif", "/etc/localtime": "copy", "/etc/debian_version": "12\n"})

    assert injected(root, timezone="Europe/Berlin") == ["time zone: Europe/Berlin"]

    assert root.found("/etc/localtime").target == "../usr/share/zoneinfo/Europe/Berlin"
    assert root.text("/etc/timezone") == "Europe/Berlin\n"


@pytest.mark.parametrize(("nodes", "said"), [({}, "install tzdata"), ({UTC: "TZif"}, "Area/City")])
def test_a_time_zone_that_the_image_does_not_have_is_refused(nodes, said):
    """A link that leads nowhere is UTC, and nothing says so."""
    with pytest.raises(StalkerError) as caught:
        injected(MemoryEditor(nodes), timezone="Europe/Berln")

    assert "Europe/Berln" in caught.value.brief
    assert said in caught.value.resolution


@pytest.mark.parametrize(
    ("nodes", "path", "content"),
    [
        ({"/etc/default/locale": "A=b\nLANG=C\nX=y"}, "/etc/default/locale", "A=b\nLANG=de_DE.UTF-8\nX=y"),
        ({"/etc/debian_version": "12\n"}, "/etc/default/locale", "LANG=de_DE.UTF-8\n"),
        ({"/etc/locale.conf": "LC_TIME=C"}, "/etc/locale.conf", "LC_TIME=C\nLANG=de_DE.UTF-8\n"),
    ],
)
def test_the_language_is_one_line(nodes, path, content):
    """Of Debian's file or of systemd's; all other lines stay."""
    root = MemoryEditor({**nodes, "/usr/lib/locale/locale-archive": "..de_DE.utf8.."})

    assert injected(root, locale="de_DE.UTF-8") == [f"locale: de_DE.UTF-8 in {path}"]

    assert root.text(path) == content


def test_a_locale_that_is_missing_is_a_warning_and_is_listed_to_be_made():
    """Programs would fall back to C."""
    root = MemoryEditor(
        {"/etc/debian_version": "12\n", "/etc/locale.gen": "# en_GB.UTF-8 UTF-8\n# de_DE.UTF-8 UTF-8\n"}
    )

    said = injected(root, locale="de_DE.UTF-8")

    assert said[1].startswith("warning: the image does not have the locale de_DE.UTF-8 yet: run locale-gen")
    assert root.text("/etc/locale.gen") == "# en_GB.UTF-8 UTF-8\nde_DE.UTF-8 UTF-8\n"


@pytest.mark.parametrize(
    ("nodes", "written"),
    [
        (
            {"/etc/default/keyboard": 'XKBMODEL="x"\nXKBLAYOUT="us"\nXKBVARIANT=""\n'},
            {"/etc/default/keyboard": 'XKBMODEL="x"\nXKBLAYOUT="de"\nXKBVARIANT="nodeadkeys"\n'},
        ),
        ({"/etc/vconsole.conf": "FONT=x\n"}, {"/etc/vconsole.conf": "FONT=x\nKEYMAP=de-nodeadkeys\n"}),
        ({}, {"/etc/vconsole.conf": "KEYMAP=de-nodeadkeys\n"}),
    ],
)
def test_a_keyboard_is_written_where_the_image_reads_it(nodes, written):
    """console-setup of Debian, vconsole.conf elsewhere."""
    root = MemoryEditor({"/etc/hostname": "a\n", **nodes})

    injected(root, keymap="de-nodeadkeys")

    assert {path: root.text(path) for path in written} == written
