"""Tables of images that fit where they are shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stalker.images.listing import list_rows
from stalker.images.tables import rows_table
from stalker.model import labels
from unit.helpers.forest import grown

LONG_RUN = "20261121-030616-daa4ee-27560-8649b"


@pytest.mark.parametrize(
    ("columns", "last"), [(None, f" {LONG_RUN}"), (120, " 20261121-030616"), (76, " 010000000000")]
)
def test_a_terminal_gets_lines_that_fit(columns, last):
    """Of a run its time, of a step what the name does not say; of a pipe nothing is kept."""
    forest = grown()
    image = forest.engine.image("os/arch/sub/base:apt")
    forest.engine.images_by_id[image.id] = replace(image, labels={**image.labels, labels.RUN: LONG_RUN})
    rows = list_rows(forest.engine.labelled_images(), forest.engine)

    lines = rows_table(rows, 100 * 86400.0, with_old=False, columns=columns).splitlines()

    (line,) = [line for line in lines if "base:apt" in line]
    assert line.endswith(last)
    assert max(map(len, lines)) <= (columns or 1000)
