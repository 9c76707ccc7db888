"""What is injected stays after the first boot of a base with cloud-init, by settings of its own.

cloud-init gives a machine its name, accounts and network when it boots for the first time, from `/etc/cloud` and from the
`user-data`, `meta-data` and `network-config` of a seed. A file of `cloud.cfg.d` wins over the other files there, a seed
wins over both: so the first gets the settings, and in a seed only the keys that contradict are changed.

Sources: cloud-init, reference/modules (Set Hostname, Update Etc Hosts, Users and Groups, Set Passwords, SSH, Locale,
Keyboard, Timezone), reference/network-config, explanation/configuration ("configuration sources"), datasources/nocloud.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from stalker.card.inject.wifi import MANAGER
from stalker.formats.yaml_text import REMOVED, read_mapping, with_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from stalker.card.inject.staged_changes import Draft
    from stalker.model.card import Injections

CONFIG = "/etc/cloud/cloud.cfg"
PROGRAMS = ("/usr/bin/cloud-init", "/bin/cloud-init", "/usr/local/bin/cloud-init")
DROP_IN = "/etc/cloud/cloud.cfg.d/zz-injected.cfg"
"""Read as the last one: cloud-init sorts them by name."""

HEAD = "# Keeps what was injected into this image. Remove this file to let cloud-init manage it again.\n"
ROOT_SEEDS = ("/var/lib/cloud/seed/nocloud", "/var/lib/cloud/seed/nocloud-net")
SEED_FILES = ("user-data", "meta-data", "network-config")
IS_CONFIG = b"#cloud-config"
HOST_KEYS = "/etc/ssh/ssh_host_"


def keep_injections(root: Draft, find_boot: Callable[[], Draft | None], injections: Injections) -> list[str]:
    """Write the settings by which cloud-init leaves alone what is injected; return what was done, in words.

    The boot partition is only opened where the image has cloud-init.
    """
    root.know([CONFIG, *PROGRAMS])
    if not root.first_file([*PROGRAMS, CONFIG]):
        return []
    root.know([DROP_IN, *MANAGER, *_files(ROOT_SEEDS)])
    seeds = [(root, folder) for folder in ROOT_SEEDS]
    boot = find_boot()
    if boot is not None:
        boot.know(_files([""]))
        seeds.append((boot, ""))
    settings, words = _settings(root, injections, has_network=_has_network(seeds))
    said = []
    if settings:
        root.folder("/etc/cloud", mode=0o755, uid=0, gid=0)
        root.folder("/etc/cloud/cloud.cfg.d", mode=0o755, uid=0, gid=0)
        before = read_mapping(root.read(DROP_IN) or b"") or {}
        lines = [
            f"{key}: {json.dumps(value, default=str)}\n" for key, value in {**before, **settings}.items()
        ]
        root.write(DROP_IN, (HEAD + "".join(lines)).encode())
        said.append(f"cloud-init: {', '.join(words)}; {DROP_IN}")
    default = _default_user(root)
    for draft, folder in seeds:
        where = f"{folder}/" if folder else "/"
        said += _seed(draft, where, "user-data", lambda was: _user_data(was, injections, default))
        said += _seed(draft, where, "meta-data", lambda was: _meta_data(was, injections))
        said += _seed(draft, where, "network-config", lambda was: _network(was, injections))
    return said


def _files(folders: Iterable[str]) -> list[str]:
    return [f"{folder}/{name}" for folder in folders for name in SEED_FILES]


def _settings(root: Draft, injections: Injections, *, has_network: bool) -> tuple[dict[str, Any], list[str]]:
    """Return the keys of the drop-in, and what they do in words."""
    settings: dict[str, Any] = {}
    words = []
    if injections.hostname:
        settings |= {"preserve_hostname": True, "manage_etc_hosts": False}
        words.append("the host name stays")
    for key, value in (("timezone", injections.timezone), ("locale", injections.locale)):
        if value:
            settings[key] = value
            words.append(f"{key} {value}")
    names = {user.name for user in injections.users}
    if names:
        config = read_mapping(root.read(CONFIG) or b"") or {}
        before = config.get("users", ["default"])
        after = _without(before, names, _default_user(root))
        if after != before:
            settings["users"] = after
            words.append("accounts of the configuration are not changed, their groups and sudo too")
    if injections.wifi and not has_network and root.first_file(MANAGER):
        # NetworkManager takes each wired card by DHCP of itself.
        settings["network"] = {"config": "disabled"}
        words.append("networks are NetworkManager's alone")
    if any(one.partition == "root" and one.to.startswith(HOST_KEYS) for one in injections.files):
        settings["ssh_deletekeys"] = False
        words.append("host keys of SSH stay")
    return settings, words


def _default_user(root: Draft) -> str:
    """Return the name of the account that `default` means, empty where nothing says it."""
    system = (read_mapping(root.read(CONFIG) or b"") or {}).get("system_info")
    user = system.get("default_user") if isinstance(system, dict) else None
    name = user.get("name") if isinstance(user, dict) else None
    return name if isinstance(name, str) else ""


def _has_network(seeds: Iterable[tuple[Draft, str]]) -> bool:
    """Return whether a seed configures networks: a file with comments alone does not."""
    contents = [draft.read(f"{folder}/network-config") for draft, folder in seeds]
    return any(read_mapping(one) != {} for one in contents if one is not None)


def _seed(
    draft: Draft, where: str, name: str, changes: Callable[[dict[str, Any]], Mapping[str, object]]
) -> list[str]:
    """Change the keys of a seed's file that contradict what is injected."""
    path = f"{where}{name}"
    content = draft.read(path)
    if content is None:
        return []
    is_config = name != "user-data" or content.lstrip(b"\xef\xbb\xbf").startswith(IS_CONFIG)
    was = read_mapping(content) if is_config else None
    if was is None:
        # A script, several parts, a template.
        why = (
            "it is not a plain mapping of YAML"
            if is_config
            else f"it does not begin with {IS_CONFIG.decode()}"
        )
        return [f"warning: cloud-init: {path} is not changed: {why}; what it sets wins over what is injected"]
    wanted = changes(was)
    if not wanted:
        return []
    new = with_keys(content, wanted)
    if new is None:
        keys = ", ".join(wanted)
        return [f"warning: cloud-init: {path} is not changed: its {keys} wins over what is injected"]
    draft.write(path, new)
    return [f"cloud-init: {path}: {', '.join(_word(key, value) for key, value in wanted.items())}"]


