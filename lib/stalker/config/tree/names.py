"""Names that go to the engine or into a container, and the rules they follow."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from stalker.config.syntax.report import Invalid
from stalker.model.image_name import PART, TAG
from stalker.model.tree import PLUGINS_DIR

STEP_NAME_MAX = 120
"""A tag has at most 128 characters, and stalker appends `.failed`."""

_TAG = re.compile(rf"{TAG}\Z")
_PART = re.compile(rf"{PART}\Z")
_VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
_ARTIFACT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\Z")
_VERSION = re.compile(r"-[0-9a-f]{12}\Z|\.(?:unproven|part)\Z")
_PUBLISHED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*\Z")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}\Z")
_OWN_FILES = frozenset({"manifest.json", "boot.log"})
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9]+)?\Z")


def repository_part(text: str) -> str:
    """Return one part of a repository's name (an OS, ARCH, SUBARCH or stalk) in lower case.

    Raises:
        ValueError: it cannot be in an image's name; the text says why.
    """
    lower = text.lower()
    if not _PART.match(lower):
        raise ValueError(
            f"'{text}' cannot be part of an image name: letters and digits, with single _ . or - between them"
        )
    return lower


def check_step_name(name: str, *, is_last: bool) -> None:
    """Check the name of an exec plugin, which becomes a tag.

    Raises:
        ValueError: it cannot be one; the text says why.
    """
    if not _TAG.match(name):
        raise ValueError(f"'{name}' cannot be a tag: letters, digits and _.-, not beginning with . or -")
    if len(name) > STEP_NAME_MAX:
        raise ValueError(f"the name has {len(name)} characters; at most {STEP_NAME_MAX} are possible")
    if name == "initial":
        raise ValueError("a step cannot be named 'initial': that tag is what the stalk started from")
    if name == "final" and not is_last:
        raise ValueError("only the last step can be named 'final': that tag is what the stalk ended with")
    if name.endswith(".failed"):
        raise ValueError("a step's name cannot end in '.failed': that tag is the state of a failed step")


def plugin_name(name: str) -> str:
    """Return the name of any plugin, which is a file's name in the container.

    Raises:
        ValueError: it cannot be one; the text says why.
    """
    if not _TAG.match(name):
        raise ValueError(f"'{name}' cannot name a plugin: letters, digits and _.-, not beginning with . or -")
    return name


def volume_name(name: str) -> str:
    """Return the name of a store. Raises ValueError, which says why."""
    if not _VOLUME.match(name):
        raise ValueError(f"'{name}' cannot name a store: two or more letters, digits and _.-")
    return name


def platform_name(name: str) -> str:
    """Return a platform. Raises ValueError, which says why."""
    if not _PLATFORM.match(name):
        raise ValueError(f"'{name}' is not a platform; write os/architecture[/variant], like linux/arm/v7")
    return name


def artifact_name(name: str) -> str:
    """Return the name of an artifact, which names a link on the host, next to directories of its versions.

    Raises:
        ValueError: it cannot be one; the text says why.
    """
    if not _ARTIFACT.match(name):
        raise ValueError(
            f"'{name}' cannot name an artifact: letters, digits and _.-, not beginning with . or -, at most 100"
        )
    if _VERSION.search(name):
        raise ValueError(
            f"'{name}' looks like a version that is kept beside an artifact; end it in another way"
        )
    return name


def published_name(text: str) -> str:
    """Return the name of a file or directory that is published.

    Raises:
        ValueError: it cannot be one everywhere; the text says why.
    """
    if "/" in text:
        raise ValueError(f"'{text}' is a path; a name alone, since each artifact has its own folder")
    if not _PUBLISHED.match(text) or text in {".", ".."} or len(text.encode()) > 200:
        raise ValueError(f"'{text}' cannot name a file: letters, digits and _.+-, not beginning with . or -")
    if text in _OWN_FILES or text.endswith(".sha256"):
        raise ValueError(f"'{text}' is the name of a file that stalker writes beside it")
    return text


def image_path(text: str) -> str:
    """Return a path in an image, normalised; it may be the root.

    Raises:
        ValueError: it is relative, leaves by `..`, or holds what no path does; the text says so.
    """
    if not text.startswith("/"):
        raise ValueError(f"'{text}' is relative; a path in the image begins with /")
    if ".." in text.split("/"):
        raise ValueError(f"'{text}' holds '..'; write the path it leads to")
    if "\0" in text or "\n" in text:
        raise ValueError("a path cannot hold the character NUL or a new line")
    return posixpath.normpath("/" + text.lstrip("/"))


def path_pattern(text: str) -> str:
    """Return a pattern of paths in an image, normalised: `*` within a name, `**` for any directories.

    Raises:
        ValueError: it is not such a pattern; the text says why.
    """
    pattern = image_path(text)
    if any("**" in part and part != "**" for part in pattern.split("/")):
        raise ValueError(f"'{text}': '**' stands between slashes, for any folders: /lib/**/*.ko")
    if pattern == "/":
        raise ValueError("'/' is everything; /** is a pattern for that")
    return pattern


def excluded_pattern(text: str) -> str:
    """Return a pattern of paths that are left out, normalised.

    Raises:
        ValueError: it is not a pattern, or leaves nothing; the text says so.
    """
    path = image_path(text)
    if [part for part in path.split("/") if part not in {"", "**"}] in ([], ["*"]):
        raise ValueError(f"'{text}' leaves nothing; name what is not wanted, like /usr/share/doc")
    return path_pattern(text)


def expression(text: str) -> str:
    """Return a regular expression. Raises ValueError."""
    try:
        re.compile(text)
    except re.error as error:
        hint = f"the text itself is '{re.escape(text)}'"
        raise Invalid(f"'{text}' is not a valid regular expression: {error}", hint) from error
    return text


def selective_expression(text: str) -> str:
    """Return a regular expression that does not match anything whatever. Raises ValueError."""
    form = re.compile(expression(text))
    if form.search("") and form.search("\x00"):
        hint = "is a * or ? too many in it?" if text else "write what must be seen"
        raise Invalid(f"'{text}' matches anything", hint)
    return text


def kernel_arguments(text: str) -> str:
    """Return the command line of a kernel. Raises ValueError."""
    if not text.isprintable():
        raise ValueError("a kernel's command line is one line")
    return text


def reason(of: str, why: str) -> Callable[[str], str]:
    """Return a conversion of the reason for which a gate or hazard is waived, which is not empty."""

    def read(text: str) -> str:
        if not text.strip():
            raise Invalid(f"the {of} is waived without a reason", why)
        return text

    return read


def capability(text: str) -> str:
    """Return a capability's name as the engine has it, without `CAP_`."""
    return text.upper().removeprefix("CAP_")


