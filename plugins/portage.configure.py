#!/usr/bin/env python3
# Configure Portage: profile, make.conf, package.use and its like. What an earlier run of this plugin set
# and this one does not is gone; what others set stays, and gives way where both set the same.
from kantoo.configuration import set_make_conf, set_package_file, set_profile
from kantoo.portage import packages_dir
from kantoo.utils import info, listed, mapped, need, need_root, setting, step

FILES = {
    "use": "PACKAGE_USE",
    "accept_keywords": "PACKAGE_KEYWORDS",
    "license": "PACKAGE_LICENSE",
    "mask": "PACKAGE_MASK",
    "unmask": "PACKAGE_UNMASK",
}


def configure():
    need_root()
    need("emerge", "this is for Gentoo, Funtoo and what else has Portage")
    profile = setting("PROFILE")
    if profile and set_profile(profile):
        info(f"the profile is {profile}")
    values = mapped("MAKE_CONF")
    folder = setting("PACKAGES_DIR")
    if folder:
        values["PKGDIR"] = folder
    if set_make_conf("portage.configure", values):
        info(f"make.conf: {', '.join(values) or 'nothing of ours'}")
    for kind, variable in FILES.items():
        if set_package_file(kind, listed(variable)):
            info(f"package.{kind} has {len(listed(variable))} lines of ours")
    info(f"binary packages lie in {packages_dir()}")


step("portage.configure", configure)
