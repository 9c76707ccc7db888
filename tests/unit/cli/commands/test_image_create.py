"""What `./stalker image create` says of a disk."""

import errno
import os

import pytest
from click.testing import CliRunner

from stalker.cli.commands.image_create import create
from stalker.errors import StalkerError


@pytest.mark.parametrize("more", [[], ["--debug"]])
def test_a_full_disk_is_told_with_the_image_that_it_is_about(monkeypatch, more):
    """Wherever it was found out."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("stalker.cli.commands.image_create.create_card_image", full)

    done = CliRunner().invoke(create, ["card.yaml", "card.img", *more])

    assert isinstance(done.exception, StalkerError)
    assert done.exception.brief == "card.img could not be made: No space left on device"
    assert "--build-dir" in done.exception.details
