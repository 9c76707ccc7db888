"""`stalker cache`: downloads that are kept, and the policy that says for how long."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stalker.app.environment import cache_dir
from stalker.cli.lazy import Group
from stalker.errors import PlanError
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.maintenance import prune as prune_cache
from stalker.fetch.cache.maintenance import verify as verify_cache
from stalker.fetch.cache.policy_file import FILE_NAME, load_policy
from stalker.fetch.urls import shown as shown_url
from stalker.io.units import age_text, size_text
from stalker.model.escaping import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from stalker.fetch.cache.entries import Keeper
    from stalker.fetch.cache.entry import Entry
    from stalker.fetch.cache.policy_file import PolicyFile

_in_folder = click.option(
    "--cache-dir", metavar="DIR", help="The cache in DIR; default: that of stalker's own downloads."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group(cls=Group)
def cache() -> None:
    """Look at the downloads that are kept, and look after them."""


@cache.command()
@_in_folder
@_as_json
def show(cache_dir: str | None, as_json: bool) -> None:
    """List what is there: size, age, last use, the part of the policy that holds it, and its source."""
    keeper = _keeper(cache_dir)
    entries = sorted(keeper.index.entries(), key=lambda entry: entry.used_s, reverse=True)
    if as_json:
        click.echo(json.dumps([_document(entry, keeper) for entry in entries], indent=2))
        return
    now_s = time.time()
    rows = [
        (
            size_text(entry.size_bytes),
            age_text(now_s - entry.added_s),
            age_text(now_s - entry.used_s),
            str(entry.used_count),
            _held_by(entry, keeper),
            shown_url(entry.source),
        )
        for entry in entries
    ]
    if rows:
        click.echo(_table(("SIZE", "AGE", "USED", "TIMES", "POLICY", "SOURCE"), rows, right=(0, 1, 2, 3)))
        total = sum({entry.sha256: entry.size_bytes for entry in entries}.values())
        click.echo(f"{_count(len(rows))}, {size_text(total)} in {keeper.store.root}", err=True)
    else:
        click.echo(f"nothing is cached in {keeper.store.root}", err=True)
    _print_others(keeper)


@cache.command()
@_in_folder
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@_as_json
def prune(cache_dir: str | None, dry_run: bool, as_json: bool) -> None:
    """Remove what the policy does not keep, and partial downloads older than two weeks."""
    keeper = _keeper(cache_dir)
    done = prune_cache(keeper, is_dry=dry_run)
    if as_json:
        document = {
            "evicted": [{**_document(one.entry, keeper), "reason": one.reason} for one in done.evicted],
            "in_use": [{**_document(one.entry, keeper), "reason": one.reason} for one in done.in_use],
            "parts": [str(path) for path in done.parts],
            "freed_bytes": done.freed_bytes,
        }
        click.echo(json.dumps(document, indent=2))
        return
    for one in done.evicted:
        click.echo(f"{shown_url(one.entry.source)}: {one.reason}")
    for path in done.parts:
        click.echo(f"{path}: started more than two weeks ago and not continued")
    for one in done.in_use:
        click.echo(f"{shown_url(one.entry.source)} stays, it is being used: {one.reason}", err=True)
    would = "would be" if dry_run else "were"
    click.echo(f"{_count(len(done.evicted))}, {size_text(done.freed_bytes)} {would} removed", err=True)


@cache.command()
@_in_folder
@_as_json
@click.pass_context
def verify(ctx: click.Context, cache_dir: str | None, as_json: bool) -> None:
    """Read all that is there and drop what is damaged; exit code 1 when something was."""
    keeper = _keeper(cache_dir)
    counts: dict[str, int] = {}
    documents = []
    for one in verify_cache(keeper):
        counts[one.state] = counts.get(one.state, 0) + 1
        if as_json:
            documents.append({**_document(one.entry, keeper), "state": one.state, "details": one.details})
        elif one.state != "ok":
            click.echo(f"{one.state}: {shown_url(one.entry.source)}")
            for line in one.details.splitlines():
                click.echo(f"  {line}")
    if as_json:
        click.echo(json.dumps(documents, indent=2))
    bad = counts.get("damaged", 0) + counts.get("missing", 0)
    click.echo(f"{_count(counts.get('ok', 0))} as fetched, {bad} dropped", err=True)
    ctx.exit(1 if bad else 0)


@cache.command()
@click.argument("file", metavar="[FILE]", required=False)
@_in_folder
@_as_json
def policy(file: str | None, cache_dir: str | None, as_json: bool) -> None:
    """Print the policy in force and where each value comes from; with FILE, check that file instead."""
    path = Path(file) if file else _root(cache_dir) / FILE_NAME
    if file and not path.is_file():
        raise PlanError(f"there is no file {file}", "", "name a policy file")
    read = load_policy(path)
    rows = list(_policy_rows(read))
    if as_json:
        click.echo(
            json.dumps([dict(zip(("key", "value", "from"), row, strict=True)) for row in rows], indent=2)
        )
        return
    click.echo(_table(("KEY", "VALUE", "FROM"), rows))
    if not read.places:
        click.echo(f"there is no {path}: these are the defaults", err=True)


def _root(directory: str | None) -> Path:
    return Path(directory) if directory else cache_dir() / "downloads"


def _keeper(directory: str | None) -> Keeper:
    return Cache(_root(directory), say=lambda text: click.echo(text, err=True)).keeper


def _held_by(entry: Entry, keeper: Keeper) -> str:
    ruling = keeper.policy.policy.ruling(entry.kind, entry.source)
    return ruling.refusal or ruling.scopes[0].name


def _document(entry: Entry, keeper: Keeper) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "source": shown_url(entry.source),
        "sha256": entry.sha256,
        "size_bytes": entry.size_bytes,
        "added": entry.added_s,
        "checked": entry.checked_s,
        "used": entry.used_s,
        "used_count": entry.used_count,
        "policy": _held_by(entry, keeper),
        "path": str(keeper.store.content_path(entry.sha256)),
    }


def _count(number: int) -> str:
    return f"{number} download{'' if number == 1 else 's'}"


def _print_others(keeper: Keeper) -> None:
    """Print what the entries leave out: partial downloads, and downloads of older versions."""
    parts = [stat.st_size for path, stat in keeper.store.parts() if path.suffix == ".part"]
    if parts:
        click.echo(f"{_count(len(parts))} to go on with, {size_text(sum(parts))}", err=True)
    old = [
        path.stat().st_size
        for path in (keeper.store.root / "downloads").glob("*/*")
        if path.is_file() and not path.name.startswith(".")
    ]
    if old:
        click.echo(
            f"{_count(len(old))} of an older version, {size_text(sum(old))}: taken over on first use",
            err=True,
        )


_LIMITS = {
    "max_size": "max_size_bytes",
    "max_age": "max_age_s",
    "max_num": "max_num",
    "check_after": "check_after_s",
    "keep_identified_versions": "keep_identified_versions",
    "eviction": "eviction",
}
_INHERITED = ("check_after", "keep_identified_versions")


def _policy_rows(read: PolicyFile) -> list[tuple[str, str, str]]:
    """Return each key that holds, its value as written, and where it was written."""
    found = read.policy
    rows = [_row(read, "enabled", str(found.enabled).lower())]
    rows += _limit_rows(read, "", found.limits, ())
    for name, section in found.sections.items():
        rows.append(_row(read, f"{name}.enabled", str(section.enabled).lower()))
        rows += _limit_rows(read, name, section.limits, ("",))
        for number, one in enumerate(section.filters):
            inner = f"{name}.filters.{number}"
            rows.append(_row(read, f"{inner}.pattern", one.pattern))
            rows.append(_row(read, f"{inner}.ignore", str(one.ignore).lower()))
            rows += _limit_rows(read, inner, one.limits, (name, ""))
    return rows


def _row(read: PolicyFile, key: str, value: str) -> tuple[str, str, str]:
    place = read.places.get(key)
    return key, read.texts.get(key, value), str(place) if place else "default"


def _limit_rows(
    read: PolicyFile, scope: str, limits: object, outer: Sequence[str]
) -> list[tuple[str, str, str]]:
    rows = []
    for key, field in _LIMITS.items():
        path = f"{scope}.{key}" if scope else key
        value = getattr(limits, field)
        if path in read.places or value is not None:
            rows.append(_row(read, path, _default_text(key, value)))
            continue
        around = (f"{one}.{key}" if one else key for one in outer)
        source = next((one for one in around if one in read.places), "") if key in _INHERITED else ""
        if source:
            rows.append((path, read.texts[source], f"{source}, {read.places[source]}"))
        elif not outer:
            rows.append((path, "-", "default"))
    return rows


def _default_text(key: str, value: object) -> str:
    if key == "max_size" and isinstance(value, int) and value % 1024**3 == 0:
        return f"{value // 1024**3}GiB"
    return str(value)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    titles, *rows = (tuple(map(shown, row)) for row in (titles, *rows))
    widths = [max(len(row[column]) for row in (titles, *rows)) for column in range(len(titles))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (titles, *rows)
    )
