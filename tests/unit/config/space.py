"""A workspace that tests write and read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.config.tree.load import checked, load_tree
from stalker.errors import FilesError

if TYPE_CHECKING:
    from stalker.model.tree import Step, Tree

TREE = """{
  architecture: {
    OS: debian
    ARCH: arm-32bit
    SUBARCH: raspi3
  }
  %s
  stalks: {
    web: {
      %s
    }
  }
}
"""

STALK = """{
  %s
  plugins: {
    %s
  }
}
"""

STEP = """go: {
      exec: true
      text: "#!/bin/sh\\necho"
      %s
    }"""


@dataclass
class Space:
    """A workspace in a temporary folder."""

    root: Path

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(mode)
        return file

    def tree(self, node: str = "", top: str = "") -> None:
        """Write trees/t/t.hjson with one stalk `web` that holds `node`."""
        self.write("trees/t/t.hjson", TREE % (top, node))

    def stalk(self, plugins: str, top: str = "", name: str = "web") -> None:
        self.write(f"stalks/{name}/{name}.hjson", STALK % (top, plugins))

    def step(self, keys: str = "", top: str = "", name: str = "web") -> None:
        """Write a stalk with one step `go` that holds more keys."""
        self.stalk(STEP % keys, top, name)

    def read(self, overrides: dict[str, str] | None = None, *with_files: str) -> Tree:
        return checked(load_tree("t", str(self.root), overrides or {}, with_files))

    def go(self, overrides: dict[str, str] | None = None) -> Step:
        """Read the tree and return the first step of its first stalk."""
        return self.read(overrides).stalks[0].steps[0]

    def problems(self, overrides: dict[str, str] | None = None, *with_files: str) -> list[str]:
        """Return all problems of the tree as text, none if it can be read."""
        try:
            self.read(overrides, *with_files)
        except FilesError as error:
            return [str(problem) for problem in error.problems]
        return []

    def warnings(self) -> list[str]:
        return [str(p) for p in load_tree("t", str(self.root), {}).report.sorted() if p.is_warning]
