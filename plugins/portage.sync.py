#!/usr/bin/env python3
# Bring the main ebuild repository to a dated snapshot, its signature checked by Portage. Without a date
# the repository must be there: mounted by the sysroot, or a part of the image.
import os

from kantoo.configuration import main_repository
from kantoo.utils import Failed, info, need, need_root, replace_file, run, setting, step


def sync():
    need_root()
    need("emerge", "this is for Gentoo, Funtoo and what else has Portage")
    name, location = main_repository()
    snapshot = setting("SNAPSHOT")
    if not snapshot:
        if not os.path.isdir(os.path.join(location, "profiles")):
            raise Failed(
                f"the repository '{name}' is not in {location}",
                "give a snapshot, or let the sysroot of the tree have a link to a folder of it",
            )
        info(f"the repository '{name}' is there: {location}")
        return
    mark = os.path.join(location, ".snapshot")
    if _text(mark) == snapshot:
        info(f"{location} is of {snapshot} already")
        return
    key = setting("KEY_FILE")
    if not os.path.isfile(key):
        raise Failed(
            f"key_file: {key} is not in this image", "sec-keys/openpgp-keys-gentoo-release brings it"
        )
    need("emerge-webrsync", "this version of Portage has none")
    need("gpg", "app-crypt/gnupg checks the signature of the snapshot")
    os.makedirs(location, exist_ok=True)  # Portage knows no repository whose folder is not there
    mirror = setting("MIRROR")
    environment = {"PORTAGE_GPG_KEY": key, **({"GENTOO_MIRRORS": mirror} if mirror else {})}
    run("emerge-webrsync", f"--revert={snapshot}", environment=environment, remedy="see above")
    replace_file(mark, snapshot + "\n")
    info(f"{location} is of {snapshot}")


def _text(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


step("portage.sync", sync)
