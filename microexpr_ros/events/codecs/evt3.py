"""EVT3: Prophesee's vectorised 16-bit words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.codecs.codec import (
    DROPPED,
    HELD,
    SKIPPED,
    UNDATED,
    WORD_16,
    Decoder,
    Encoder,
    require_order,
)
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.kernel import Integer, kernel

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Types of words, in their upper four bits.
_ADDR_Y: Final = 0x0
_ADDR_X: Final = 0x2
_VECT_BASE_X: Final = 0x3
_VECT_12: Final = 0x4
_VECT_8: Final = 0x5
_TIME_LOW: Final = 0x6
_TIME_HIGH: Final = 0x8
_EXT_TRIGGER: Final = 0xA

# 7, E and F carry the vendor's own data; the remaining codes are garbage or padding.
_UNDEFINED: Final = 1 << 0x1 | 1 << 0x9 | 1 << 0xB | 1 << 0xC | 1 << 0xD
_UNCOMMON: Final = (
    1 << _VECT_BASE_X | 1 << _VECT_12 | 1 << _VECT_8 | 1 << _EXT_TRIGGER | _UNDEFINED
)

_AXIS_LIMIT: Final = 2048
_LOOP_HIGH: Final = 1 << 12
# A camera may repeat an earlier TIME_HIGH; only a larger step back is a new loop of its clock.
_BACKWARD_HIGH: Final = 10
EVT3_TRIGGER_CHANNELS: Final = 16

_NO_TRIGGERS: Final = Triggers.empty()

# State of a decoder, as indices of an array that its kernel updates.
_HIGH: Final = 0  # TIME_HIGH including loops, -1 before the first
_LOW: Final = 1  # TIME_LOW, -1 before the first
_Y: Final = 2
_BASE_X: Final = 3
_POLARITY: Final = 4  # of vectors, in bit 11
_NEWEST_EVENT: Final = 5  # ns
_NEWEST_TRIGGER: Final = 6  # ns
_STATE_SIZE: Final = 7


def _spreads_of_masks() -> NDArray[np.uint64]:
    """Return for each 12-bit mask the numbers of its set bits, 4 bits each, and their count."""
    bits = (np.arange(4096)[:, None] >> np.arange(12)) & 1
    count = bits.sum(axis=1)
    place = 4 * (np.cumsum(bits, axis=1) - bits)
    numbers = (bits * np.arange(12) << place).sum(axis=1)
    return np.asarray(numbers | count << _COUNT_LANE, np.uint64)


_COUNT_LANE: Final = 48
_SPREADS: Final = _spreads_of_masks()


class Evt3Decoder(Decoder):
    """Decodes EVT3: the clock is the sensor's own, in steps of 1 us.

    The sensor's time loops every 16.777 s; it is unwrapped from the first packet on, so a
    stream that is joined late starts between 0 and 16.8 s. Times never decrease: where a
    sensor steps back by a few ms, its newest time is held.
    """

    encoding = 'evt3'

    def __init__(self, height: int, width: int) -> None:
        super().__init__(height, width)
        self._state = np.zeros(_STATE_SIZE, np.int64)
        self._state[[_HIGH, _LOW]] = -1
        # Room for a whole vector after the last event of a full block.
        self._block = np.empty(_BLOCK + 12, np.uint64)

    def decode(self, payload: Buffer, time_base: int = 0) -> tuple[Events, Triggers]:
        """Decode one packet; see `Decoder.decode`."""
        words = self._words(payload, WORD_16, 2)
        room, trigger_room = _count(words)
        # Arrays are made here: it takes numba several times as long to return them.
        events = Events.uninitialized(room)
        triggers = Triggers.uninitialized(trigger_room) if trigger_room else _NO_TRIGGERS
        end, fired = _decode(
            words,
            self.height,
            self.width,
            self._state,
            self._counts,
            self._block,
            events.t,
            events.x,
            events.y,
            events.p,
            triggers.t,
            triggers.id,
            triggers.edge,
        )
        return (
            events if end == room else events[:end],
            triggers if fired == trigger_room else triggers[:fired],
        )

    def decode_thinly(
        self, payload: Buffer, time_base: int, share: float
    ) -> tuple[Events, Triggers, int]:
        """Decode the first part of every few thousand words; see `Decoder.decode_thinly`."""
        view = memoryview(payload).cast('B')
        events, triggers, thinned = [], [], 0
        for start in range(0, len(view), _PIECE_BYTES):
            piece = view[start : start + _PIECE_BYTES]
            middle = 2 * math.ceil(len(piece) / 2 * share)
            some, fired = self.decode(piece[:middle])
            left_out, others = self._skip(piece[middle:])
            events.append(some)
            triggers += [fired, others]
            thinned += left_out
        return Events.concatenate(events), Triggers.concatenate(triggers), thinned

    def _skip(self, payload: Buffer) -> tuple[int, Triggers]:
        """Follow the state through words; return how many events they have, and the triggers."""
        words = self._words(payload, WORD_16, 2)
        count, triggers = _count(words)
        if triggers or self._state[_LOW] < 0:
            events, fired = self.decode(words.data)
            return len(events), fired
        _follow(words, self._state)
        return count, _NO_TRIGGERS


class Evt3Encoder(Encoder):
    """Encodes EVT3: times are truncated to whole us and encoded modulo 16.777 s.

    Every packet starts with TIME_HIGH, TIME_LOW and ADDR_Y, so that a decoder may start at any
    packet. Longer gaps between packets are encoded as one loop of the time after the other.
    """

    encoding = 'evt3'

    def __init__(self, height: int, width: int) -> None:
        super().__init__(height, width, _AXIS_LIMIT)
        self._last_us = -1

    def encode(self, events: Events, triggers: Triggers | None = None) -> tuple[int, bytes]:
        """Encode one packet; see `Encoder.encode`."""
        self._check_events(events)
        triggers = Triggers.empty() if triggers is None else triggers
        if len(triggers) and int(triggers.id.max()) >= EVT3_TRIGGER_CHANNELS:
            raise MicroexprError(
                f'evt3 has trigger channels 0 to {EVT3_TRIGGER_CHANNELS - 1}, not '
                f'{int(triggers.id.max())}: '
                'leave the others out'
            )
        last_us = self._last_us
        for times in (events.t, triggers.t):
            if len(times):
                self._check_times(times)
                last_us = max(last_us, int(times[-1]) // 1000)
        if len(events) + len(triggers) == 0:
            return 0, b''
        words = _encode(
            events.t,
            events.x,
            events.y,
            events.p,
            triggers.t,
            triggers.id,
            triggers.edge,
            self._last_us,
        )
        self._last_us = last_us
        return 0, words.tobytes()

    def _check_times(self, times: NDArray[np.int64]) -> None:
        first_us = int(times[0]) // 1000
        if first_us < 0:
            raise MicroexprError(
                f'evt3 cannot encode the negative time {int(times[0])} ns: shift the times'
            )
        if first_us < self._last_us:
            raise MicroexprError(
                f'a packet starts at {first_us} us, before the end of the one before it at '
                f'{self._last_us} us: encode packets in order'
            )
        require_order(times)


_Words = NDArray[np.uint16]
_Times = NDArray[np.int64]

_BLOCK: Final = 512
"""Events that are gathered before their columns are filled: few enough for the L1 cache."""

_PIECE_BYTES: Final = 16384
"""What is thinned at a time: a millisecond or less of so many events that it is needed."""

_X_LANE: Final = 0
_Y_LANE: Final = 16
_LOW_LANE: Final = 32


def _lanes_of_codes() -> NDArray[np.uint64]:
    """Return for each code which bits of the register a word replaces: none for most."""
    lanes = np.zeros(16, np.uint64)
    for code, lane in ((_ADDR_X, _X_LANE), (_ADDR_Y, _Y_LANE), (_TIME_LOW, _LOW_LANE)):
        lanes[code] = 0xFFFF << lane
    return lanes


_LANES: Final = _lanes_of_codes()


@kernel
def _decode(
    words: _Words,
    height: int,
    width: int,
    state: NDArray[np.int64],
    counts: NDArray[np.int64],
    block: NDArray[np.uint64],
    t: _Times,
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.uint8],
    trigger_t: _Times,
    trigger_id: NDArray[np.uint8],
    trigger_edge: NDArray[np.uint8],
) -> tuple[Integer, int]:
    """Decode a packet in two steps, block by block; return how many events and triggers it has.

    The first step reads the words. A mispredicted branch takes longer than all other work on a
    word, so common words have none: each replaces its lane of one register, and each writes the
    register as an event, which the next word overwrites unless it was an ADDR_X. The second
    step turns a block of registers into columns.
    """
    start = 0
    if state[_LOW] < 0:
        start = _find_first_time(words, state, counts)
        if state[_LOW] < 0:
            return 0, 0

    # Everything here is unsigned: numba tests signed indices for negative ones at each access.
    register = np.uint64(state[_Y]) << np.uint64(_Y_LANE) | np.uint64(state[_LOW]) << np.uint64(
        _LOW_LANE
    )
    every_lane = np.uint64(1 << _X_LANE | 1 << _Y_LANE | 1 << _LOW_LANE)
    base_x, polarity = np.uint64(state[_BASE_X]), np.uint64(state[_POLARITY])
    high = state[_HIGH]
    high_word = np.uint64(_TIME_HIGH << 12 | high % _LOOP_HIGH)
    columns = np.uint64(min(width, _AXIS_LIMIT))
    gathered: Integer = np.uint64(0)
    kept: Integer = 0
    steps_back: Integer = 0
    fired = 0

    i: Integer = np.uint64(start)
    stop = np.uint64(len(words))
    word = code = np.uint64(0)
    while True:
        # A loop of its own, so that its variables stay in processor registers.
        while i < stop and gathered < np.uint64(_BLOCK):
            word = np.uint64(words[i])
            code = word >> np.uint64(12)
            is_new_high = (word ^ high_word) - np.uint64(1) < np.uint64(0xFFF)
            if np.uint64(_UNCOMMON) >> code & np.uint64(1) or is_new_high:
                break
            lane = _LANES[code]
            register = register & ~lane | word * every_lane & lane
            block[gathered] = register
            gathered += np.uint64(code == np.uint64(_ADDR_X))
            i += np.uint64(1)
        is_full = gathered >= np.uint64(_BLOCK)
        if i >= stop or is_full or code == np.uint64(_TIME_HIGH):
            steps_back += kept > 0 and gathered > 0 and _time_of(block[0], high) < t[kept - 1]
            end, is_back = _fill(block, gathered, high, t, x, y, p, kept, height, width)
            steps_back += is_back
            counts[DROPPED] += kept + np.int64(gathered) - end
            kept, gathered = end, np.uint64(0)
            if i >= stop:
                break
            if is_full:
                continue
        i += np.uint64(1)
        if code == np.uint64(_TIME_HIGH):
            high, high_word = _advance(high, np.int64(word & np.uint64(0xFFF))), word
            register &= np.uint64(0xFFFFFFFF)
        elif code == np.uint64(_VECT_12) or code == np.uint64(_VECT_8):
            span, mask = np.uint64(12), word & np.uint64(0xFFF)
            if code == np.uint64(_VECT_8):
                span, mask = np.uint64(8), word & np.uint64(0xFF)
            without_x = register >> np.uint64(_Y_LANE) << np.uint64(_Y_LANE) | polarity
            if base_x + span <= columns:
                first, spread = without_x | base_x, _SPREADS[mask]
                # A fixed number of turns allows vector instructions; later events overwrite
                # the surplus.
                for k in range(span):
                    offset = spread >> np.uint64(4) * np.uint64(k) & np.uint64(15)
                    block[gathered + np.uint64(k)] = first + offset
                gathered += spread >> np.uint64(_COUNT_LANE)
            else:
                for k in range(span):
                    column = base_x + np.uint64(k)
                    if mask >> np.uint64(k) & np.uint64(1):
                        block[gathered] = without_x | column
                        gathered += np.uint64(column < columns)
                        counts[DROPPED] += column >= columns
            base_x += span
        elif code == np.uint64(_VECT_BASE_X):
            base_x, polarity = word & np.uint64(0x7FF), word & np.uint64(0x800)
        elif code == np.uint64(_EXT_TRIGGER):
            low = np.int64(register >> np.uint64(_LOW_LANE) & np.uint64(0xFFF))
            trigger_t[fired] = (high * 4096 + low) * 1000
            trigger_id[fired] = word >> np.uint64(8) & np.uint64(15)
            trigger_edge[fired] = word & np.uint64(1)
            fired += 1
        else:
            counts[SKIPPED] += 1

    state[_HIGH], state[_LOW] = high, np.int64(register >> np.uint64(_LOW_LANE) & np.uint64(0xFFF))
    state[_Y] = np.int64(register >> np.uint64(_Y_LANE) & np.uint64(0x7FF))
    state[_BASE_X], state[_POLARITY] = np.int64(base_x), np.int64(polarity)
    state[_NEWEST_EVENT] = _hold(t[:end], state[_NEWEST_EVENT], steps_back, counts)
    state[_NEWEST_TRIGGER] = _hold(trigger_t[:fired], state[_NEWEST_TRIGGER], fired, counts)
    return end, fired


# Every second field of 1, 2, 4 and 8 bits.
_BY_1, _BY_2, _BY_4, _BY_8 = map(np.uint16, (0x5555, 0x3333, 0x0F0F, 0x00FF))


@kernel
def _count(words: _Words) -> tuple[int, int]:
    """Return upper bounds of events and triggers."""
    events: Integer = 0
    triggers: Integer = 0
    # Only 16-bit arithmetic, which is four times as fast, on parts whose sums fit.
    for start in range(0, len(words), 4096):
        some = words[start : start + 4096]
        few_events = few_triggers = np.uint16(0)
        for i in range(len(some)):
            code = np.uint16(some[i] >> np.uint16(12))
            kept = np.uint16(0x0FFF) if code == _VECT_12 else np.uint16(0)
            kept = np.uint16(0x00FF) if code == _VECT_8 else kept
            # Sums of neighbouring fields.
            bits = np.uint16(some[i] & kept)
            bits = np.uint16((bits & _BY_1) + (bits >> np.uint16(1) & _BY_1))
            bits = np.uint16((bits & _BY_2) + (bits >> np.uint16(2) & _BY_2))
            bits = np.uint16((bits & _BY_4) + (bits >> np.uint16(4) & _BY_4))
            bits = np.uint16((bits & _BY_8) + (bits >> np.uint16(8)))
            few_events = np.uint16(few_events + bits + np.uint16(code == _ADDR_X))
            few_triggers = np.uint16(few_triggers + np.uint16(code == _EXT_TRIGGER))
        events += few_events
        triggers += few_triggers
    return events, triggers


@kernel
def _follow(words: _Words, state: NDArray[np.int64]) -> None:
    """Bring the state to where decoding of the words would, once the time is known."""
    row, base = _find_last(words, _ADDR_Y), _find_last(words, _VECT_BASE_X)
    if row >= 0:
        state[_Y] = words[row] & 0x7FF
    if base >= 0:
        state[_BASE_X], state[_POLARITY] = words[base] & 0x7FF, words[base] & 0x800
    columns: Integer = 0
    for i in range(base + 1, len(words)):
        code = words[i] >> np.uint16(12)
        columns += 12 * (code == _VECT_12) + 8 * (code == _VECT_8)
    state[_BASE_X] += columns
    low, high = _find_last(words, _TIME_LOW), _find_last(words, _TIME_HIGH)
    if low >= 0:
        state[_LOW] = words[low] & 0xFFF
    if high < 0:
        return
    value = words[high] & 0xFFF
    at, is_new = high, False
    while at > low and not is_new:
        at = _find_last(words[:at], _TIME_HIGH)
        before = words[at] & 0xFFF if at >= 0 else state[_HIGH] % _LOOP_HIGH
        is_new = before != value
    if is_new:
        # A new TIME_HIGH sets TIME_LOW to 0.
        state[_LOW] = 0
    state[_HIGH] = _advance(state[_HIGH], value)


@kernel
def _find_last(words: _Words, code: int) -> Integer:
    """Return the index of the last word with a code, -1 if there is none."""
    # Some at a time, without a branch: the compiler turns that into vector instructions.
    for end in range(len(words), 0, -_BLOCK):
        some = words[max(end - _BLOCK, 0) : end]
        is_there = np.uint16(0)
        for i in range(len(some)):
            is_there |= np.uint16(some[i] >> np.uint16(12) == code)
        if is_there:
            for k in range(len(some)):
                if some[len(some) - 1 - k] >> np.uint16(12) == code:
                    return end - 1 - k
    return -1


@kernel
def _find_first_time(
    words: _Words,
    state: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> int:
    """Follow the words up to the first TIME_LOW after a TIME_HIGH; return the index after it."""
    for i in range(len(words)):
        word = np.int64(words[i])
        code = word >> 12
        if code == _ADDR_Y:
            state[_Y] = word
        elif code == _VECT_BASE_X:
            state[_BASE_X], state[_POLARITY] = word & 0x7FF, word & 0x800
        elif code == _TIME_HIGH:
            state[_HIGH] = word & 0xFFF
        elif code == _TIME_LOW and state[_HIGH] >= 0:
            state[_LOW] = word & 0xFFF
            return i + 1
        elif code == _ADDR_X:
            counts[UNDATED] += 1
        elif code == _VECT_12:
            counts[UNDATED] += np.int64(_SPREADS[word & 0xFFF] >> np.uint64(_COUNT_LANE))
            state[_BASE_X] += 12
        elif code == _VECT_8:
            counts[UNDATED] += np.int64(_SPREADS[word & 0xFF] >> np.uint64(_COUNT_LANE))
            state[_BASE_X] += 8
        else:
            counts[SKIPPED] += _UNDEFINED >> code & 1
    return len(words)


@kernel
def _advance(high: Integer, value: Integer) -> Integer:
    """Return TIME_HIGH including loops after a TIME_HIGH word of this value."""
    back = high % _LOOP_HIGH - value
    loops = high // _LOOP_HIGH + (1 if back > _BACKWARD_HIGH else 0)
    return loops * _LOOP_HIGH + value


@kernel
def _time_of(register: Integer, high: Integer) -> Integer:
    """Return the time of an event in ns."""
    return (high * 4096 + np.int64(register >> np.uint64(_LOW_LANE) & np.uint64(0xFFF))) * 1000


@kernel
def _fill(
    block: NDArray[np.uint64],
    gathered: Integer,
    high: Integer,
    t: _Times,
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.uint8],
    start: int,
    height: int,
    width: int,
) -> tuple[Integer, bool]:
    """Turn registers into columns from an index on.

    Returns:
        The index after the last, and whether any time is less than the one before it.
    """
    count = np.int64(gathered)
    high_ns = high * 4_096_000
    t, x, y, p = t[start:], x[start:], y[start:], p[start:]
    # The highest bit of the collected differences is set if any of them was negative.
    steps = outside = np.uint64(0)
    # Plain loops without branches: the compiler turns these into vector instructions.
    for i in range(count):
        column = block[i] & np.uint64(0x7FF)
        row = block[i] >> np.uint64(_Y_LANE) & np.uint64(0x7FF)
        x[i], y[i], p[i] = column, row, block[i] >> np.uint64(11) & np.uint64(1)
        t[i] = high_ns + np.int64(block[i] >> np.uint64(_LOW_LANE) & np.uint64(0xFFF)) * 1000
        outside |= (np.uint64(width - 1) - column) | (np.uint64(height - 1) - row)
    for i in range(1, count):
        steps |= (block[i] >> np.uint64(_LOW_LANE) & np.uint64(0xFFF)) - (
            block[i - 1] >> np.uint64(_LOW_LANE) & np.uint64(0xFFF)
        )
    is_back = steps >> np.uint64(63) != 0
    if outside >> np.uint64(63) == 0:
        return start + count, is_back
    end: Integer = 0
    for i in range(count):
        t[end], x[end], y[end], p[end] = t[i], x[i], y[i], p[i]
        end += x[i] < width and y[i] < height
    return start + end, is_back


@kernel
def _hold(
    times: _Times, newest: Integer, steps_back: Integer, counts: NDArray[np.int64]
) -> Integer:
    """Raise times that step back to the newest before them, in place; return the newest."""
    if len(times) == 0:
        return newest
    if steps_back or times[0] < newest:
        for i in range(len(times)):
            counts[HELD] += times[i] < newest
            newest = max(newest, times[i])
            times[i] = newest
    return times[len(times) - 1]


@kernel
def _encode(
    t: _Times,
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.uint8],
    trigger_t: _Times,
    trigger_id: NDArray[np.uint8],
    trigger_edge: NDArray[np.uint8],
    last_us: int,
) -> _Words:
    """Encode a packet that is not empty; `last_us` is the last time before it, -1 for none."""
    events, triggers = len(t), len(trigger_t)
    first_ns = t[0] if events else trigger_t[0]
    last_ns = t[events - 1] if events else trigger_t[triggers - 1]
    if triggers:
        first_ns, last_ns = min(first_ns, trigger_t[0]), max(last_ns, trigger_t[triggers - 1])
    high, low = first_ns // 1000 >> 12, first_ns // 1000 & 0xFFF
    row = np.int64(y[0]) if events else np.int64(0)
    last_high = last_us >> 12 if last_us >= 0 else high

    # At most one word each for TIME_HIGH, TIME_LOW, ADDR_Y and the event itself.
    loops = (last_ns // 1000 >> 24) - (last_high >> 12)
    words = np.empty(5 + 4 * (events + triggers) + 2 * loops, np.uint16)
    n = 0
    if high >> 12 > last_high >> 12:
        n = _write_time(words, n, last_high | 0xFFF, 0xFFF)
        last_high |= 0xFFF
    else:
        n = _write_time(words, n, high, low)
        last_high = high
    words[n] = _ADDR_Y << 12 | row
    n += 1
    if high != last_high:
        n = _write_loops(words, n, last_high, high)
        n = _write_time(words, n, high, low)

    i = j = 0
    while i < events or j < triggers:
        is_trigger = j < triggers and (i == events or trigger_t[j] <= t[i])
        # Unsigned division is faster, and no time is negative.
        time_ns = np.uint64(trigger_t[j] if is_trigger else t[i])
        time_us = np.int64(time_ns // np.uint64(1000))
        if time_us >> 12 != high:
            n = _write_loops(words, n, high, time_us >> 12)
            high, low = time_us >> 12, time_us & 0xFFF
            n = _write_time(words, n, high, low)
        # Written always, and overwritten where nothing changed: a branch would be mispredicted.
        words[n] = _TIME_LOW << 12 | time_us & 0xFFF
        n += time_us & 0xFFF != low
        low = time_us & 0xFFF
        if is_trigger:
            words[n] = _EXT_TRIGGER << 12 | np.int64(trigger_id[j]) << 8 | trigger_edge[j] & 1
            n += 1
            j += 1
            continue
        words[n] = _ADDR_Y << 12 | y[i]
        n += y[i] != row
        row = np.int64(y[i])
        polarity = np.int64(p[i] & 1) << 11
        end = i + 1
        # Vectors save words where three or more events lie within twelve columns. One unsigned
        # comparison instead of two, of which the first would be mispredicted half of the time.
        is_dense = i + 2 < events and (
            np.uint64(np.int64(x[i + 2]) - np.int64(x[i]) - 1) < np.uint64(11)
        )
        if is_dense and t[i + 2] < (time_us + 1) * 1000:
            limit_ns = trigger_t[j] if j < triggers else last_ns + 1
            end = _find_run_end(t, x, y, p, i, (time_us + 1) * 1000, limit_ns)
        if end < i + 3:
            words[n] = _ADDR_X << 12 | polarity | x[i]
            n += 1
            i += 1
            continue
        base = np.int64(x[i])
        words[n] = _VECT_BASE_X << 12 | polarity | base
        n += 1
        while i < end and x[i] < base + 12:
            mask = 0
            while i < end and x[i] < base + 12:
                mask |= 1 << (x[i] - base)
                i += 1
            words[n] = _VECT_12 << 12 | mask
            n += 1
            base += 12
    return words[:n]


@kernel
def _write_time(words: _Words, n: Integer, high: Integer, low: Integer) -> Integer:
    """Write TIME_HIGH and TIME_LOW; return the next index."""
    words[n] = _TIME_HIGH << 12 | high & 0xFFF
    words[n + 1] = _TIME_LOW << 12 | low
    return n + 2


@kernel
def _write_loops(words: _Words, n: Integer, old_high: Integer, new_high: Integer) -> Integer:
    """Write the last and first TIME_HIGH of every loop in between; return the next index."""
    for _ in range((new_high >> 12) - (old_high >> 12)):
        words[n] = _TIME_HIGH << 12 | 0xFFF
        words[n + 1] = _TIME_HIGH << 12
        n += 2
    return n


@kernel
def _find_run_end(
    t: _Times,
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.uint8],
    start: Integer,
    end_ns: Integer,
    limit_ns: Integer,
) -> Integer:
    """Return the end of the events of one time, row and polarity with rising columns."""
    end = start + 1
    while (
        end < len(t)
        and t[end] < end_ns
        and t[end] < limit_ns
        and y[end] == y[start]
        and p[end] == p[start]
        and x[end] > x[end - 1]
    ):
        end += 1
    return end
