#!/usr/bin/env python3
# Tell Entropy what Portage has installed here, and make the repository, or bring it up to date.
from kantoo.entropy import database
from kantoo.utils import need_root, setting, step


def main():
    need_root()
    database(setting("REPOSITORY"), setting("DESCRIPTION"), setting("TARGET"), setting("ARCHITECTURE"))


step("entropy.database", main)
