"""The types of partitions: well formed, and ones that a file system can have."""

from __future__ import annotations

import re
import uuid

from stalker.formats.partition_table.partition_types import (
    EFI_SYSTEM,
    EXTENDED,
    GPT_TYPES,
    MBR_TYPES,
    PROTECTIVE,
)


def test_each_file_system_has_a_type_in_both_tables():
    """A GUID in the one, two digits in the other, and none that marks something else than data."""
    guids = {*GPT_TYPES.values(), EFI_SYSTEM["gpt"]}
    codes = {*MBR_TYPES.values(), EFI_SYSTEM["mbr"]}

    assert set(GPT_TYPES) == set(MBR_TYPES)
    assert {str(uuid.UUID(one)) for one in guids} == guids
    assert all(re.fullmatch("[0-9a-f]{2}", one) for one in codes)
    assert not codes & {*EXTENDED, PROTECTIVE}
