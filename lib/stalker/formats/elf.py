"""Programs of other architectures: how the kernel knows one, and the smallest there can be.

The smallest ones end at once with a known exit code. To run one is the one true answer to whether
this machine runs such programs, be it by itself or through an emulator.

Source: System V ABI, "ELF Header" and "Program Header"; the numbers of machines are those of elf.h.
"""

from __future__ import annotations

import os
import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

EXIT = 42
"""What the smallest program ends with."""

PROBE_S = 20.0
_EXECUTABLE, _SHARED = 2, 3
_PT_LOAD, _PT_INTERP = 1, 3
_BASE = 0x10000


@dataclass(frozen=True, slots=True)
class Machine:
    """An architecture as ELF files tell it, and the code that ends with `EXIT` on it."""

    number: int
    is_64_bit: bool
    code: bytes
    is_big_endian: bool = False
    flags: int = 0


MACHINES = {
    # mov r7, #1; mov r0, #42; svc 0
    "arm": Machine(40, is_64_bit=False, code=bytes.fromhex("0170a0e3 2a00a0e3 000000ef"), flags=0x05000000),
    # mov x0, #42; mov x8, #93; svc 0
    "aarch64": Machine(183, is_64_bit=True, code=bytes.fromhex("400580d2 a80b80d2 010000d4")),
    # mov edi, 42; mov eax, 60; syscall
    "x86_64": Machine(62, is_64_bit=True, code=bytes.fromhex("bf2a000000 b83c000000 0f05")),
    # mov ebx, 42; mov eax, 1; int 0x80
    "i386": Machine(3, is_64_bit=False, code=bytes.fromhex("bb2a000000 b801000000 cd80")),
    # li a0, 42; li a7, 93; ecall
    "riscv64": Machine(243, is_64_bit=True, code=bytes.fromhex("1305a002 9308d005 73000000")),
    # li r0, 1; li r3, 42; sc
    "ppc64le": Machine(21, is_64_bit=True, code=bytes.fromhex("01000038 2a006038 02000044"), flags=2),
    # lghi %r2, 42; svc 1
    "s390x": Machine(22, is_64_bit=True, code=bytes.fromhex("a729002a 0a01"), is_big_endian=True),
}
"""By the name that emulators have for it."""


def smallest_program(word: str) -> bytes:
    """Return the smallest program for an architecture of `MACHINES`, a whole ELF file."""
    machine = MACHINES[word]
    order = ">" if machine.is_big_endian else "<"
    header_size, entry_size = (64, 56) if machine.is_64_bit else (52, 32)
    at = header_size + entry_size
    size = at + len(machine.code)
    word_size = "Q" if machine.is_64_bit else "I"
    header = _ident(machine) + struct.pack(
        f"{order}HHI{word_size * 3}IHHHHHH",
        _EXECUTABLE, machine.number, 1, _BASE + at, header_size, 0,
        machine.flags, header_size, entry_size, 1, 0, 0, 0,
    )  # fmt: skip
    read_and_run = 5
    if machine.is_64_bit:
        entry = struct.pack(f"{order}IIQQQQQQ", _PT_LOAD, read_and_run, 0, _BASE, _BASE, size, size, _BASE)
    else:
        entry = struct.pack(f"{order}IIIIIIII", _PT_LOAD, 0, _BASE, _BASE, size, size, read_and_run, _BASE)
    return header + entry + machine.code


def magic_of(word: str) -> tuple[bytes, bytes]:
    """Return the first bytes of programs of an architecture and the mask of those that count.

    The number of the ABI does not count, and shared objects count as programs.
    """
    machine = MACHINES[word]
    order = ">" if machine.is_big_endian else "<"
    magic = _ident(machine) + struct.pack(f"{order}HH", _EXECUTABLE, machine.number)
    either_kind = 0xFFFF ^ (_EXECUTABLE ^ _SHARED)
    mask = b"\xff" * 7 + b"\x00" + b"\xff" * 8 + struct.pack(f"{order}HH", either_kind, 0xFFFF)
    return magic, mask


def try_to_run(word: str) -> str:
    """Run the smallest program of an architecture on this machine; return what went wrong, or nothing.

    Takes some milliseconds, and writes nothing: the program is in memory. Of an architecture
    without one nothing is known, and nothing is said.
    """
    if word not in MACHINES:
        return ""
    # Without close-on-exec: an emulator that receives the path opens it again.
    file = os.memfd_create(f"stalker-{word}", 0)
    try:
        os.write(file, smallest_program(word))
        done = subprocess.run(
            [f"/proc/self/fd/{file}"],
            pass_fds=[file],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"a program for {word} that should end at once did not within {PROBE_S:.0f} s"
    except OSError as error:
        return f"the kernel does not run it: {error.strerror}"
    finally:
        os.close(file)
    if done.returncode == EXIT:
        return ""
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    how = (
        f"was ended by signal {-done.returncode}"
        if done.returncode < 0
        else f"gave exit code {done.returncode}"
    )
    return f"the smallest program for {word} {how}" + (f": {said[-1]}" if said else "")


def needs_loader(program: Path) -> bool:
    """Return whether a program is loaded by another one (`ld.so`): then it is of no use in a container.

    Also True for what is not an ELF file of this machine's own word size and order: nothing is known of it.
    """
    try:
        with program.open("rb") as file:
            data = file.read(4096)
            if data[:4] != b"\x7fELF" or data[4:6] != b"\x02\x01":
                return True
            at, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
            file.seek(at)
            entries = file.read(size * count)
    except (OSError, struct.error):
        return True
    kinds = {struct.unpack_from("<I", entries, size * number)[0] for number in range(count)}
    return _PT_INTERP in kinds


def _ident(machine: Machine) -> bytes:
    return (
        b"\x7fELF" + bytes((2 if machine.is_64_bit else 1, 2 if machine.is_big_endian else 1, 1)) + bytes(9)
    )
