#!/usr/bin/env python3
# Let other machines compile: distcc, its hosts, and compilers that are called by their full name, so that
# a helper of another architecture does not take its own. Without hosts nothing is changed.
import os

from kantoo.configuration import set_make_conf
from kantoo.portage import emerge
from kantoo.utils import Failed, info, need_root, read, replace_file, setting, step, words

HOSTS = "/etc/distcc/hosts"
FOLDER = "/usr/lib/distcc/bin"
NAMES = {"cc": "gcc", "gcc": "gcc", "c++": "g++", "g++": "g++"}


def distcc():
    need_root()
    hosts = words("HOSTS")
    if not hosts:
        set_make_conf("portage.distcc", {})
        info("no hosts are given: everything is compiled here")
        return
    chost = setting("COMPILED_FOR") or read("portageq", "envvar", "CHOST")
    if not chost:
        raise Failed("compiled_for: neither given nor in make.conf", "such as armv7a-unknown-linux-gnueabihf")
    if not os.path.exists("/usr/bin/distcc"):
        emerge("--oneshot", "--usepkg=y", "--buildpkg=y", "sys-devel/distcc")
    replace_file(HOSTS, " ".join(hosts) + "\n")
    for name, program in NAMES.items():
        path = os.path.join(FOLDER, name)
        if os.path.islink(path):
            os.unlink(path)
        replace_file(path, f'#!/bin/sh\nexec {FOLDER}/{chost}-{program} "$@"\n', 0o755)
    for program in sorted(set(NAMES.values())):
        path = os.path.join(FOLDER, f"{chost}-{program}")
        if not os.path.lexists(path):
            os.symlink("/usr/bin/distcc", path)
    values = {"FEATURES": "${FEATURES} distcc"}
    jobs = int(setting("JOBS", "0"))
    if jobs:
        values["MAKEOPTS"] = f"-j{jobs} -l{os.cpu_count() or 1}"
    set_make_conf("portage.distcc", values)
    info(f"{chost} is compiled by {len(hosts)} hosts")


step("portage.distcc", distcc)
