#!/usr/bin/env python3
# Bring all that is installed to what the ebuild repository has now, with a binary package of each, and build
# again what uses a library that was kept for it.
from kantoo.portage import update_world
from kantoo.utils import is_true, listed, need_root, setting, step


def main():
    need_root()
    update_world(jobs=int(setting("JOBS", "0")), depclean=is_true("DEPCLEAN"), options=listed("OPTIONS"))


step("portage.world", main)
