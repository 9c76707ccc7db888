#!/usr/bin/env python3
# Remove binary packages from PKGDIR that are neither installed here nor listed, and rebuild its index.
from kantoo.portage import clean_binaries
from kantoo.utils import need_root, step, words


def main():
    need_root()
    clean_binaries(words("KEEP"))


step("portage.eclean", main)
