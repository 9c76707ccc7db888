#!/usr/bin/env python3
# Publish the binary packages of PKGDIR as a repository: a folder that Portage installs from, or that any web
# server makes a binhost. Whoever reads it meanwhile finds a whole index whose packages are all there.
from kantoo.binhost import mirror, put_version
from kantoo.portage import packages_dir
from kantoo.utils import Failed, need_root, setting, step


def main():
    need_root()
    source, target = setting("SOURCE") or packages_dir(), setting("TARGET")
    if not target.startswith("/") or target.rstrip("/") == source.rstrip("/"):
        raise Failed(f"target: '{target}' is not a directory apart from {source}")
    mirror(source, target)
    versions = setting("VERSIONS")
    if versions:
        put_version(target, versions, setting("STALKER_FINGERPRINT"))


step("portage.binhost", main)
