#!/usr/bin/env python3
# Install packages and leave a binary package of each, and of what they need, in PKGDIR. What lies there is
# taken, unless its USE flags, its ebuild, a file beside that or an eclass has changed.
from kantoo.portage import build
from kantoo.utils import listed, need_root, setting, step, words


def main():
    need_root()
    build(words("PACKAGES"), jobs=int(setting("JOBS", "0")), options=listed("OPTIONS"))


step("portage.build", main)
