"""Steps, files, folders and stores of a stalk."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from stalker.model.tree import secret_marker
from workspace import LIB

GO = 'go: { exec: true, text: "#!/bin/sh\\n" }'


def one(problems):
    assert len(problems) == 1, problems
    return problems[0]


PROBLEMS = {
    "missing script": (
        "x: { exec: true, path: 'stalks/web/rnu.sh' }",
        "plugins.x.path: there is no stalks/web/rnu.sh\n  did you mean 'stalks/web/run.sh'?",
    ),
    "a script that is a folder": ("x: { exec: true, path: stalks\n}", "plugins.x.path: stalks is not a file"),
    "a script without content": ("x: { exec: true }", "plugins.x: one of text, path, use is missing"),
    "no shebang in text": (
        "x: { exec: true, text: 'echo' }",
        "plugins.x.text: no shebang line\n  the first line says what runs it, like #!/bin/sh",
    ),
    "a script path that leaves": (
        "x: { exec: true, path: '../run.sh' }",
        (
            "plugins.x.path: '../run.sh' leaves the workspace\n  relative paths stay inside the workspace; "
            "an absolute one may lead elsewhere"
        ),
    ),
    "a path that leaves in the middle": (
        "x: { path: 'stalks/../../x' }",
        "plugins.x.path: 'stalks/../../x' leaves the workspace",
    ),
    "an empty path": ("x: { path: '' }", "plugins.x.path: the path is empty"),
    "relative bind": (
        "x: { bind: 'etc/x', text: 'y' }",
        "plugins.x.bind: 'etc/x' is relative; a path in the container begins with /",
    ),
    "bind with ..": (
        "x: { bind: '/a/../etc', text: 'y' }",
        "'/a/../etc' holds '..'; write the path it leads to",
    ),
    "bind of the root": ("x: { bind: '//', text: 'y' }", "the whole root cannot be covered"),
    "bind over the scripts": ("x: { bind: '/entropy/plugins/', text: 'y' }", "holds the scripts"),
    "bind and copy": (
        "x: { bind: '/x', copy: '/x', text: 'y' }",
        "plugins.x.copy: both 'bind' and 'copy'\n  keep one: bind is never in an image, copy is",
    ),
    "text and path of a file": ("x: { text: 'y', path: 'stalks/web/run.sh' }", "both 'text' and 'path'"),
    "nothing at all": (
        "x: { bind: '/x' }",
        "plugins.x: a plugin has one of text, path, url, git, store, or exec with use",
    ),
    "use without exec": ("x: { use: 'a' }", "store, or exec with use\n  a script also has exec: true"),
    "a missing file": ("x: { path: 'stalks/none' }", "plugins.x.path: there is no stalks/none"),
    "a missing read-only folder": (
        "x: { path: 'stalks/none', bind: '/x', mode: ro\n}",
        "there is no stalks/none",
    ),
    "a missing writable folder outside": ("x: { path: '/nowhere/x', mode: rw\n}", "there is no /nowhere/x"),
    "a copied folder": (
        "x: { path: 'stalks', copy: '/x' }",
        "plugins.x.copy: 'copy' does not go with a folder",
    ),
    "a step's key on a file": (
        "x: { text: 'y', timeout: 1 }",
        "plugins.x.timeout: 'timeout' does not go with a file",
    ),
    "a bad mode of a file": (
        "x: { text: 'y', mode: '0999' }",
        "plugins.x.mode: '0999' is not a mode\n  permission bits in octal, like \"0644\"",
    ),
    "a bad mode of a folder": (
        "x: { path: 'stalks', mode: '0755' }",
        "plugins.x.mode: '0755' is not possible here\n  ro or rw",
    ),
    "a locked folder": (
        "x: { path: 'stalks', mode: locked\n}",
        "plugins.x.mode: 'locked' is not possible here\n  ro or rw; only a store can be locked",
    ),
    "a bad mode of a store": (
        "x: { store: 'dist', bind: '/x', mode: lock\n}",
        "plugins.x.mode: 'lock' is not possible here\n  ro, rw or locked",
    ),
    "a store's bad name": ("x: { store: 'a/b', bind: '/x' }", "plugins.x.store: 'a/b' cannot name a store"),
    "a store without bind": ("x: { store: 'dist' }", "plugins.x: a store needs 'bind'"),
    "two plugins at one place": (
        "x: { text: 'y', bind: '/x' }\n y: { text: 'y', bind: '/x/' }",
        "plugins.y: two plugins want /x in the container\n  the other one stands at stalks/web/web.hjson:4:5",
    ),
    "a file over a script": (
        "x: { text: 'y', bind: '/entropy/plugins/go' }",
        "two plugins want /entropy/plugins/go",
    ),
    "a file inside a mount": (
        "x: { path: 'stalks', bind: '/x' }\n y: { text: 'y', bind: '/x/y' }",
        "plugins.y: /x/y would be written into what is mounted at /x",
    ),
    "a step named initial": (
        'initial: { exec: true, text: "#!/bin/sh" }',
        "plugins.initial: a step cannot be named 'initial'",
    ),
    "a step named final that is not last": (
        'final: { exec: true, text: "#!/bin/sh" }',
        "plugins.final: only the last step can be named 'final'",
    ),
    "a step's name that is not a tag": (
        '"-x": { exec: true, text: "#!/bin/sh" }',
        "plugins.-x: '-x' cannot name a plugin",
    ),
    "a step's name that is too long": (
        "a" * 121 + ': { exec: true, text: "#!/bin/sh" }',
        "has 121 characters; at most 120",
    ),
    "a step's name of ours": ('"x.failed": { exec: true, text: "#!/bin/sh" }', "cannot end in '.failed'"),
    "a folder that holds the workspace": (
        "x: { path: '/', bind: '/host' }",
        "/ holds the workspace, and what is read-only counts by content, logs too",
    ),
    "a template's syntax": (
        "x: {\n template: 'jinja2'\n text:\n '''\n one\n {% if %}\n '''\n }",
        "web.hjson:9:1: plugins.x.text: template: Expected",
    ),
    "a name that the template lacks": (
        "x: {\n A: 1\n template: 'jinja2'\n text:\n '''\n one {{A}}\n {{B}}\n '''\n }",
        "web.hjson:10:1: plugins.x.text: template: 'B' is undefined\n  variables of this plugin: A",
    ),
    "a name that a template in quotes lacks": (
        "x: { template: 'jinja2', text: 'a\\n{{B}}' }",
        "template, line 2: 'B' is undefined",
    ),
    "a name that a template file lacks": (
        "x: { path: 'stalks/web/x.j2' }",
        "stalks/web/x.j2:2:1: template: 'B' is undefined",
    ),
    "a template that breaks out": (
        "x: { A: 1, template: 'jinja2', text: '{{ A.__class__.__mro__ }}' }",
        "access to attribute '__class__' of 'str' object is unsafe",
    ),
}


@pytest.mark.parametrize(("plugin", "message"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_a_slip_in_a_plugin_is_told_with_its_place(space, plugin, message):
    """Each slip is one problem that names the plugin."""
    space.write("stalks/web/run.sh", "#!/bin/sh\n")
    space.write("stalks/web/x.j2", "one\n{{ B }}\n")
    space.stalk(f"{plugin}\n {GO}")

    problem = one(space.problems())

    assert message in problem


def test_a_script_file_without_a_shebang_is_told_at_the_file(space):
    """The place is the script itself."""
    space.write("run.sh", "echo\n")
    space.stalk("x: { exec: true, path: 'run.sh' }")

    assert one(space.problems()).startswith("run.sh:1:1: no shebang line")


def test_steps_come_in_the_order_of_the_file(space):
    """Exec plugins are the steps."""
    space.stalk(
        "b: { exec: true, text: '#!/bin/sh' }\n a: { exec: true, text: '#!/bin/sh' }\n final: { exec: true, text: '#!/bin/sh' }"
    )

    assert [step.id for step in space.read().stalks[0].steps] == ["web:b", "web:a", "web:final"]


def test_a_step_knows_its_time_its_retries_and_whether_it_stays_up(space):
    """timeout, retries, daemonize."""
    space.step("timeout: 1h30m\n retries: 2\n daemonize: true")

    step = space.go()

    assert (step.timeout_s, step.retries, step.daemonize) == (5400.0, 2, True)


@pytest.mark.parametrize(
    ("ready", "read"),
    [
        ("port: 8080", ("port", "8080", 60.0)),
        ("command: 'test -e /up', timeout: 5m", ("command", "test -e /up", 300.0)),
        ("log: '^up$', timeout: 3", ("log", "^up$", 3.0)),
    ],
)
def test_a_daemonized_step_says_when_it_is_ready(space, ready, read):
    space.step(f"daemonize: true\n ready: {{ {ready} }}")

    found = space.go().ready

    assert (found.kind, found.value, found.timeout_s) == read


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("ready: { port: 80 }", "'ready' goes with daemonize: true"),
        ("daemonize: true\n ready: {}", "one of port, command and log"),
        ("daemonize: true\n ready: { port: 80, log: up }", "one of port, command and log"),
        ("daemonize: true\n ready: { port: 70000 }", "65535"),
        ("daemonize: true\n ready: { log: '(' }", "not a valid regular expression"),
        ("daemonize: true\n ready: { port: 80, timeout: soon }", "soon"),
        ("daemonize: true\n ready: { ports: 80 }", "ports"),
    ],
)
def test_a_slip_in_ready_is_told_with_its_place(space, keys, message):
    space.step(keys)

    assert message in "\n".join(space.problems())


def test_a_skipped_step_is_left_out_with_a_warning(space):
    """`skip: true` takes the step away and says so."""
    space.stalk(f"x: {{ exec: true, skip: true, text: 'no matter' }}\n {GO}")

    tree = space.read()

    assert [step.name for step in tree.stalks[0].steps] == ["go"]
    assert "the step 'x' is left out" in tree.warnings[0]


SCRIPTS = {
    "a shell keeps its braces": ("#!/bin/sh\necho ${V} {V}", b"#!/bin/sh\necho ${V} {V}"),
    "a shell by env": ("#!/usr/bin/env bash\n{V}", b"#!/usr/bin/env bash\n{V}"),
    "python gets values": (
        "#!/usr/bin/python3 -u\nprint('{V}', f'{x}', {})",
        b"#!/usr/bin/python3 -u\nprint('a b', f'{x}', {})",
    ),
    "a value in the shebang line": ("#!/usr/bin/{V}", b"#!/usr/bin/a b"),
    "a value is not looked into again": ("#!/usr/bin/perl\n{W}", b"#!/usr/bin/perl\n{V}"),
}


@pytest.mark.parametrize(("text", "content"), SCRIPTS.values(), ids=SCRIPTS.keys())
@pytest.mark.parametrize("by_path", [False, True], ids=["text", "path"])
def test_values_stand_in_scripts_that_no_posix_shell_runs(space, text, content, by_path):
    """Shells read the environment; other languages get {NAME} of the plugin's own variables."""
    space.write("run", text)
    source = "path: 'run'" if by_path else "text:\n    '''\n    " + text.replace("\n", "\n    ") + "'''"
    space.stalk(f"x: {{\n exec: true\n V: a b\n W: '{{V}}'\n {source}\n }}")

    script = space.go().script

    assert script.content == content
    assert script.digest == hashlib.sha256(text.encode()).hexdigest()


