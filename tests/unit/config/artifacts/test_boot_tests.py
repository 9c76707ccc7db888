"""Boot tests of a node's artifacts: machines, kernels, expectations."""

from __future__ import annotations

import pytest

from stalker.model.artifacts import MACHINES, BootTest
from unit.config.artifacts.space import ROOT, boot, disk, expect, problems, read

WRONG = {
    "no machine": (boot("cpus: 1"), "12:13: image.boot_test: the key 'machine' is missing"),
    "nothing to expect": (
        disk("boot_test: { machine: 'q35' }"),
        "12:13: image.boot_test: the key 'expect' is missing",
    ),
    "an empty machine": (
        boot("machine: ''"),
        "12:24: image.boot_test.machine: the name of the machine is empty\n  raspi2b, raspi3b, virt, q35, pc, microvm",
    ),
    "an unknown machine": (
        boot("machine: 'raspi2'"),
        "12:24: image.boot_test.machine: 'raspi2' is not a known machine\n  did you mean 'raspi2b'?\n  another machine of QEMU needs 'architecture', like architecture: arm",
    ),
    "an unknown machine of no architecture": (
        boot("machine: 'vexpress-a9'"),
        "12:24: image.boot_test.machine: 'vexpress-a9' is not a known machine\n  machines: microvm, pc, q35, raspi2b, raspi3b, virt\n  another machine of QEMU needs 'architecture', like architecture: arm",
    ),
    "another machine without a kernel": (
        boot("machine: 'vexpress-a9', architecture: 'arm'"),
        "12:2: image.boot_test: nothing says what boots the disk\n  name a kernel",
    ),
    "an architecture of another machine": (
        boot("machine: 'raspi2b', architecture: 'x86_64', kernel: 'boot:vmlinuz'"),
        "12:49: image.boot_test.architecture: the machine raspi2b is none of x86_64\n  it is one of arm",
    ),
    "a board without a kernel": (
        boot("machine: 'raspi2b'"),
        '12:2: image.boot_test: the machine raspi2b boots no disk by itself in QEMU\n  name the kernel: "partition:vmlinuz*"',
    ),
    "a board with firmware": (
        boot("machine: 'raspi2b', firmware: 'bios'"),
        '12:45: image.boot_test.firmware: the machine raspi2b boots no disk by itself in QEMU\n  name the kernel: "partition:vmlinuz*"',
    ),
    "a firmware of another machine": (
        boot("machine: 'virt', firmware: 'bios'"),
        "12:42: image.boot_test.firmware: the machine virt has no firmware 'bios' here\n  it has u-boot and uefi",
    ),
    "an unknown firmware": (
        boot("machine: 'virt', firmware: 'uboot'"),
        "12:42: image.boot_test.firmware: 'uboot' is not possible here\n  did you mean 'u-boot'?",
    ),
    "firmware and kernel": (
        boot("machine: 'q35', firmware: 'bios', kernel: 'boot:vmlinuz'"),
        "12:31: image.boot_test.firmware: both 'kernel' and 'firmware'\n  a kernel is started directly, or the firmware finds one",
    ),
    "initrd without a kernel": (
        boot("machine: 'q35', initrd: 'boot:initrd'"),
        "12:31: image.boot_test.initrd: 'initrd' goes with kernel\n  name the kernel, too, or let the firmware find all of them",
    ),
    "a kernel of no partition": (
        boot("machine: 'q35', kernel: 'bot:vmlinuz'"),
        "12:39: image.boot_test.kernel: the disk has no partition 'bot'\n  did you mean 'boot'?",
    ),
    "a relative kernel": (
        boot("machine: 'q35', kernel: 'vmlinuz'"),
        "12:39: image.boot_test.kernel: 'vmlinuz' is relative; a path in the image begins with /",
    ),
    "a kernel above": (
        boot("machine: 'q35', kernel: 'boot:../vmlinuz'"),
        "12:39: image.boot_test.kernel: '/../vmlinuz' holds '..'; write the path it leads to",
    ),
    "a kernel in swap": (
        disk(
            "boot_test: { machine: 'q35', kernel: 's:x', expect: [{ wait: 'x' }] }",
            ROOT + "\n s: { filesystem: 'swap', size: '8MiB' }",
        ),
        "12:39: image.boot_test.kernel: the partition 's' has no files that can be taken out\n  name one with vfat or ext4",
    ),
    "processors of a board": (
        boot("machine: 'raspi2b', kernel: 'boot:x', cpus: 2"),
        "12:59: image.boot_test.cpus: a raspi2b is a board with 4 processors\n  leave 'cpus' out",
    ),
    "memory of a board": (
        boot("machine: 'raspi2b', kernel: 'boot:x', memory: '512MiB'"),
        "12:61: image.boot_test.memory: a raspi2b is a board with 1 GiB of memory\n  leave 'memory' out",
    ),
    "memory of nothing": (
        boot("machine: 'q35', memory: '1MiB'"),
        "12:39: image.boot_test.memory: a machine with 1MiB is not possible here\n  8MiB to 64GiB",
    ),
    "automatic memory": (
        boot("machine: 'q35', memory: 'auto'"),
        "12:39: image.boot_test.memory: the memory has a size\n  like 1GiB; leave it out for the usual one",
    ),
    "a cpu with blanks": (
        boot("machine: 'q35', cpu: 'max -daemonize'"),
        "12:36: image.boot_test.cpu: 'max -daemonize' is not a valid cpu of QEMU",
    ),
    "a command line of two lines": (
        boot("machine: 'q35', kernel: 'boot:x', append: 'a\\nb'"),
        "12:57: image.boot_test.append: a kernel's command line is one line",
    ),
    "a timeout that is none": (
        boot("machine: 'q35', timeout: 'soon'"),
        "12:40: image.boot_test.timeout: 'soon' is not a duration; write it like 90s, 1h30m, 2d, or in seconds",
    ),
    "an empty list of expectations": (
        boot("machine: 'q35'", "[]"),
        '12:39: image.boot_test.expect: nothing is expected, so any boot would pass\n  like { wait: "login:" }',
    ),
    "only typing": (
        boot("machine: 'q35'", "[{ type: 'root' }]"),
        '12:39: image.boot_test.expect: nothing is waited for, so any boot would pass\n  like { wait: "login:" }',
    ),
    "an expectation of two kinds": (
        expect("{ wait: 'x', type: 'y' }"),
        "12:60: image.boot_test.expect.1: one of wait, type, run, power_off, not wait and type\n  each is an item of its own",
    ),
    "an expectation of no kind": (
        expect("{ matches: 'x' }"),
        "12:60: image.boot_test.expect.1: one of wait, type, run, power_off",
    ),
    "an unknown expectation": (
        expect("{ waitt: 'x' }"),
        "12:62: image.boot_test.expect.1.waitt: unknown key 'waitt'\n  did you mean 'wait'?",
    ),
    "matches of a wait": (
        expect("{ wait: 'x', matches: 'y' }"),
        "12:73: image.boot_test.expect.1.matches: 'matches' does not go with wait\n  it goes with run",
    ),
    "a broken pattern": (
        expect("{ wait: '[a-' }"),
        "12:68: image.boot_test.expect.1.wait: '[a-' is not a valid regular expression: unterminated character set at position 0\n  the text itself is '\\[a\\-'",
    ),
    "a pattern of nothing": (
        expect("{ wait: '' }"),
        "12:68: image.boot_test.expect.1.wait: '' matches anything\n  write what must be seen",
    ),
    "a pattern that matches nothing, too": (
        expect("{ run: 'x', matches: '.*' }"),
        "12:81: image.boot_test.expect.1.matches: '.*' matches anything\n  is a * or ? too many in it?",
    ),
    "an empty command": (expect("{ run: ' ' }"), "12:67: image.boot_test.expect.1.run: the command is empty"),
    "two lines": (
        expect("{ type: 'a\\nb' }"),
        "12:68: image.boot_test.expect.1.type: one line is typed\n  write several items",
    ),
    "an exit code of no process": (
        expect("{ run: 'x', exit: 256 }"),
        "12:78: image.boot_test.expect.1.exit: must lie between 0 and 255, is 256",
    ),
    "power off not at the end": (
        expect("{ power_off: true }, { run: 'x' }"),
        "12:60: image.boot_test.expect.1: nothing can follow 'power_off'\n  move it to the end",
    ),
    "no power off": (
        expect("{ power_off: false }"),
        "12:73: image.boot_test.expect.1.power_off: 'power_off: false' does nothing\n  leave it out",
    ),
    "a timeout beyond the whole": (
        expect("{ wait: 'x', timeout: '10m' }"),
        "12:82: image.boot_test.expect.1.timeout: longer than the whole boot test, which has 300 s\n  raise 'timeout' of the boot test",
    ),
    "an unknown secret": (
        expect("{ type: { secret: ROOT_PASWORD } }"),
        "12:78: image.boot_test.expect.1.type.secret: no secret named 'ROOT_PASWORD'\n  did you mean 'ROOT_PASSWORD'?",
    ),
    "a line that is nothing": (
        expect("{ type: {} }"),
        "12:68: image.boot_test.expect.1.type: a line to type is text or { secret: NAME }",
    ),
    "a root file system by itself": (
        "a: { rootfs: 'x.tar', boot_test: { machine: 'q35', expect: [{ wait: 'x' }] } }",
        "11:23: a.boot_test: a root file system boots with 'kernel' alone: it has no boot sector\n  kernel: /boot/vmlinuz*, or test a disk",
    ),
    "a root file system with partitions": (
        "a: { rootfs: 'x.tar', boot_test: { machine: 'q35', kernel: 'boot:vmlinuz', append: 'x', expect: [{ wait: 'x' }] } }",
        "11:60: a.boot_test.kernel: 'boot:vmlinuz': a root file system has no partitions\n  write a path of the image: /boot/vmlinuz",
    ),
}


