"""ECF: how Metavision compresses the chunks of HDF5 files."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.kernel import Integer, kernel

ECF_FILTER: Final = 0x8ECF
"""Number of the compression in HDF5."""

ECF_AXIS_LIMIT: Final = 2048
"""Columns and rows that it has room for."""

_MAX_EVENTS: Final = 65535
_HEADER_BYTES: Final = 12

# Bits of the header: whether columns and polarities, or these and rows, are packed.
_PACKS_X_P: Final = 1
_PACKS_ALL: Final = 2

_Column = NDArray[np.int64]


def decode_ecf(chunk: bytes) -> tuple[_Column, _Column, _Column, _Column] | None:
    """Decode a chunk.

    Returns:
        Times in us, columns, rows and polarities of its events; None if it is damaged.
    """
    if len(chunk) < 4:
        return None
    count = int.from_bytes(chunk[:4], 'little') >> 2
    if count > _MAX_EVENTS:
        return None
    # A group of four that is packed may end after the last event, and so may a mask.
    t, x, y, p = (np.zeros(count + 5, np.int64) for _ in range(4))
    if count and not _decode(np.frombuffer(chunk, np.uint8), count, t, x, y, p):
        return None
    return t[:count], x[:count], y[:count], p[:count]


def encode_ecf(
    t_us: NDArray[np.int64], x: NDArray[np.uint16], y: NDArray[np.uint16], p: NDArray[np.uint8]
) -> bytes:
    """Encode a chunk of 1 to 65535 events, in order of time, below ECF_AXIS_LIMIT."""
    # At most 16 bytes of a step in time, a byte of its run, and four of the place.
    data = np.zeros(_HEADER_BYTES + 21 * len(t_us) + 12, np.uint8)
    return data[: _encode(t_us, x, y, p, data)].tobytes()


@kernel
def _word(data: NDArray[np.uint8], at: Integer, size: int) -> Integer:
    """Return a little-endian number of so many bytes."""
    value = np.int64(0)
    for k in range(size):
        value |= np.int64(data[at + k]) << 8 * k
    return value


@kernel
def _put(data: NDArray[np.uint8], at: Integer, size: int, value: Integer) -> Integer:
    """Write a little-endian number of so many bytes; return the index after it."""
    for k in range(size):
        data[at + k] = value >> 8 * k & 0xFF
    return at + size


@kernel
def _decode(
    data: NDArray[np.uint8], count: int, t: _Column, x: _Column, y: _Column, p: _Column
) -> bool:
    """Decode the events of a chunk into columns; return whether it has all of them."""
    flags = data[0] & 3
    at = _decode_times(data, count, t)
    if flags & _PACKS_ALL:
        at = _decode_packed(data, at, count, 4, x, y, p)
    else:
        at = _decode_runs(data, at, count, 2, 5, y)
        if flags & _PACKS_X_P:
            at = _decode_packed(data, at, count, 2, x, y, p)
        else:
            at = _decode_masks(data, at, count, x)
            at = _decode_runs(data, at, count, 1, 7, p)
    return bool(at >= 0)


@kernel
def _decode_times(data: NDArray[np.uint8], count: int, t: _Column) -> Integer:
    """Decode the times; return the index after them, -1 if they are damaged."""
    if len(data) < _HEADER_BYTES:
        return -1
    now = _word(data, 4, 8)
    at: Integer = _HEADER_BYTES
    done: Integer = 0
    while done < count:
        # Steps of up to 14 us are with the number of events, longer ones before it.
        step, place = np.int64(0), 0
        while at < len(data) and data[at] >> 4 == 15 and place < 64:
            step |= np.int64(data[at] & 15) << place
            place += 4
            at += 1
        if at >= len(data):
            return -1
        now += step + np.int64(data[at] >> 4)
        number = np.int64(data[at] & 15)
        at += 1
        if number == 15:
            if at + 2 > len(data):
                return -1
            number = _word(data, at, 2)
            at += 2
        if number == 0 or done + number > count:
            return -1
        t[done : done + number] = now
        done += number
    return at


@kernel
def _decode_runs(
    data: NDArray[np.uint8], at: Integer, count: int, size: int, bits: int, values: _Column
) -> Integer:
    """Decode values that repeat: each with its number of events in the lowest bits.

    A number with all bits set is in the next two bytes.
    """
    if at < 0:
        return -1
    full = (1 << bits) - 1
    done: Integer = 0
    while done < count:
        if at + size > len(data):
            return -1
        word = _word(data, at, size)
        at += size
        number = word & full
        if number == full:
            if at + 2 > len(data):
                return -1
            number = _word(data, at, 2)
            at += 2
        if number == 0 or done + number > count:
            return -1
        values[done : done + number] = word >> bits
        done += number
    return at


@kernel
def _decode_masks(data: NDArray[np.uint8], at: Integer, count: int, x: _Column) -> Integer:
    """Decode columns, each with a mask of the five after it."""
    if at < 0:
        return -1
    done: Integer = 0
    while done < count:
        if at + 2 > len(data):
            return -1
        word = _word(data, at, 2)
        at += 2
        x[done] = word >> 5
        done += 1
        for k in range(5):
            if word >> 4 - k & 1:
                x[done] = (word >> 5) + k + 1
                done += 1
    return at


@kernel
def _decode_packed(
    data: NDArray[np.uint8],
    at: Integer,
    count: int,
    size: int,
    x: _Column,
    y: _Column,
    p: _Column,
) -> Integer:
    """Decode places, four in three words of so many bytes: polarity, column, row in words of 4."""
    if at < 0 or at + 3 * size * ((count + 3) // 4) > len(data):
        return -1
    part = 2 * size
    low = (1 << part) - 1
    for i in range(0, count, 4):
        first, second, third = (
            _word(data, at, size),
            _word(data, at + size, size),
            _word(data, at + 2 * size, size),
        )
        at += 3 * size
        places = (
            first >> part,
            first & low | second >> 2 * part << part,
            second & (1 << 2 * part) - 1 | third >> 3 * part << 2 * part,
            third & (1 << 3 * part) - 1,
        )
        for k in range(4):
            p[i + k], x[i + k] = places[k] & 1, places[k] >> 1 & 0x7FF
            if size == 4:
                y[i + k] = places[k] >> 12 & 0x7FF
    return at


@kernel
def _encode(
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.uint8],
    data: NDArray[np.uint8],
) -> Integer:
    """Encode a chunk into zeroed bytes; return their number."""
    count = len(t)
    runs = 1
    for i in range(1, count):
        runs += y[i] != y[i - 1]
    # Rows take two bytes or more for each run; packed with the rest, 1.5 for each event.
    packs_all = 4 * runs > 3 * count
    _put(data, 0, 4, count << 2 | (_PACKS_ALL if packs_all else _PACKS_X_P))
    _put(data, 4, 8, t[0])
    at = _encode_times(t, data)
    if not packs_all:
        at = _encode_runs(y, data, at)
    size = 4 if packs_all else 2
    part = 2 * size
    for start in range(0, count, 4):
        words = np.zeros(3, np.int64)
        for k in range(min(4, count - start)):
            i = start + k
            place = np.int64(x[i]) << 1 | np.int64(p[i] & 1)
            if packs_all:
                place |= np.int64(y[i]) << 12
            if k < 3:
                words[k] |= place >> k * part << (k + 1) * part
            if k > 0:
                words[k - 1] |= place & (1 << k * part) - 1
        for k in range(3):
            at = _put(data, at, size, words[k])
    return at


@kernel
def _encode_times(t: NDArray[np.int64], data: NDArray[np.uint8]) -> Integer:
    at: Integer = _HEADER_BYTES
    now = t[0]
    i = 0
    while i < len(t):
        step = t[i] - now
        now = t[i]
        number = 1
        while i + number < len(t) and t[i + number] == now:
            number += 1
        if step >= 15:
            while step > 0:
                data[at] = 0xF0 | step & 15
                at += 1
                step >>= 4
        data[at] = step << 4 | min(number, 15)
        at += 1
        if number >= 15:
            at = _put(data, at, 2, number)
        i += number
    return at


@kernel
def _encode_runs(y: NDArray[np.uint16], data: NDArray[np.uint8], at: Integer) -> Integer:
    i = 0
    while i < len(y):
        number = 1
        while i + number < len(y) and y[i + number] == y[i]:
            number += 1
        at = _put(data, at, 2, np.int64(y[i]) << 5 | min(number, 31))
        if number >= 31:
            at = _put(data, at, 2, number)
        i += number
    return at