def test_the_interpreter_is_split_as_the_kernel_does(space):
    """All that follows the program is one argument."""
    space.write("run", "#! /usr/bin/env  -S python3 -u \n")
    space.stalk("x: { exec: true, path: 'run' }")

    assert space.go().script.interpreter == ("/usr/bin/env", "-S python3 -u")


def test_a_template_is_rendered_with_the_plugins_variables(space):
    """.j2 or template: jinja2; the digest is not that of the same bytes taken as they are."""
    source = "{% for x in V.split() %}<{{ x }}>{% endfor %}\n{V}\n"
    space.write("x.j2", source)
    space.write("x.txt", source)
    space.stalk(
        f"a: {{ V: 'p q', path: 'x.j2' }}\n b: {{ V: 'p q', path: 'x.txt', template: 'jinja2' }}\n c: {{ path: 'x.txt' }}\n {GO}"
    )

    files = {file.plugin: file for file in space.go().files}

    assert files["a"].content == files["b"].content == b"<p><q>\n{V}\n"
    assert files["a"].digest == files["b"].digest != files["c"].digest


def test_a_script_can_be_a_template(space):
    """A .j2 script is rendered whatever runs it."""
    space.write("x.sh.j2", "#!/bin/sh\necho {{ V }} {V}\n")
    space.stalk("a: { exec: true, V: 1, path: 'x.sh.j2' }")

    assert space.go().script.content == b"#!/bin/sh\necho 1 {V}\n"


