"""Put what comes with stalker as files into the package when it is built: see `lib/stalker/config/shipped.py`."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("plugins", "trees", "stalks")
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")


class BuildWithShipped(build_py):
    """Build from nothing, for what an earlier build left is not part of it, and add `stalker/shipped`."""

    def run(self) -> None:
        """Build the modules, then copy the directories of the checkout."""
        if self.editable_mode:
            super().run()
            return
        package = Path(self.build_lib) / "stalker"
        shutil.rmtree(package, ignore_errors=True)
        super().run()
        for name in SHIPPED:
            shutil.copytree(name, package / "shipped" / name, ignore=IGNORED)


setup(cmdclass={"build_py": BuildWithShipped})
