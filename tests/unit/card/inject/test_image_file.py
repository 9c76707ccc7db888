"""How an fstab names the data partition."""

from __future__ import annotations

import pytest

from stalker.card.inject.image_file import device_in_fstab
from stalker.disk.inspect import PartitionFacts
from stalker.formats.fs.probe import FileSystemFacts
from stalker.formats.partition_table.table import Entry


@pytest.mark.parametrize(
    ("partuuid", "device"),
    [
        ("1a2b3c4d-03", "PARTUUID=1a2b3c4d-03"),
        ("00000000-03", "UUID=fs-uuid"),
        ("", "UUID=fs-uuid"),
        ("00000000-1111-4222-8333-444444444444", "PARTUUID=00000000-1111-4222-8333-444444444444"),
        ("00000000-0111-4222-8333-444444444444", "PARTUUID=00000000-0111-4222-8333-444444444444"),
    ],
)
def test_a_partition_without_a_partuuid_is_named_by_its_file_system(partuuid, device):
    """A disk id of zero gives none: the machine would wait for a device that does not come."""
    facts = PartitionFacts(Entry(3, 2048, 2048, "83", partuuid), FileSystemFacts("ext4", uuid="fs-uuid"))

    assert device_in_fstab(facts) == device
