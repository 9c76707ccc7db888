"""A reusable plugin, as tests write and use it."""

from __future__ import annotations

SIDECAR = """{
  summary: Install packages with apt
  arguments: {
    packages: { type: list, required: true, pattern: "[a-z0-9.+-]+", help: "names of packages" }
    update: { type: boolean, default: true }
    retries: { type: integer, default: 3 }
    release: { allowed: ["stable", "testing"] }
    labels: { type: mapping }
    user-name: { pattern: "[a-z]+" }
  }
  needs: { packages: ["apt"], network: true, capabilities: ["CAP_CHOWN", "SYS_ADMIN"] }
  example: "install: { exec: true, use: apt.install }"
}
"""


def use(space, arguments: str, more: str = "", top: str = "DOCKER_OPTS: { cap_add: ['SYS_ADMIN'] }") -> None:
    space.stalk(f"go: {{\n exec: true\n use: apt.install\n {more}\n with: {{ {arguments} }}\n }}", top)
