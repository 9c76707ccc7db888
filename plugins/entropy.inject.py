#!/usr/bin/env python3
# Put Portage's binary packages into an Entropy repository: those that it does not have in this very form.
from kantoo.entropy import inject
from kantoo.portage import packages_dir
from kantoo.utils import need_root, setting, step


def main():
    need_root()
    inject(setting("REPOSITORY"), setting("SOURCE") or packages_dir(), setting("TARGET"))


step("entropy.inject", main)
