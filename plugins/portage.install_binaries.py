#!/usr/bin/env python3
# Install packages from a folder of binary packages and from nothing else: nothing is compiled, nothing fetched.
# What is not there is reported before anything changes.
from kantoo.binhost import needed_version
from kantoo.portage import install_binaries
from kantoo.utils import Failed, is_true, listed, need_root, setting, step, words


def main():
    need_root()
    source, versions = setting("SOURCE"), setting("VERSIONS")
    if bool(source) == bool(versions):
        raise Failed("source, versions: one of them says where the packages are")
    if versions:
        source = needed_version(versions, setting("STALKER_NEEDS"))
    install_binaries(words("PACKAGES"), source, world=is_true("WORLD"), options=listed("OPTIONS"))


step("portage.install_binaries", main)
