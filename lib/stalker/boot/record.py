"""A boot test as a manifest keeps it, so that the image can be booted again without its tree."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

from stalker.errors import StalkerError
from stalker.model.artifacts import BootTest, Expectation
from stalker.model.diagnostics import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("wait", "type", "run", "power_off")


def as_record(test: BootTest) -> dict[str, Any]:
    """Return a test as plain values; of secrets it has the names alone."""
    found = {name: value for name, value in asdict(test).items() if name != "place"}
    found["expectations"] = [
        {name: value for name, value in asdict(one).items() if name != "place" and value not in ("", None)}
        for one in test.expectations
    ]
    return found


def from_record(record: Mapping[str, Any], file: str) -> BootTest:
    """Return a test that a manifest keeps; `file` is named where something is wrong with it.

    Raises:
        StalkerError: the record is not whole.
    """
    place = Place(file)
    try:
        test = BootTest(machine=_checked(record["machine"], str), place=place)
        given = {
            one.name: _checked(record[one.name], type(getattr(test, one.name)))
            for one in fields(BootTest)
            if one.name in record and one.name not in {"place", "expectations"}
        }
        expectations = tuple(_expectation(one, place) for one in record["expectations"])
        return replace(test, **given, expectations=expectations)
    except (KeyError, TypeError, ValueError) as error:
        raise StalkerError(f"{file}: the boot test in it is not whole", str(error)) from error


def _expectation(record: Mapping[str, Any], place: Place) -> Expectation:
    if record["kind"] not in KINDS:
        raise ValueError(record["kind"])
    timeout_s = record.get("timeout_s")
    return Expectation(
        kind=record["kind"],
        text=_checked(record.get("text", ""), str),
        place=place,
        matches=_checked(record.get("matches", ""), str),
        exit_code=_checked(record.get("exit_code", 0), int),
        timeout_s=None if timeout_s is None else _checked(timeout_s, float),
        secret=_checked(record.get("secret", ""), str),
    )


def _checked(value: Any, kind: type) -> Any:
    if kind is float and isinstance(value, int):
        value = float(value)
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value