@pytest.mark.parametrize(("artifacts", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_with_its_place(space, artifacts, message):
    """One problem, where it stands, and what to do."""
    assert problems(space, artifacts) == [message]


def boot_test(space, text, node="") -> BootTest:
    found = read(space, text, node).boot_test
    assert found is not None
    return found


def test_a_kernel_out_of_the_disk(space):
    """Kernel, initrd and device tree of a partition, or of the image."""
    found = boot_test(
        space,
        boot(
            "machine: 'raspi2b', kernel: 'boot:/vmlinuz*', initrd: '/boot//initrd.img*', dtb: 'boot:a/b.dtb', "
            "cpus: 4, memory: '1GiB', network: true, timeout: '2m'"
        ),
    )

    assert (found.machine, found.kernel, found.initrd) == ("raspi2b", "boot:vmlinuz*", "/boot/initrd.img*")
    assert (found.dtb, found.append, found.firmware) == ("boot:a/b.dtb", "", "")
    assert (found.cpus, found.memory_bytes, found.has_network, found.timeout_s) == (4, 1 << 30, True, 120)


def test_what_a_boot_test_is_when_the_tree_says_little(space):
    """The machine's firmware boots the disk, without a network, in five minutes."""
    found = boot_test(space, boot("machine: 'q35'"))

    assert (found.firmware, found.kernel, found.architecture) == ("bios", "", "")
    assert (found.has_network, found.timeout_s, found.cpus, found.memory_bytes) == (False, 300, 0, 0)


@pytest.mark.parametrize(
    ("platform", "architecture"),
    [("linux/arm/v7", "arm"), ("linux/arm64", "aarch64"), ("linux/amd64", "")],
)
def test_a_machine_of_several_architectures_follows_the_platform(space, platform, architecture):
    """`virt` is there for each; the image runs on its own."""
    found = boot_test(space, boot("machine: 'virt'"), f"platform: '{platform}'")

    assert found.architecture == architecture
    assert found.firmware == "u-boot"


@pytest.mark.parametrize("machine", MACHINES)
def test_each_machine_starts_a_kernel(space, machine):
    """Where there is no firmware, and where there is one."""
    assert boot_test(space, boot(f"machine: '{machine}', kernel: 'boot:vmlinuz'")).machine == machine


def test_any_machine_of_qemu_will_do(space):
    """With the name of the program that has it."""
    found = boot_test(space, boot("machine: 'vexpress-a9', architecture: 'arm', kernel: 'boot:zImage'"))

    assert (found.machine, found.architecture) == ("vexpress-a9", "arm")


def test_a_root_file_system_boots_with_a_kernel(space):
    """Its kernel stands in the image."""
    text = (
        "a: { rootfs: 'x.tar', boot_test: { machine: 'q35', kernel: '/boot/vmlinuz*', "
        "expect: [{ wait: 'x' }] } }"
    )

    assert boot_test(space, text).kernel == "/boot/vmlinuz*"


def test_each_kind_of_expectation(space):
    """Wait, type, a secret, a command with output and exit code, and the end."""
    found = boot_test(
        space,
        boot(
            "machine: 'q35'",
            """[
              { wait: 'login: *$' } { type: 'root', timeout: 5 } { type: '' } { type: { secret: ROOT_PASSWORD } }
              { run: 'uname -m', matches: '^x86_64' } { run: 'false', exit: 1, matches: '^$' } { power_off: true }
            ]""",
        ),
    ).expectations

    assert [(one.kind, one.text, one.secret) for one in found] == [
        ("wait", "login: *$", ""),
        ("type", "root", ""),
        ("type", "", ""),
        ("type", "", "ROOT_PASSWORD"),
        ("run", "uname -m", ""),
        ("run", "false", ""),
        ("power_off", "", ""),
    ]
    assert [one.exit_code for one in found][4:] == [0, 1, 0]
    assert [one.matches for one in found][4:] == ["^x86_64", "^$", ""]
    assert [one.timeout_s for one in found][:2] == [None, 5]


def test_a_machine_may_be_powered_off_by_another_command(space):
    """Busybox has no systemd to ask."""
    assert boot_test(space, expect("{ power_off: 'poweroff -f' }")).expectations[-1].text == "poweroff -f"
