"""Sparse files: what is written reads the same, and zeros take no room."""

from __future__ import annotations

import os
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from stalker.io.sparse import RUN_BYTES, stored_ranges, write_sparse, zero_range

RUNS = st.lists(
    st.tuples(st.sampled_from([0, 0, 7]), st.sampled_from([1, 100, 4096, 5000, 40960, RUN_BYTES + 3])),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(runs=RUNS, blocks=st.integers(0, 3))
def test_what_is_written_reads_the_same_and_blocks_of_zeros_are_holes(runs, blocks):
    data = b"".join(bytes([value]) * length for value, length in runs)
    start = blocks * 4096
    with tempfile.TemporaryFile() as file:
        write_sparse(file.fileno(), data, start)
        file.truncate(start + len(data))

        assert os.pread(file.fileno(), start + len(data), 0) == bytes(start) + data
        held = sum(end - begin for begin, end in stored_ranges(file.fileno(), 0, start + len(data)))
        wanted = sum(any(data[at : at + 4096]) for at in range(0, len(data), 4096))
        assert held <= wanted * 4096


def test_a_part_of_a_file_becomes_zeros_and_its_size_stays():
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 20000)
        file.flush()

        zero_range(file.fileno(), 100, 15000)
        zero_range(file.fileno(), 19000, 5000)

        assert os.pread(file.fileno(), 30000, 0) == b"x" * 100 + bytes(15000) + b"x" * 3900 + bytes(1000)


def test_ranges_are_cut_to_what_was_asked_for():
    with tempfile.TemporaryFile() as file:
        os.pwrite(file.fileno(), b"x" * 8192, 65536)
        file.truncate(1 << 20)

        assert list(stored_ranges(file.fileno(), 0, 1 << 20)) == [(65536, 73728)]
        assert list(stored_ranges(file.fileno(), 66000, 67000)) == [(66000, 67000)]
        assert list(stored_ranges(file.fileno(), 80000, 1 << 20)) == []
