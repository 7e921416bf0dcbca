"""Words of 32 bits, of which Prophesee's EVT2, EVT2.1 and EVT4 are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.codecs.codec import (
    DROPPED,
    HELD,
    SKIPPED,
    UNDATED,
    WORD_32,
    Decoder,
)
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.kernel import Integer, kernel

if TYPE_CHECKING:
    from typing_extensions import Buffer

OFF: Final = 0
ON: Final = 1
VECTOR_OFF: Final = 2
VECTOR_ON: Final = 3
TIME_HIGH: Final = 4
EXT_TRIGGER: Final = 5
IGNORED: Final = 6
"""Kinds of words; the vendor's own data and padding are ignored."""

_UNDEFINED: Final = 7

_NO_TRIGGERS: Final = Triggers.empty()

_LOOP_HIGH: Final = 1 << 28
# A camera may repeat an earlier TIME_HIGH; only a larger step back is a new loop of its clock.
_BACKWARD_HIGH: Final = 640
# A longer step is taken only if the next TIME_HIGH follows it: else a bit of it is wrong.
_FORWARD_HIGH: Final = 1_000_000 // 64

# State of a decoder, as indices of an array that its kernel updates.
_HIGH: Final = 0  # TIME_HIGH including loops, -1 before the first
_NEWEST_NS: Final = 1
_STATE_SIZE: Final = 2


@dataclass(frozen=True, slots=True)
class WordLayout:
    """How an encoding uses words of 32 bits.

    Attributes:
        kinds: kind of the word of each code, which is in the upper four bits; codes that are
            left out are undefined.
        step: words of the smallest unit.
        head: which word of a unit has code, time, column and row.
        mask: which word of a unit has the mask of a vector; after a unit of one word, the next.
    """

    kinds: Mapping[int, int]
    step: int = 1
    head: int = 0
    mask: int = 1


class WordDecoder(Decoder):
    """Decodes words of 32 bits: the clock is the sensor's own, in us, unwrapped after 4.8 h.

    Times never decrease: where a sensor steps back by a few ms, its newest time is held.
    """

    layout: WordLayout

    def __init__(self, height: int, width: int) -> None:
        super().__init__(height, width)
        self._kinds = np.full(16, _UNDEFINED, np.uint8)
        self._kinds[list(self.layout.kinds)] = list(self.layout.kinds.values())
        self._has_vectors = not {VECTOR_OFF, VECTOR_ON}.isdisjoint(self.layout.kinds.values())
        self._state = np.zeros(_STATE_SIZE, np.int64)
        self._state[_HIGH] = -1
        self._rest = b''

    def decode(self, payload: Buffer, time_base: int = 0) -> tuple[Events, Triggers]:
        """Decode one packet; see `Decoder.decode`."""
        layout = self.layout
        if self._rest:
            self._counts[SKIPPED] -= 1
            payload, self._rest = self._rest + bytes(payload), b''
        words = self._words(payload, WORD_32, 4 * layout.step)
        room, trigger_room, end = _count(
            words, self._kinds, layout.step, layout.head, layout.mask, self._has_vectors
        )
        # Arrays are made here: it takes numba several times as long to return them. The last
        # place takes events that are not kept.
        events = Events.uninitialized(room + 1)
        triggers = Triggers.uninitialized(trigger_room) if trigger_room else _NO_TRIGGERS
        kept, fired = _decode(
            words,
            end,
            self._kinds,
            layout.step,
            layout.head,
            layout.mask,
            self.height,
            self.width,
            self._state,
            self._counts,
            events.t,
            events.x,
            events.y,
            events.p,
            triggers.t,
            triggers.id,
            triggers.edge,
        )
        if end < len(words):
            # The mask of a vector may be the first word of the next packet.
            self._rest = words[end:].tobytes()
            self._counts[SKIPPED] += len(words) - end
        return events[:kept], triggers if fired == trigger_room else triggers[:fired]


