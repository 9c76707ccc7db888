"""The head of a server's answer, read: versions, ranges, and when to come back."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime

from stalker.fetch.cache.entry import Validators

TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524})
"""Answers after which the same question may be answered better."""

_DIGEST = re.compile(r"sha-256=:?([A-Za-z0-9+/]{43}=):?(?:[,;]|\Z)", re.IGNORECASE)
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


def validators_of(headers: Mapping[str, str], on_the_way: Iterable[Mapping[str, str]] = ()) -> Validators:
    """Return what an answer says of its version; `on_the_way` are the heads of the redirects to it."""
    length = headers.get("content-length", "")
    whole = length if "content-range" not in headers else ""
    return Validators(
        headers.get("etag", "").strip(),
        headers.get("last-modified", "").strip(),
        int(whole) if whole.isdecimal() else None,
        next((found for one in (*on_the_way, headers) if (found := _sha256_in(one))), ""),
    )


def strong_validator(validators: Validators) -> str:
    """Return what can go into If-Range, empty when nothing can: a weak ETag says nothing about bytes."""
    if validators.etag and not validators.etag.startswith("W/"):
        return validators.etag
    return validators.last_modified


def sent_range(headers: Mapping[str, str]) -> tuple[int, int | None] | None:
    """Return where the bytes of a 206 begin and the size of the whole, if given; None without either."""
    found = _RANGE.fullmatch(headers.get("content-range", "").strip())
    if found is None:
        return None
    return int(found[1]), None if found[3] == "*" else int(found[3])


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Return for how long the server wants to be left alone: seconds or a date; 0 when it does not say."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _sha256_in(headers: Mapping[str, str]) -> str:
    """Return the SHA-256 (hex) of RFC 9530's `Repr-Digest` or RFC 3230's `Digest`."""
    for name in ("repr-digest", "digest"):
        found = _DIGEST.search(headers.get(name, ""))
        if found:
            try:
                return base64.b64decode(found[1], validate=True).hex()
            except binascii.Error:
                continue
    return ""
