#!/usr/bin/env python3
# Install packages with equo, from the repositories that it knows.
from kantoo.entropy import install
from kantoo.utils import need_root, step, words


def main():
    need_root()
    install(words("PACKAGES"))


step("entropy.install", main)