@kernel
def _decode(
    words: NDArray[np.uint32],
    end: int,
    kinds: NDArray[np.uint8],
    step: int,
    head: int,
    mask: int,
    height: int,
    width: int,
    state: NDArray[np.int64],
    counts: NDArray[np.int64],
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.uint8],
    trigger_t: NDArray[np.int64],
    trigger_id: NDArray[np.uint8],
    trigger_edge: NDArray[np.uint8],
) -> tuple[Integer, int]:
    """Decode a packet up to the end of its last whole unit.

    Returns:
        How many events and triggers it has.
    """
    high, newest = state[_HIGH], state[_NEWEST_NS]
    kept: Integer = 0
    fired = 0
    i = 0
    while i < end:
        if high >= 0:
            taken, kept, newest = _decode_events(
                words[i + head : end],
                kinds,
                step,
                high,
                newest,
                height,
                width,
                counts,
                kept,
                t,
                x,
                y,
                p,
            )
            i += taken * step
        if i >= end:
            break
        word = np.int64(words[i + head])
        # Unsigned: numba tests signed indices for negative ones at each access.
        kind = kinds[words[i + head] >> np.uint32(28)]
        at = i
        i += step
        if kind == TIME_HIGH:
            value = word & _LOOP_HIGH - 1
            if high < 0:
                high = value
            forward = value - high % _LOOP_HIGH
            if -_BACKWARD_HIGH <= forward <= _FORWARD_HIGH or _is_followed(
                words[i:end], kinds, step, head, value
            ):
                high += forward + (_LOOP_HIGH if forward < -_BACKWARD_HIGH else 0)
            else:
                counts[SKIPPED] += 1
            continue
        if word == 0 and kind == OFF and _is_padding(words, at, end):
            counts[SKIPPED] += 1
            continue
        bits = np.uint32(1)
        if kind in (VECTOR_OFF, VECTOR_ON):
            bits = words[at + mask]
            i = max(i, at + 2)
        if kind > VECTOR_ON and kind != EXT_TRIGGER:
            counts[SKIPPED] += kind == _UNDEFINED
            continue
        if high < 0:
            counts[UNDATED] += _count_bits(bits) if kind != EXT_TRIGGER else 0
            continue
        now = (high * 64 + (word >> 22 & 0x3F)) * 1000
        is_back = now < newest
        newest = max(newest, now)
        if kind == EXT_TRIGGER:
            trigger_t[fired] = newest
            trigger_id[fired], trigger_edge[fired] = word >> 8 & 31, word & 1
            fired += 1
            counts[HELD] += is_back
            continue
        column, row, before = word >> 11 & 0x7FF, word & 0x7FF, kept
        while bits:
            lowest = bits & (~bits + np.uint32(1))
            bits ^= lowest
            place = column + _NUMBERS[np.uint32(lowest * _DE_BRUIJN) >> np.uint32(27)]
            t[kept], x[kept], y[kept], p[kept] = newest, place, row, kind & 1
            inside = place < width and row < height
            kept += inside
            counts[DROPPED] += not inside
        counts[HELD] += kept - before if is_back else 0
    state[_HIGH], state[_NEWEST_NS] = high, newest
    return kept, fired


_DE_BRUIJN: Final = np.uint32(0x077CB531)
"""The upper five bits of its product with a power of two are different for each."""


def _numbers_of_bits() -> NDArray[np.int64]:
    """Return the number of a bit by the upper five bits of its product with _DE_BRUIJN."""
    powers = np.uint64(1) << np.arange(32, dtype=np.uint64)
    numbers = np.empty(32, np.int64)
    numbers[(powers * np.uint64(_DE_BRUIJN) & np.uint64(0xFFFFFFFF)) >> np.uint64(27)] = range(32)
    return numbers


_NUMBERS: Final = _numbers_of_bits()


