"""A header of a tar: names, records and times, read and written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stalker.formats.tar.header import read_records, write_records


@given(st.dictionaries(st.binary(min_size=1).filter(lambda key: b"=" not in key), st.binary()))
def test_records_read_back_as_written(records):
    """The length of a record counts its own digits, also where one more digit makes it longer."""
    assert read_records(write_records(records)) == records