def test_copies_go_to_the_step_below_them(space):
    """What stands above a step is in its image; what stands below the last one comes after it."""
    space.stalk(
        "a: { copy: '/a', text: '1' }\n s1: { exec: true, text: '#!/bin/sh' }\n"
        "b: { copy: '/b', text: '2' }\n s2: { exec: true, text: '#!/bin/sh' }\n c: { copy: '/c', text: '3', mode: '0600' }"
    )

    first, last = space.read().stalks[0].steps

    assert [f.target for f in first.copies] == ["/a"]
    assert [f.target for f in last.copies] == ["/b"]
    assert [(f.target, f.mode) for f in last.late_copies] == [("/c", 0o600)]
    assert first.late_copies == first.files == ()


def test_a_secret_is_a_marker_in_files_and_a_name_in_variables(space):
    """No value of a secret is in a tree: it is filled in when a file is placed."""
    space.tree(top="secrets: { KEY: { env: 'KEY' } }")
    space.stalk(
        "a: { KEY: '', text: 'k={KEY}' }\n go: {\n exec: true\n KEY: ''\n text: \"#!/usr/bin/python3\\nx='{KEY}'\"\n }"
    )

    step = space.go()

    assert step.files[0].content == b"k=" + secret_marker("KEY").encode()
    assert secret_marker("KEY").encode() in step.script.content
    assert [(v.name, v.value, v.secret) for v in step.variables] == [("KEY", "", "KEY")]


