"""Lines of `config.txt`, which the firmware of a Raspberry Pi reads from the boot partition.

Source: Raspberry Pi documentation, config.txt ("File format", "Conditional filters"): a line holds for the filter
above it, of a key that is repeated the last one counts, `dtparam` and `dtoverlay` add up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.errors import StalkerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.card.inject.staged_changes import Draft

PATH = "/config.txt"
ALL = "[all]"


def put_config_lines(boot: Draft, lines: Sequence[str]) -> list[str]:
    """Add lines to the end of config.txt, for all boards; return what was done. Raises StalkerError."""
    before = boot.read(PATH)
    if before is None:
        raise StalkerError(
            "the boot partition has no config.txt",
            "only the firmware of a Raspberry Pi reads one",
            "leave injections.config_txt out, or put the file there: injections.files",
        )
    text = before.decode("utf-8", "surrogateescape")
    after = with_lines(text, lines)
    if after == text:
        return ["config.txt: has these lines"]
    boot.write(PATH, after.encode("utf-8", "surrogateescape"))
    added = len(after.splitlines()) - len(text.splitlines())
    return [f"config.txt: {added} line{'' if added == 1 else 's'} added"]


def with_lines(text: str, lines: Sequence[str]) -> str:
    """Return a config.txt that ends with these lines, for all boards; unchanged where it does."""
    feed = "\r\n" if "\r\n" in text else "\n"
    there, section = [], ALL
    for line in text.splitlines():
        word = line.strip()
        if word.startswith("["):
            section = word
        elif section == ALL and word and not word.startswith("#"):
            there.append(word)
    if there[len(there) - len(lines) :] == list(lines) and section == ALL:
        return text
    start = text if not text or text.endswith("\n") else text + feed
    head = "" if section == ALL else f"{ALL}{feed}"
    return start + head + "".join(f"{line}{feed}" for line in lines)
