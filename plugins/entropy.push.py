#!/usr/bin/env python3
# Publish an Entropy repository, and see that what its clients read is there.
from kantoo.entropy import push
from kantoo.utils import is_true, need_root, setting, step


def main():
    need_root()
    push(setting("REPOSITORY"), setting("TARGET"), force=is_true("FORCE"))


step("entropy.push", main)
