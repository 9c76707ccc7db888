#!/usr/bin/env python3
# Make an Entropy repository known to equo: its file in repositories.conf.d, and what is installed.
from kantoo.entropy import client
from kantoo.utils import need_root, setting, step


def main():
    need_root()
    client(setting("REPOSITORY"), setting("DESCRIPTION"), setting("URI"), setting("ARCHITECTURE"))


step("entropy.client", main)
