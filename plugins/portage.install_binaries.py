#!/usr/bin/env python3
# Install packages from a folder of binary packages and from nothing else: nothing is compiled, nothing fetched.
# What is not there is told before anything changes.
from kantoo.portage import install_binaries
from kantoo.utils import is_true, listed, need_root, setting, step, words


def main():
    need_root()
    install_binaries(words("PACKAGES"), setting("SOURCE"), world=is_true("WORLD"), options=listed("OPTIONS"))


step("portage.install_binaries", main)
