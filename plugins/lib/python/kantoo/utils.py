"""What the scripts of a step share: arguments, programs that are run, files that are replaced.

A script does its work in a function and hands that to `step`:

    from kantoo.utils import Failed, listed, run, step

    def build():
        run("emerge", *listed("PACKAGES"))

    step("portage.build", build)

A `Failed` ends the step with its two lines; any other exception is a bug and shows its traceback.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

__all__ = [
    "Failed",
    "choice",
    "digest",
    "info",
    "is_true",
    "listed",
    "mapped",
    "need",
    "need_root",
    "read",
    "replace_file",
    "run",
    "setting",
    "step",
    "warn",
    "words",
]

_name = os.path.basename(sys.argv[0] or "step")
_arguments = set()


def _given(name):
    """Return an argument. Programs that are run do not get it: make would take TARGET for its own."""
    _arguments.add(name)
    return os.environ.get(name, "")


class Failed(Exception):
    """What is wrong and what to do about it."""

    def __init__(self, what, remedy=""):
        super().__init__(what)
        self.what, self.remedy = what, remedy


def step(name, work):
    """Run a step's work; on failure say why and end with exit code 1."""
    global _name  # noqa: PLW0603 - one script, one name
    _name = name
    try:
        work()
    except Failed as failure:
        print(f"{name}: {failure.what}", file=sys.stderr)
        for line in failure.remedy.splitlines():
            print("  " + line, file=sys.stderr)
        sys.exit(1)


def info(message):
    """Say what is going on."""
    print(f"{_name}: {message}", flush=True)


def warn(message):
    """Say what is odd."""
    print(f"{_name}: warning: {message}", file=sys.stderr, flush=True)


def setting(name, default=""):
    """Return an argument as text, `default` when it is empty or not there."""
    return _given(name).strip() or default


def listed(name):
    """Return an argument that is a list: one item a line."""
    return [line.strip() for line in _given(name).splitlines() if line.strip()]


def words(name):
    """Return a list whose items may also stand on one line, between blanks."""
    return _given(name).split()


def mapped(name):
    """Return an argument that is a mapping: one `key=value` a line, in that order."""
    found = {}
    for line in listed(name):
        key, equals, value = line.partition("=")
        if not equals:
            raise Failed(f"{name.lower()}: '{line}' is not of the form key=value")
        found[key.strip()] = value.strip()
    return found


def is_true(name):
    """Return an argument that is true or false."""
    return choice(name, "true", "false") == "true"


def choice(name, *allowed):
    """Return an argument that is one of `allowed`, the last of them when it is empty."""
    value = setting(name, allowed[-1])
    if value not in allowed:
        raise Failed("{}: '{}' is none of {}".format(name.lower(), value, ", ".join(allowed)))
    return value


def need(program, remedy):
    """Refuse to go on without a program."""
    if shutil.which(program) is None:
        raise Failed(f"there is no '{program}' in this image", remedy)


def need_root():
    """Refuse to go on as anybody but root."""
    if os.geteuid() != 0:
        raise Failed("this changes the system and must run as root", "leave 'user' out of DOCKER_OPTS")


def run(*argv, given="", environment=None, accepted=(0,), remedy="see above"):
    """Run a program, its output shown as it comes; return its exit code.

    `given` is all that stands on its standard input: a question that nobody foresaw finds the end of
    it. An exit code that is not `accepted` fails the step.
    """
    info("$ " + " ".join(argv))
    try:
        code = subprocess.run(argv, input=given.encode(), env=_with(environment), check=False).returncode
    except OSError as error:
        raise Failed(f"{argv[0]} cannot be started: {error.strerror}", remedy) from error
    if code not in accepted:
        raise Failed(f"{' '.join(argv[:3])} ended with {code}", remedy)
    return code


def read(*argv, environment=None, accepted=(0,)):
    """Return what a program prints, without the line break at the end."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=_with(environment), check=False
        )
    except OSError as error:
        raise Failed(f"{argv[0]} cannot be started: {error.strerror}") from error
    if done.returncode not in accepted:
        raise Failed(f"{' '.join(argv)} ended with {done.returncode}", "see above")
    return done.stdout.decode("utf-8", "replace").strip()


def _with(environment):
    inherited = {name: value for name, value in os.environ.items() if name not in _arguments}
    return dict(inherited, NO_COLOR="1", NOCOLOR="true", **(environment or {}))


def replace_file(path, text, mode=0o644):
    """Give a file this text in one rename; say whether it had another one before.

    Folders are made. The mode of a file that is there stays.
    """
    data = text.encode()
    try:
        with open(path, "rb") as file:
            if file.read() == data:
                return False
        mode = os.stat(path).st_mode & 0o7777
    except FileNotFoundError:
        pass
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    handle, new = tempfile.mkstemp(dir=folder, prefix=".kantoo.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(new, mode)
        os.rename(new, path)
    except BaseException:
        os.unlink(new)
        raise
    return True


def digest(path, kind="sha256"):
    """Return the digest of a file, in hexadecimal digits."""
    found = hashlib.new(kind)
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            found.update(chunk)
    return found.hexdigest()
