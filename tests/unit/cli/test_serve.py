"""`stalker serve` without the extra names what to type, and no other command imports it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

from click.testing import CliRunner

from stalker.app.settings import Settings
from stalker.cli.commands import serve
from stalker.errors import StalkerError


def test_without_its_packages_it_names_what_to_type(monkeypatch, tmp_path):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else real(name))

    done = CliRunner().invoke(serve.serve, [], obj=Settings(str(tmp_path)))

    assert isinstance(done.exception, StalkerError)
    assert done.exception.details == "uvicorn"
    assert done.exception.resolution.endswith(
        "pip install --require-hashes --no-deps -r requirements-service.txt"
    )


def test_no_other_command_imports_the_packages_of_the_service():
    """Neither their time nor their bugs are those of a run."""
    code = (
        "import importlib, sys; from stalker.cli.main import COMMANDS\n"
        "for module, _, _ in COMMANDS.values(): importlib.import_module(module)\n"
        f"print([name for name in {serve.NEEDS!r} if name in sys.modules], "
        "[name for name in sys.modules if name.startswith('stalker.service')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[] []"