def _word(key: str, value: object) -> str:
    return f"{key} removed" if value is REMOVED else f"{key} changed"


def _user_data(was: Mapping[str, Any], injections: Injections, default: str) -> dict[str, object]:
    changes: dict[str, object] = {}
    if injections.hostname:
        changes |= _named(was, injections.hostname)
    names = {user.name for user in injections.users}
    if names:
        changes |= _accounts(was, names, default)
    for key, value in (("timezone", injections.timezone), ("locale", injections.locale)):
        if value and key in was:
            changes[key] = value
    if injections.keymap and "keyboard" in was:
        layout, _, variant = injections.keymap.partition("-")
        changes["keyboard"] = {"layout": layout, **({"variant": variant} if variant else {})}
    files = [one for one in injections.files if one.partition == "root" and one.to.startswith(HOST_KEYS)]
    if files and was.get("ssh_deletekeys", False):
        changes["ssh_deletekeys"] = False
    return {key: value for key, value in changes.items() if value is REMOVED or was.get(key) != value}


def _named(was: Mapping[str, Any], name: str) -> dict[str, object]:
    """Return what gives the injected name: where there is none, that of /etc/hostname holds."""
    changes: dict[str, object] = {}
    if "hostname" in was:
        changes["hostname"] = name
    if "fqdn" in was:
        changes["fqdn"] = name if "." in name else REMOVED
    if was.get("preserve_hostname") is False:
        changes["preserve_hostname"] = True
    return changes


def _accounts(was: Mapping[str, Any], names: set[str], default: str) -> dict[str, object]:
    """Return what keeps a seed from making these accounts, and from setting their passwords."""
    changes: dict[str, object] = {}
    user = was.get("user")
    named = user.get("name") if isinstance(user, dict) else user
    default = named if isinstance(named, str) else default
    if isinstance(named, str) and named in names:
        changes["user"] = REMOVED
        changes["users"] = _without(was.get("users", ["default"]), names, default)
    elif "users" in was:
        changes["users"] = _without(was["users"], names, default)
    if default in names:
        changes |= {key: REMOVED for key in ("password", "ssh_authorized_keys") if key in was}
    passwords = was.get("chpasswd")
    if isinstance(passwords, dict):
        rest = _passwords(passwords, names)
        changes["chpasswd"] = rest or REMOVED
    return changes


def _without(users: Any, names: set[str], default: str) -> Any:
    """Return `users` of cloud-init without these accounts: a list, a text with commas, or a mapping."""
    if isinstance(users, str):
        users = [one.strip() for one in users.split(",")]
    if isinstance(users, dict):
        return {name: one for name, one in users.items() if name not in names}
    if not isinstance(users, list):
        return users
    return [one for one in users if not _is_one_of(one, names, default)]


def _is_one_of(user: Any, names: set[str], default: str) -> bool:
    name = user.get("name") if isinstance(user, dict) else user
    return name in names or (name == "default" and default in names)


def _passwords(chpasswd: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """Return `chpasswd` without the passwords of these accounts, empty where none is left."""
    rest = dict(chpasswd)
    users, lines = rest.get("users"), rest.get("list")
    if isinstance(users, list):
        rest["users"] = [one for one in users if not (isinstance(one, dict) and one.get("name") in names)]
    if isinstance(lines, str):
        rest["list"] = "".join(f"{one}\n" for one in lines.splitlines() if one.split(":")[0] not in names)
    elif isinstance(lines, list):
        rest["list"] = [one for one in lines if str(one).split(":")[0] not in names]
    if (users or lines) and not rest.get("users") and not rest.get("list"):
        return {}
    return rest


def _meta_data(was: Mapping[str, Any], injections: Injections) -> dict[str, object]:
    keys = [key for key in ("local-hostname", "hostname") if key in was] if injections.hostname else []
    return {key: injections.hostname for key in keys if was[key] != injections.hostname}


def _network(was: Mapping[str, Any], injections: Injections) -> dict[str, object]:
    """Return what removes the networks of a seed that would be joined next to the injected ones."""
    if not injections.wifi:
        return {}
    if "wifis" in was:
        return {"wifis": REMOVED}
    inner = was.get("network")
    if isinstance(inner, dict) and "wifis" in inner:
        return {"network": {key: value for key, value in inner.items() if key != "wifis"}}
    return {}