@kernel
def _decode_events(
    words: NDArray[np.uint32],
    kinds: NDArray[np.uint8],
    step: int,
    high: int,
    newest: Integer,
    height: int,
    width: int,
    counts: NDArray[np.int64],
    start: Integer,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.uint8],
) -> tuple[Integer, Integer, Integer]:
    """Decode words that are events of their own, up to the first that is not.

    Most words are these. They have a loop of their own, so that its variables stay in processor
    registers; all is unsigned, because numba tests signed indices for negative ones.

    Returns:
        How many words these are, where their events end, and the newest time.
    """
    high_us, latest = np.uint64(high) * np.uint64(64), np.uint64(newest)
    dropped = held = np.uint64(0)
    kept, i, stop = np.uint64(start), np.uint64(0), np.uint64(len(words))
    taken: Integer = 0
    while i < stop:
        word = np.uint64(words[i])
        kind = kinds[word >> np.uint64(28)]
        if kind > ON or word == 0:
            break
        now = (high_us + (word >> np.uint64(22) & np.uint64(0x3F))) * np.uint64(1000)
        is_back = now < latest
        latest = max(latest, now)
        column, row = word >> np.uint64(11) & np.uint64(0x7FF), word & np.uint64(0x7FF)
        t[kept], x[kept], y[kept], p[kept] = latest, column, row, kind
        inside = (column < np.uint64(width)) & (row < np.uint64(height))
        kept += np.uint64(inside)
        dropped += np.uint64(not inside)
        held += np.uint64(is_back & inside)
        i += np.uint64(step)
        taken += 1
    counts[DROPPED] += np.int64(dropped)
    counts[HELD] += np.int64(held)
    return taken, np.int64(kept), np.int64(latest)


@kernel
def _count(
    words: NDArray[np.uint32],
    kinds: NDArray[np.uint8],
    step: int,
    head: int,
    mask: int,
    has_vectors: bool,
) -> tuple[Integer, int, int]:
    """Return upper bounds of events and triggers, and where the last whole unit ends."""
    events: Integer = 0
    triggers = 0
    if step == 1 and not has_vectors:
        # Every word is a unit: a plain loop, which the compiler turns into vector instructions.
        for code in range(16):
            if kinds[code] == EXT_TRIGGER:
                for i in range(len(words)):
                    triggers += words[i] >> np.uint32(28) == code
        return len(words), triggers, len(words)
    i = 0
    while i + max(step, head + 1) <= len(words):
        kind = kinds[words[i + head] >> np.uint32(28)]
        after = i + step
        if kind in (VECTOR_OFF, VECTOR_ON):
            after = max(after, i + 2)
            if after > len(words):
                break
            events += _count_bits(words[i + mask])
        events += kind <= ON
        triggers += kind == EXT_TRIGGER
        i = after
    return events, triggers, i


@kernel
def _is_padding(words: NDArray[np.uint32], at: int, end: int) -> bool:
    """Return whether a word of zeros is one of several: no pixel sends two events at a time."""
    follows = at + 1 < end and words[at + 1] == 0
    return bool(follows or (at > 0 and words[at - 1] == 0))


@kernel
def _count_bits(bits: Integer) -> Integer:
    """Return how many bits of 32 are set."""
    pairs = bits - (bits >> np.uint32(1) & np.uint32(0x55555555))
    fours = (pairs & np.uint32(0x33333333)) + (pairs >> np.uint32(2) & np.uint32(0x33333333))
    bytes_ = fours + (fours >> np.uint32(4)) & np.uint32(0x0F0F0F0F)
    return np.int64(np.uint32(bytes_ * np.uint32(0x01010101)) >> np.uint32(24))


@kernel
def _is_followed(
    words: NDArray[np.uint32], kinds: NDArray[np.uint8], step: int, head: int, value: Integer
) -> bool:
    """Return whether the next TIME_HIGH, if there is one, is at or soon after this value."""
    i = 0
    while i < len(words):
        word = np.int64(words[i + head])
        kind = kinds[word >> 28]
        if kind == TIME_HIGH:
            forward = (word - value) % _LOOP_HIGH
            return bool(forward <= _FORWARD_HIGH or forward >= _LOOP_HIGH - _BACKWARD_HIGH)
        i += max(step, 2) if kind in (VECTOR_OFF, VECTOR_ON) else step
    return True
