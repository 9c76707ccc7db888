from __future__ import annotations

import pytest

from stalker.config.plugins.content import interpreter_of, is_posix_shell

INTERPRETERS = {
    b"#!/bin/sh": ("/bin/sh",),
    b"#!/bin/sh\necho": ("/bin/sh",),
    b"#! \t/bin/bash -e -x \n": ("/bin/bash", "-e -x"),
    b"#!/usr/bin/env -S python3 -u\n": ("/usr/bin/env", "-S python3 -u"),
    b"#!/usr/bin/python3\t-u\n": ("/usr/bin/python3", "-u"),
}


@pytest.mark.parametrize("content", INTERPRETERS)
def test_a_shebang_line_is_split_as_the_kernel_splits_it(content):
    """The program, then all the rest as one argument."""
    assert interpreter_of(content) == INTERPRETERS[content]


REFUSED = {
    b"": "no shebang line",
    b"echo": "no shebang line",
    b" #!/bin/sh": "no shebang line",
    b"\xef\xbb\xbf#!/bin/sh": "a byte order mark",
    b"#!\n": "names no program",
    b"#!/bin/sh\r\n": "carriage return",
    b"#!python3\n": "absolute path",
    b"#!/bin/\xff\n": "not UTF-8",
}


@pytest.mark.parametrize("content", REFUSED)
def test_a_shebang_line_that_the_kernel_would_refuse_is_refused(content):
    """The reason is in the message."""
    with pytest.raises(ValueError, match=REFUSED[content]):
        interpreter_of(content)


SHELLS = {
    "/bin/sh": True,
    "/bin/bash -e": True,
    "/usr/bin/dash": True,
    "/bin/ash": True,
    "/usr/bin/ksh93": True,
    "/usr/bin/zsh-5.9": True,
    "/bin/mksh": True,
    "/bin/busybox sh": True,
    "/usr/bin/env sh": True,
    "/usr/bin/env -S bash -eu": True,
    "/usr/bin/env -i LC_ALL=C bash": True,
    "/usr/bin/env -u HOME sh": True,
    "/usr/bin/env -Sbash": True,
    "/usr/bin/env busybox ash": True,
    "/usr/bin/python3": False,
    "/usr/bin/env python3": False,
    "/usr/bin/env -S python3 -u": False,
    "/usr/bin/perl": False,
    "/bin/busybox awk": False,
    "/usr/bin/fish": False,
    "/usr/bin/env": False,
    "/usr/bin/make -f": False,
}


@pytest.mark.parametrize("line", SHELLS)
def test_posix_shells_are_known_however_they_are_called(line):
    """By path, version, env or busybox."""
    assert is_posix_shell(tuple(line.split(None, 1))) is SHELLS[line]
