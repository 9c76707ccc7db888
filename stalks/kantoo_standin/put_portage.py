#!/usr/bin/env python3
"""Put Portage's wheel into this Debian as a distribution would have it: /usr, /etc, and its two accounts.

A wheel installs Portage as a module that finds its programs below its own prefix. Two constants that
the build of the wheel leaves to be filled in make a system installation of it.
"""

import os
import re
import subprocess
import sys
import zipfile

sys.path.insert(0, "/entropy/plugins")
from kantoo.utils import Failed, digest, info, need_root, setting, step

SITE = "/usr/lib/python3/dist-packages"
PROGRAMS = "ebuild egencache emaint emerge env-update fixpackages portageq quickpkg regenworld gpkg-sign"
FILLED_IN = {
    "portage/installation.py": {
        b'if "MODULE" == "MODULE"': b'if "SYSTEM" == "MODULE"',
        b'elif "MODULE" == "SYSTEM"': b'elif "SYSTEM" == "SYSTEM"',
    },
    "portage/const.py": {
        b'PORTAGE_BASE_PATH = """"""': b'PORTAGE_BASE_PATH = "/usr/lib/portage"',
        b'PORTAGE_BIN_PATH = """"""': b'PORTAGE_BIN_PATH = "/usr/lib/portage/bin"',
    },
}
SHEBANG = re.compile(rb"\A#!(python|/usr/bin/env python)\S*")


def target_of(name):
    """Return where a file of the wheel goes, empty when nowhere."""
    if name.endswith("/") or name.startswith("portage/tests/"):
        return ""
    found = re.match(r"portage-[^/]+\.data/(data|scripts)/(.*)", name)
    if found is None:
        return os.path.join(SITE, name)
    if found[1] == "scripts":
        return os.path.join("/usr/bin", found[2])
    return os.path.join("/" if found[2].startswith("etc/") else "/usr", found[2])


def content_of(name, data):
    """Return a file with what the wheel leaves open."""
    for old, new in FILLED_IN.get(name, {}).items():
        if old not in data:
            raise Failed(
                f"{name} of the wheel is not as expected", "it is another version than the one named"
            )
        data = data.replace(old, new)
    return SHEBANG.sub(b"#!/usr/bin/python3", data)


def put():
    need_root()
    wheel = os.path.join("/wheels", setting("WHEEL"))
    if not os.path.isfile(wheel):
        raise Failed(
            f"{os.path.basename(wheel)} is not in workspace/wheels",
            "python3 -m pip download --no-deps --require-hashes --dest workspace/wheels"
            " -r stalks/kantoo_standin/requirements.txt",
        )
    if digest(wheel) != setting("WHEEL_SHA256"):
        raise Failed(f"{wheel} is another file than the one asked for", f"its SHA-256 is {digest(wheel)}")
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            target = target_of(member.filename)
            if not target:
                continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(content_of(member.filename, archive.read(member)))
            is_program = target.startswith("/usr/bin/") or "/lib/portage/bin/" in target
            os.chmod(target, 0o755 if is_program else 0o644)
    for program in PROGRAMS.split():
        link(f"../lib/portage/bin/{program}", f"/usr/bin/{program}")
    link("tar", "/usr/bin/gtar")  # what quickpkg calls GNU tar when it makes xpak
    open("/usr/share/portage/config/repos.conf", "w").close()  # the stand-in has one repository, its own
    if subprocess.run(["getent", "group", "portage"], check=False, stdout=subprocess.DEVNULL).returncode:
        subprocess.run(["groupadd", "--gid", "250", "portage"], check=True)
        account = ["--uid", "250", "--gid", "250", "--home-dir", "/var/lib/portage/home"]
        subprocess.run(["useradd", *account, "--shell", "/bin/false", "portage"], check=True)
    compiled = ["-m", "compileall", "-q", f"{SITE}/portage", f"{SITE}/_emerge"]
    subprocess.run([sys.executable, *compiled], check=True)
    info(
        subprocess.run(["emerge", "--version"], check=False, stdout=subprocess.PIPE, text=True).stdout.strip()
    )


def link(target, path):
    """Make a link, in place of what may be there."""
    if os.path.lexists(path):
        os.unlink(path)
    os.symlink(target, path)


step("kantoo_standin", put)