def test_envplugins_are_the_environment_of_every_step(space):
    """By name; '' takes what the tree sets and is empty text otherwise."""
    space.tree("LANG: C")
    space.step(top="envplugins: { Z: 1, LANG: '', EMPTY: '', lower: x\n}")

    assert space.go().environment == (("EMPTY", ""), ("LANG", "C"), ("Z", "1"), ("lower", "x"))


def test_steps_of_a_stalk_share_what_they_have_in_common(space):
    """10,000 steps must not hold 10,000 copies of the sysroot."""
    space.write("sysroot/etc/x", "1")
    space.stalk(
        "a: { exec: true, text: '#!/bin/sh' }\n b: { exec: true, text: '#!/bin/sh' }\n f: { text: 'x' }",
        "DOCKER_OPTS: { tty: true }\n envplugins: { A: 1 }",
    )

    a, b = space.read().stalks[0].steps

    assert a.files is b.files
    assert a.mounts is b.mounts
    assert a.options is b.options
    assert a.environment is b.environment


def test_a_file_that_may_not_be_read_is_told(space):
    """Permission denied is a problem with a place, not a traceback."""
    space.write("x", "1", 0o000)
    space.stalk(f"a: {{ path: 'x' }}\n {GO}")
    check = [sys.executable, "-m", "stalker.cli", "check", "t"]
    if os.getuid() == 0:  # who reads everything, unless both capabilities are taken away
        check = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *check]

    done = subprocess.run(
        check,
        cwd=space.root,
        env={**os.environ, "PYTHONPATH": str(LIB)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "stalks/web/web.hjson:4:16: plugins.a.path: x cannot be read: permission denied" in done.stdout


def test_a_fifo_is_no_file(space):
    """Reading it would wait for ever."""
    os.mkfifo(space.root / "pipe")
    space.stalk(f"a: {{ path: 'pipe' }}\n {GO}")

    assert "pipe is neither a file nor a folder" in one(space.problems())
