"""The boot test of an artifact: a machine, what it boots, and what must happen on its console."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, cast

from stalker.config.schema.artifacts import BOOT_TEST, EXPECTATION
from stalker.config.schema.types import bind, check_kind, values
from stalker.config.syntax.document import text_of
from stalker.config.syntax.report import did_you_mean
from stalker.config.tree import names
from stalker.io.units import size_text
from stalker.model.artifacts import FIRMWARE, MACHINES, BootTest, Expectation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.config.artifacts.values import ArtifactReader
    from stalker.config.syntax.document import Node
    from stalker.model.artifacts import Disk, Partition

TIMEOUT_S = 300.0

_KINDS = ("wait", "type", "run", "power_off")
BOUND = {key: BOOT_TEST.keys[key] for key in ("architecture", "cpu", "cpus", "append", "network", "timeout")}
"""What its declaration says all of."""

_FILES = ("kernel", "initrd", "dtb")
_IN_PARTITION = re.compile(r"([^:/]+):(.+)\Z", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_PROGRAMS = {
    "linux/amd64": "x86_64",
    "linux/386": "i386",
    "linux/arm64": "aarch64",
    "linux/arm": "arm",
    "linux/riscv64": "riscv64",
    "linux/ppc64le": "ppc64",
    "linux/s390x": "s390x",
}
"""What QEMU calls the architecture of a platform."""


def read_boot_test(node: Node, disk: Disk | None, reader: ArtifactReader, *, is_rootfs: bool) -> BootTest:
    """Read a `boot_test`; `disk` is None for a rootfs, and for a disk that is wrong itself."""
    return _Reading(node, disk, reader, is_rootfs=is_rootfs).boot_test()


class _Reading:
    def __init__(self, node: Node, disk: Disk | None, reader: ArtifactReader, *, is_rootfs: bool) -> None:
        self.node, self.disk, self.reader = node, disk, reader
        self.report = reader.report
        self.is_rootfs = is_rootfs

    def boot_test(self) -> BootTest:
        node, reader = self.node, self.reader
        fields = values(node, BOUND, reader.report)
        machine = text_of(node.get("machine"))
        fields["architecture"] = self.architecture(machine, fields.get("architecture", ""))
        firmware = self.firmware(machine)
        self.tell_board(machine)
        timeout_s = fields.get("timeout_s", TIMEOUT_S)
        files = {key: self.file(key) for key in _FILES}
        return BootTest(
            machine=machine,
            place=node.key_place,
            memory_bytes=self.memory(),
            kernel=files["kernel"],
            initrd=files["initrd"],
            dtb=files["dtb"],
            firmware=firmware,
            expectations=self.expectations(timeout_s),
            **fields,
        )

    # the machine

    def architecture(self, name: str, given: str) -> str:
        """Return the name of QEMU's program; empty where the machine says it."""
        node = self.node.get("machine")
        machine = MACHINES.get(name)
        if node is None or not name:
            if node is not None and isinstance(node.value, str):
                self.report.problem(node.place, "the name of the machine is empty", ", ".join(MACHINES))
            return given
        if machine is None:
            if not _NAME.match(name) or not given:
                hint = did_you_mean(name, MACHINES, "machines")
                more = "another machine of QEMU needs 'architecture', like architecture: arm"
                self.report.problem(
                    node.place, f"'{name}' is not a known machine", f"{hint}\n  {more}".strip()
                )
            return given
        if given and given not in machine.architectures:
            child = self.node.get("architecture")
            assert child is not None
            what = f"the machine {name} is none of {given}"
            self.report.problem(child.place, what, f"it is one of {', '.join(machine.architectures)}")
        if given or len(machine.architectures) == 1:
            return given
        wanted = _PROGRAMS.get("/".join(self.reader.platform.split("/")[:2]), "")
        return wanted if wanted in machine.architectures else ""

    def firmware(self, name: str) -> str:
        """Return what boots the disk; the machine's usual one where neither it nor a kernel is named."""
        node, kernel = self.node.get("firmware"), self.node.get("kernel")
        firmware = text_of(node)
        machine = MACHINES.get(name)
        if node is not None and kernel is not None:
            what = "both 'kernel' and 'firmware'"
            self.report.problem(
                node.key_place, what, "a kernel is started directly, or the firmware finds one"
            )
        elif kernel is not None:
            return ""
        elif self.is_rootfs:
            what = "a root file system boots with 'kernel' alone: it has no boot sector"
            place = node.key_place if node is not None else self.node.key_place
            self.report.problem(place, what, "kernel: /boot/vmlinuz*, or test a disk")
        elif machine is not None and not machine.firmware:
            place = node.place if node is not None else self.node.key_place
            what = f"the machine {name} boots no disk by itself in QEMU"
            self.report.problem(place, what, 'name the kernel: "partition:vmlinuz*"')
        elif machine is not None and firmware in FIRMWARE and firmware not in machine.firmware:
            assert node is not None
            what = f"the machine {name} has no firmware '{firmware}' here"
            self.report.problem(node.place, what, f"it has {' and '.join(machine.firmware)}")
        elif machine is not None and node is None:
            firmware = machine.firmware[0]
        elif node is None and self.node.get("architecture") is not None:
            self.report.problem(self.node.key_place, "nothing says what boots the disk", "name a kernel")
        if not self.is_rootfs:
            for key in ("initrd", "dtb", "append"):
                child = self.node.get(key)
                if child is not None:
                    hint = "name the kernel, too, or let the firmware find all of them"
                    self.report.problem(child.key_place, f"'{key}' goes with kernel", hint)
        return firmware

    def tell_board(self, name: str) -> None:
        """Tell processors or memory that a board does not have."""
        machine = MACHINES.get(name)
        memory = self.node.get("memory")
        if machine is None or not machine.cpus:
            return
        cpus = self.node.get("cpus")
        if cpus is not None and cpus.value != machine.cpus:
            what = f"a {name} is a board with {machine.cpus} processors"
            self.report.problem(cpus.place, what, "leave 'cpus' out")
        if memory is not None and self.reader.size(memory) not in {None, machine.memory_bytes}:
            what = f"a {name} is a board with {size_text(machine.memory_bytes)} of memory"
            self.report.problem(memory.place, what, "leave 'memory' out")

    def memory(self) -> int:
        node = self.node.get("memory")
        size = self.reader.size(node)
        if node is not None and node.text == "auto":
            self.report.problem(
                node.place, "the memory has a size", "like 1GiB; leave it out for the usual one"
            )
        if node is not None and size is not None and not 8 << 20 <= size <= 64 << 30:
            self.report.problem(
                node.place, f"a machine with {node.text} is not possible here", "8MiB to 64GiB"
            )
        return size or 0

    # what it boots

    def file(self, key: str) -> str:
        """Return `partition:path`, or a path of the image."""
        node = self.node.get(key)
        text = text_of(node)
        if node is None or not isinstance(node.value, str):
            return ""
        found = _IN_PARTITION.match(text)
        if found is None:
            return self.reader.told(node, names.path_pattern) or ""
        if self.is_rootfs:
            what = f"'{text}': a root file system has no partitions"
            self.report.problem(node.place, what, f"write a path of the image: /boot/{found[2].lstrip('/')}")
            return ""
        partition = self.partition(node, found[1])
        path = self.reader.told(node, lambda _: names.path_pattern("/" + found[2].lstrip("/")))
        if partition is not None and partition.filesystem in {"", "swap", "squashfs"}:
            what = f"the partition '{partition.name}' has no files that can be taken out"
            self.report.problem(node.place, what, "name one with vfat or ext4")
        return f"{found[1]}:{path.lstrip('/')}" if path else ""

    def partition(self, node: Node, name: str) -> Partition | None:
        known: Mapping[str, Partition] = {one.name: one for one in self.disk.partitions} if self.disk else {}
        if self.disk is not None and self.disk.like and (name in {"boot", "root"} or name.isdigit()):
            return None  # which partitions the base has is not known before it is there
        if name not in known and self.disk is not None:
            hint = did_you_mean(name, known, "partitions")
            self.report.problem(node.place, f"the disk has no partition '{name}'", hint)
        return known.get(name)

    # what must happen

    def expectations(self, timeout_s: float) -> tuple[Expectation, ...]:
        node = self.node.get("expect")
        if node is None or not isinstance(node.value, list):
            return ()
        if not node.value:
            hint = 'like { wait: "login:" }'
            self.report.problem(node.place, "nothing is expected, so any boot would pass", hint)
        read = [self.expectation(child, timeout_s) for child in node.value]
        found = [one for one in read if one is not None]
        for one in found[:-1]:
            if one.kind == "power_off":
                self.report.problem(one.place, "nothing can follow 'power_off'", "move it to the end")
        if found and not any(one.kind in {"wait", "run"} for one in found):
            self.report.problem(
                node.place, "nothing is waited for, so any boot would pass", 'like { wait: "login:" }'
            )
        return tuple(found)

    def expectation(self, node: Node, timeout_s: float) -> Expectation | None:
        if not isinstance(node.value, dict):
            return None
        kinds = [key for key in _KINDS if node.get(key) is not None]
        if len(kinds) != 1:
            if node.value.keys() - EXPECTATION.keys.keys():
                return None  # an unknown key, which was reported
            what = f"one of {', '.join(_KINDS)}" + (f", not {' and '.join(kinds)}" if kinds else "")
            self.report.problem(node.place, what, "each is an item of its own" if kinds else "")
            return None
        kind = cast('Literal["wait", "type", "run", "power_off"]', kinds[0])
        check_kind(node, EXPECTATION.keys, kind, self.report)
        fields = values(node, EXPECTATION.keys, self.report, without=(*_KINDS, "timeout"))
        given = node.get(kind)
        assert given is not None
        text, secret = text_of(given), ""
        if kind == "wait":
            text = self.reader.told(given, names.selective_expression) or ""
        elif isinstance(given.value, dict):
            secret = self.secret(given)
        elif kind == "power_off" and given.value is False:
            self.report.problem(given.place, "'power_off: false' does nothing", "leave it out")
        if kind != "wait" and ("\n" in text or "\r" in text or "\0" in text):
            self.report.problem(given.place, "one line is typed", "write several items")
        if kind == "run" and not text.strip():
            self.report.problem(given.place, "the command is empty")
        return Expectation(
            kind=kind,
            text=text,
            place=node.place,
            timeout_s=self.timeout(node.get("timeout"), timeout_s),
            secret=secret,
            **fields,
        )

    def timeout(self, node: Node | None, whole_s: float) -> float | None:
        seconds: float | None = bind(node, EXPECTATION.keys["timeout"], self.report)
        if node is not None and seconds is not None and seconds > whole_s:
            hint = "raise 'timeout' of the boot test"
            self.report.problem(
                node.place, f"longer than the whole boot test, which has {whole_s:.0f} s", hint
            )
        return seconds

    def secret(self, node: Node) -> str:
        child = node.get("secret")
        name = text_of(child)
        if child is None:
            self.report.problem(node.place, "a line to type is text or { secret: NAME }")
            return ""
        secrets = self.reader.scope.secrets
        if isinstance(child.value, str) and name not in secrets:
            near = did_you_mean(name, secrets)
            hint = near or f"declare it in the tree: secrets: {{ {name}: {{ env: {name} }} }}"
            self.report.problem(child.place, f"no secret named '{name}'", hint)
        return name
