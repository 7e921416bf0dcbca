"""Metavision's compression of chunks, by hand and there and back.

The bytes by hand follow the description of the format, which Prophesee's encoder writes too.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.events.codecs.ecf import decode_ecf, encode_ecf


def header(count, flags, first_us):
    return (count << 2 | flags).to_bytes(4, 'little') + first_us.to_bytes(8, 'little')


def packed(size, *places):
    """Return four places in three words: the fourth in what the others leave of each."""
    part = 16 * size // 8
    low = (1 << part) - 1
    a, b, c, d = places
    words = (
        a << part | b & low,
        b >> part << 2 * part | c & (1 << 2 * part) - 1,
        c >> 2 * part << 3 * part | d,
    )
    return b''.join(word.to_bytes(size, 'little') for word in words)


# Two events at 1000 us, one 3 us later, one 300 us (0x12C) after that.
TIMES = bytes([0x02, 0x31, 0xFC, 0xF2, 0xF1, 0x01])
T = [1000, 1000, 1003, 1303]


def test_all_packed():
    places = [
        y << 12 | x << 1 | p for x, y, p in ((5, 2, 1), (2047, 7, 0), (9, 2047, 1), (1, 1, 0))
    ]
    t, x, y, p = decode_ecf(header(4, 2, 1000) + TIMES + packed(4, *places))
    assert (t.tolist(), x.tolist(), y.tolist()) == (T, [5, 2047, 9, 1], [2, 7, 2047, 1])
    assert p.tolist() == [1, 0, 1, 0]


def test_rows_and_packed_columns():
    rows = (7 << 5 | 3).to_bytes(2, 'little') + (9 << 5 | 1).to_bytes(2, 'little')
    places = packed(2, 5 << 1 | 1, 2047 << 1, 9 << 1 | 1, 1 << 1)
    t, x, y, p = decode_ecf(header(4, 1, 1000) + TIMES + rows + places)
    assert (t.tolist(), x.tolist(), y.tolist()) == (T, [5, 2047, 9, 1], [7, 7, 7, 9])
    assert p.tolist() == [1, 0, 1, 0]


def test_rows_masks_and_runs():
    rows = (7 << 5 | 4).to_bytes(2, 'little')
    columns = (100 << 5 | 0b10001).to_bytes(2, 'little') + (3 << 5).to_bytes(2, 'little')
    polarities = bytes([0x80 | 3, 1])
    t, x, y, p = decode_ecf(header(4, 0, 1000) + TIMES + rows + columns + polarities)
    assert (t.tolist(), x.tolist(), y.tolist()) == (T, [100, 101, 105, 3], [7] * 4)
    assert p.tolist() == [1, 1, 1, 0]


def test_numbers_that_need_two_bytes_more():
    chunk = (
        header(300, 0, 7)
        + bytes([0x0F, 44, 1])
        + (5 << 5 | 31).to_bytes(2, 'little')
        + (300).to_bytes(2, 'little')
        + (2 << 5).to_bytes(2, 'little') * 300
        + bytes([0xFF, 44, 1])
    )
    t, x, y, p = decode_ecf(chunk)
    assert [len(column) for column in (t, x, y, p)] == [300] * 4
    assert [set(column.tolist()) for column in (t, x, y, p)] == [{7}, {2}, {5}, {1}]


@given(
    gaps=st.lists(st.sampled_from([0, 0, 0, 1, 14, 15, 16, 255, 10**12]), min_size=1, max_size=80),
    rows=st.lists(st.integers(0, 2047), min_size=1, max_size=9),
    run=st.integers(1, 70),
    seed=st.integers(0, 99),
)
def test_what_is_encoded_is_decoded(gaps, rows, run, seed):
    count = len(gaps)
    t = np.cumsum(np.array(gaps, np.int64))
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2048, count).astype(np.uint16)
    y = np.resize(np.repeat(rows, run), count).astype(np.uint16)
    p = rng.integers(0, 2, count).astype(np.uint8)
    chunk = encode_ecf(t, x, y, p)
    for got, want in zip(decode_ecf(chunk), (t, x, y, p), strict=True):
        assert got.tolist() == want.tolist()
    assert decode_ecf(chunk[:-1]) is None


def test_no_bytes_break_it():
    rng = np.random.default_rng(0)
    for _ in range(2000):
        count = int(rng.integers(0, 40))
        chunk = rng.integers(0, 256, int(rng.integers(0, 200)), dtype=np.uint8)
        chunk[:4] = list((count << 2 | int(rng.integers(4))).to_bytes(4, 'little'))[: len(chunk)]
        columns = decode_ecf(chunk.tobytes())
        assert columns is None or [len(column) for column in columns] == [count] * 4


@pytest.mark.parametrize('chunk', [b'', b'\0', header(65536, 2, 0)])
def test_what_cannot_be_a_chunk_is_refused(chunk):
    assert decode_ecf(chunk) is None