def sha256(text: str) -> str:
    """Return a SHA-256 in small letters. Raises ValueError."""
    if not _SHA256.match(text):
        raise ValueError(f"'{text}' is not a SHA-256: 64 digits of 0-9a-f")
    return text.lower()


def checksum(text: str) -> str:
    """Return a checksum as `algorithm:digits` in small letters; SHA-256 needs no name. Raises ValueError."""
    algorithm, colon, digits = text.rpartition(":")
    name = algorithm.lower().replace("-", "") if colon else "sha256"
    wanted = {"sha256": 64, "sha512": 128}.get(name)
    if wanted is None:
        raise ValueError(f"'{algorithm}' is not a checksum that is known here: sha256 or sha512")
    if not re.fullmatch(rf"[0-9a-fA-F]{{{wanted}}}", digits):
        raise ValueError(f"'{digits}' is not a {name}: it has {wanted} digits of 0-9a-f")
    return f"{name}:{digits.lower()}"


def fingerprint(text: str) -> str:
    """Return a full OpenPGP fingerprint, without blanks. Raises ValueError."""
    name = text.upper().replace(" ", "").removeprefix("0X")
    if re.fullmatch(r"[0-9A-F]{8}|[0-9A-F]{16}", name):
        what = f"'{text}' is a short key id, which anybody can forge"
        raise Invalid(what, "write the full fingerprint, 40 digits")
    if not _FINGERPRINT.match(name):
        raise ValueError(f"'{text}' is not a fingerprint: 40 digits of 0-9A-F")
    return name


def target_path(text: str) -> str:
    """Return a path in a container, normalised.

    Raises:
        ValueError: it is relative, leaves by `..`, or is the root; the text says so.
    """
    if not text.startswith("/"):
        raise ValueError(f"'{text}' is relative; a path in the container begins with /")
    if ".." in text.split("/"):
        raise ValueError(f"'{text}' holds '..'; write the path it leads to")
    if "\0" in text:
        raise ValueError("a path cannot hold the character NUL")
    path = posixpath.normpath("/" + text.lstrip("/"))
    if path == "/":
        raise ValueError("the whole root cannot be covered")
    if path == PLUGINS_DIR:
        raise ValueError(f"{PLUGINS_DIR} holds the scripts and cannot be covered")
    return path
