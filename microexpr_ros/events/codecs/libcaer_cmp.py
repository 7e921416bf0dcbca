"""libcaer_cmp: iniVation's events in 16-bit words, with vectors along the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.codecs.codec import (
    DROPPED,
    SKIPPED,
    WORD_16,
    Decoder,
    Encoder,
    first_time_ns,
    require_span,
)
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.kernel import Integer, kernel

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Types of words, in their upper four bits.
_TIME_HIGH: Final = 0x0
_TIME_LOW: Final = 0x1
_ADDR_X: Final = 0x2
_ADDR_Y: Final = 0x3
_VECT_BASE_Y: Final = 0x4
_VECT_8: Final = 0x5

_AXIS_LIMIT: Final = 2048
_SPAN_NS: Final = (1 << 24) * 1000
_NO_TRIGGERS: Final = Triggers.empty()

# State of a decoder, as indices of an array that its kernel updates.
_X: Final = 0
_BASE_Y: Final = 1
_POLARITY: Final = 2  # of vectors, in bit 11
_STATE_SIZE: Final = 3


class LibcaerCmpDecoder(Decoder):
    """Decodes libcaer_cmp: times in steps of 1 us from the packet's time base.

    Known faults of the driver that writes it (libcaer_driver): inside a vector the row may be
    stale, and times are truncated to 16 bits. Its users should choose `encoding:=libcaer`.
    """

    encoding = 'libcaer_cmp'

    def __init__(self, height: int, width: int) -> None:
        super().__init__(height, width)
        self._state = np.zeros(_STATE_SIZE, np.int64)

    def decode(self, payload: Buffer, time_base: int = 0) -> tuple[Events, Triggers]:
        """Decode one packet; see `Decoder.decode`."""
        words = self._words(payload, WORD_16, 2)
        t, x, y, p = _decode(
            words, time_base, self.height, self.width, self._state, self._counts, _LANES
        )
        return Events(t, x, y, p), _NO_TRIGGERS


class LibcaerCmpEncoder(Encoder):
    """Encodes libcaer_cmp without vectors, in whole us; a packet spans up to 16.7 s."""

    encoding = 'libcaer_cmp'

    def __init__(self, height: int, width: int) -> None:
        super().__init__(height, width, _AXIS_LIMIT)

    def encode(self, events: Events, triggers: Triggers | None = None) -> tuple[int, bytes]:
        """Encode one packet; see `Encoder.encode`."""
        self._refuse_triggers(triggers)
        self._check_events(events)
        base_ns = first_time_ns(events.t) // 1000 * 1000
        require_span(self.encoding, events.t, base_ns, _SPAN_NS)
        return base_ns, _encode(events.t, events.x, events.y, events.p, base_ns).tobytes()


_BLOCK: Final = 512
"""Events that are gathered before their columns are filled: few enough for the L1 cache."""

_Y_LANE: Final = 0
_X_LANE: Final = 16
_LOW_LANE: Final = 32
_HIGH_LANE: Final = 48


def _lanes_of_codes() -> NDArray[np.uint64]:
    """Return for each code which bits of the register a word replaces."""
    lanes = np.zeros(16, np.uint64)
    for code, lane in (
        (_ADDR_Y, _Y_LANE),
        (_ADDR_X, _X_LANE),
        (_TIME_LOW, _LOW_LANE),
        (_TIME_HIGH, _HIGH_LANE),
    ):
        lanes[code] = 0xFFFF << lane
    return lanes


_LANES: Final = _lanes_of_codes()


@kernel
def _decode(
    words: NDArray[np.uint16],
    base_ns: int,
    height: int,
    width: int,
    state: NDArray[np.int64],
    counts: NDArray[np.int64],
    lanes: NDArray[np.uint64],
) -> tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint8]]:
    """Decode a packet as in evt3: registers of all events first, then columns."""
    count = _count(words)
    t, p = np.empty(count, np.int64), np.empty(count, np.uint8)
    x, y = np.empty(count, np.uint16), np.empty(count, np.uint16)

    register = np.uint64(state[_X]) << np.uint64(_X_LANE)
    every_lane = np.uint64(1 << _Y_LANE | 1 << _X_LANE | 1 << _LOW_LANE | 1 << _HIGH_LANE)
    base_y, polarity = np.uint64(state[_BASE_Y]), np.uint64(state[_POLARITY])
    # Room for a whole vector after the last event of a full block.
    block = np.empty(_BLOCK + 8, np.uint64)
    gathered: Integer = np.uint64(0)
    word = code = np.uint64(0)
    kept: Integer = 0
    i: Integer = np.uint64(0)
    stop = np.uint64(len(words))
    while True:
        # A loop of its own, so that its variables stay in processor registers.
        while i < stop and gathered < np.uint64(_BLOCK):
            word = np.uint64(words[i])
            code = word >> np.uint64(12)
            if code > np.uint64(_ADDR_Y):
                break
            lane = lanes[code]
            register = register & ~lane | word * every_lane & lane
            block[gathered] = register
            gathered += np.uint64(code == np.uint64(_ADDR_Y))
            i += np.uint64(1)
        is_full = gathered >= np.uint64(_BLOCK)
        if i >= stop or is_full:
            end = _fill(block, np.int64(gathered), base_ns, t, x, y, p, kept, height, width)
            counts[DROPPED] += kept + np.int64(gathered) - end
            kept, gathered = end, np.uint64(0)
            if i >= stop:
                break
            if is_full:
                continue
        i += np.uint64(1)
        if code == np.uint64(_VECT_8):
            without_y = register >> np.uint64(_X_LANE) << np.uint64(_X_LANE) | polarity
            for k in range(8):
                row = base_y + np.uint64(k)
                if word >> np.uint64(k) & np.uint64(1):
                    # A row that does not fit the register is not on any sensor.
                    block[gathered] = without_y | row & np.uint64(_AXIS_LIMIT - 1)
                    gathered += np.uint64(row < np.uint64(_AXIS_LIMIT))
                    counts[DROPPED] += row >= np.uint64(_AXIS_LIMIT)
            base_y += np.uint64(8)
        elif code == np.uint64(_VECT_BASE_Y):
            base_y, polarity = word & np.uint64(0x7FF), word & np.uint64(0x800)
        else:
            counts[SKIPPED] += 1
    state[_X] = np.int64(register >> np.uint64(_X_LANE) & np.uint64(0x7FF))
    state[_BASE_Y], state[_POLARITY] = np.int64(base_y), np.int64(polarity)
    return t[:kept], x[:kept], y[:kept], p[:kept]


@kernel
def _count(words: NDArray[np.uint16]) -> Integer:
    """Return an upper bound of events."""
    count: Integer = 0
    for i in range(len(words)):
        count += words[i] >> 12 == _ADDR_Y
    for i in range(len(words)):
        count += 8 * (words[i] >> 12 == _VECT_8)
    return count


@kernel
def _fill(
    block: NDArray[np.uint64],
    count: Integer,
    base_ns: int,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.uint8],
    start: int,
    height: int,
    width: int,
) -> Integer:
    """Turn registers into columns from an index on; return the index after the last."""
    t, x, y, p = t[start:], x[start:], y[start:], p[start:]
    outside = np.uint64(0)
    # A plain loop without branches, which the compiler turns into vector instructions.
    for i in range(count):
        column, row = (
            block[i] >> np.uint64(_X_LANE) & np.uint64(0x7FF),
            block[i] & np.uint64(0x7FF),
        )
        high = np.int64(block[i] >> np.uint64(_HIGH_LANE) & np.uint64(0xFFF))
        low = np.int64(block[i] >> np.uint64(_LOW_LANE) & np.uint64(0xFFF))
        x[i], y[i], p[i] = column, row, block[i] >> np.uint64(11) & np.uint64(1)
        t[i] = base_ns + (high * 4096 + low) * 1000
        # The difference of an event outside is negative: its highest bit is set.
        outside |= (np.uint64(width - 1) - column) | (np.uint64(height - 1) - row)
    if outside >> np.uint64(63) == 0:
        return start + count
    end: Integer = 0
    for i in range(count):
        t[end], x[end], y[end], p[end] = t[i], x[i], y[i], p[i]
        end += x[i] < width and y[i] < height
    return start + end


@kernel
def _encode(
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.uint8],
    base_ns: int,
) -> NDArray[np.uint16]:
    words = np.empty(4 * len(t), np.uint16)
    n = 0
    high = low = np.int64(0)
    column = np.int64(-1)
    for i in range(len(t)):
        # Unsigned division is faster, and no time is before the base.
        time_us = np.int64(np.uint64(t[i] - base_ns) // np.uint64(1000))
        words[n] = _TIME_HIGH << 12 | time_us >> 12
        n += time_us >> 12 != high
        high = time_us >> 12
        words[n] = _TIME_LOW << 12 | time_us & 0xFFF
        n += time_us & 0xFFF != low
        low = time_us & 0xFFF
        words[n] = _ADDR_X << 12 | x[i]
        n += x[i] != column
        column = np.int64(x[i])
        words[n] = _ADDR_Y << 12 | (p[i] & 1) << 11 | y[i]
        n += 1
    return words[:n]
