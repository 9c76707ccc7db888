"""Values of DOCKER_OPTS: each function takes a node and returns its value in one form, for JSON.

All raise ValueError with a sentence on what is wrong.
"""

# A wrong kind is a wrong value of the user here, told like any other.
# ruff: noqa: TRY004

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from stalker.config.syntax.document import plain
from stalker.io.units import binary_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.config.syntax.document import Node

_CAPABILITY = re.compile(r"[A-Z][A-Z_]*\Z")
_ULIMIT = re.compile(r"(-?\d+)(?::(-?\d+))?\Z")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?\Z")


def anything(node: Node) -> Any:
    """Any value."""
    return plain(node)


def flag(node: Node) -> bool:
    """True or false."""
    if not isinstance(node.value, bool):
        raise ValueError(f"must be true or false, is {node.kind}")
    return node.value


def text(node: Node) -> str:
    """Text that is not empty."""
    if not isinstance(node.value, str):
        raise ValueError(f"must be text, is {node.kind}")
    if not node.value:
        raise ValueError("is empty")
    return node.value


def word(node: Node) -> str:
    """Text or a number, as written."""
    if isinstance(node.value, bool | list | dict) or node.value is None or not node.text:
        raise ValueError(f"must be text or a number, is {node.kind if node.text else 'empty'}")
    return node.text


def words(node: Node) -> list[str]:
    """Texts or numbers, one or several."""
    return [word(child) for child in _many(node)]


def texts(node: Node) -> list[str]:
    """Texts, one or several."""
    return [text(child) for child in _many(node)]


def addresses(node: Node) -> list[str]:
    """IP addresses, one or several."""
    return [_address(text(child)) for child in _many(node)]


def capabilities(node: Node) -> list[str]:
    """Capabilities without `CAP_`, sorted."""
    names = [text(child).upper().removeprefix("CAP_") for child in _many(node)]
    for name in names:
        if not _CAPABILITY.match(name):
            raise ValueError(f"'{name}' is not a capability; write it like SYS_PTRACE")
    return sorted(set(names))


def network(node: Node) -> str:
    """A network: none, bridge, host, container:NAME, or a name."""
    name = text(node)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:-]*", name):
        raise ValueError(f"'{name}' is not a network name")
    return name


def tmpfs(node: Node) -> dict[str, str]:
    """Paths with mount options: a mapping, or a list of paths with or without `:options`."""
    pairs = _pairs(node, split=True)
    for path in pairs:
        if not path.startswith("/"):
            raise ValueError(f"'{path}' is not an absolute path")
    return pairs


def hosts(node: Node) -> dict[str, str]:
    """Names with addresses: a mapping, or a list of `name:address`."""
    pairs = _pairs(node, split=True)
    return {name: value if value == "host-gateway" else _address(value) for name, value in pairs.items()}


def text_pairs(node: Node) -> dict[str, str]:
    """A mapping of texts or numbers."""
    if not isinstance(node.value, dict):
        raise ValueError(f"must be a mapping, is {node.kind}")
    return _pairs(node, split=False)


def size(node: Node) -> int:
    """A size in bytes."""
    return binary_bytes(word(node))


def size_or_unlimited(node: Node) -> int:
    """A size in bytes, or -1."""
    return -1 if word(node) == "-1" else binary_bytes(node.text)


def cpus(node: Node) -> str:
    """Numbers of processors: `0-3,5`."""
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", word(node)):
        raise ValueError(f"'{node.text}' is not a list of processors; write it like 0-3,5")
    return node.text


def user(node: Node) -> str:
    """A user, by name or number, with or without a group."""
    if not _USER.match(word(node)):
        raise ValueError(f"'{node.text}' is not a user; write name, uid, or user:group")
    return node.text


def folder(node: Node) -> str:
    """An absolute path."""
    if not text(node).startswith("/"):
        raise ValueError(f"'{node.text}' is not an absolute path")
    return posixpath.normpath(node.text)


def devices(node: Node) -> list[str]:
    """Devices as `/dev/host[:/dev/there[:rwm]]`."""
    found = texts(node)
    for name in found:
        if not re.fullmatch(r"/[^:]+(:/[^:]+)?(:[rwm]+)?", name):
            raise ValueError(f"'{name}' is not a device; write /dev/host[:/dev/there[:rwm]]")
    return found


def ulimits(node: Node) -> list[dict[str, Any]]:
    """Limits as `[{Name, Soft, Hard}]`, sorted; from a mapping `name: soft[:hard]` or docker-py's list."""
    if isinstance(node.value, dict):
        found = [_ulimit(name, word(child)) for name, child in node.items()]
    else:
        found = []
        for child in _many(node):
            if isinstance(child.value, dict):
                given = {key.lower(): each for key, each in child.items()}
                if not {"name", "soft"} <= given.keys() <= {"name", "soft", "hard"}:
                    raise ValueError("a limit has name, soft and hard")
                soft = word(given["soft"])
                hard = word(given["hard"]) if "hard" in given else soft
                found.append(_ulimit(text(given["name"]), f"{soft}:{hard}"))
            else:
                name, _, value = text(child).partition("=")
                found.append(_ulimit(name, value))
    return sorted(found, key=lambda one: str(one["Name"]))


def log_config(node: Node) -> dict[str, Any]:
    """The engine's own log: `{Type, Config}`."""
    given = {key.lower(): child for key, child in node.items()}
    if not given or not given.keys() <= {"type", "config"}:
        raise ValueError("must be a mapping with type and config")
    return {
        "Type": text(given["type"]) if "type" in given else "",
        "Config": text_pairs(given["config"]) if "config" in given else {},
    }


def one_of(*allowed: str) -> Callable[[Node], str]:
    """Return a reader of one of some words."""

    def read(node: Node) -> str:
        if text(node) not in allowed:
            raise ValueError(f"must be {' or '.join(allowed)}, is '{node.text}'")
        return node.text

    return read


def whole(minimum: int, maximum: int) -> Callable[[Node], int]:
    """Return a reader of a whole number between two bounds."""

    def read(node: Node) -> int:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"must be a whole number, is {node.kind}")
        if not minimum <= value <= maximum:
            raise ValueError(f"must lie between {minimum} and {maximum}, is {value}")
        return value

    return read


def _many(node: Node) -> list[Node]:
    if isinstance(node.value, dict) or node.value is None:
        raise ValueError(f"must be a list, is {node.kind}")
    return node.value if isinstance(node.value, list) else [node]


def _pairs(node: Node, *, split: bool) -> dict[str, str]:
    if isinstance(node.value, dict):
        pairs: dict[str, str] = {}
        for name, child in node.items():
            if isinstance(child.value, dict | list) or child.value is None:
                raise ValueError(f"'{name}' must be text, is {child.kind}")
            pairs[name] = child.text
        return pairs
    if not split:
        raise ValueError(f"must be a mapping, is {node.kind}")
    found = [text(child).partition(":") for child in _many(node)]
    return {name: value for name, _, value in found}


def _address(name: str) -> str:
    import ipaddress  # 4 ms; most stalks name no address

    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        raise ValueError(f"'{name}' is not an IP address") from None


def _ulimit(name: str, value: str) -> dict[str, Any]:
    found = _ULIMIT.match(value)
    if not name or found is None:
        raise ValueError(f"'{name}={value}' is not a limit; write name: soft or name: soft:hard")
    soft = int(found[1])
    return {"Name": name, "Soft": soft, "Hard": int(found[2]) if found[2] else soft}
