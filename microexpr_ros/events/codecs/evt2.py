"""EVT2: Prophesee's 32-bit words, read from files of older cameras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.codecs.codec import (
    DROPPED,
    SKIPPED,
    UNDATED,
    WORD_32,
    Decoder,
)
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.kernel import Integer, kernel

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Types of words, in their upper four bits.
_OFF: Final = 0x0
_ON: Final = 0x1
_TIME_HIGH: Final = 0x8
_EXT_TRIGGER: Final = 0xA
# E and F carry the vendor's own data; the remaining codes are garbage or padding.
_UNDEFINED: Final = 0xFFFF & ~(1 << _OFF | 1 << _ON | 1 << _TIME_HIGH | 1 << _EXT_TRIGGER | 0xC000)

_LOOP_HIGH: Final = 1 << 28
# A camera may repeat an earlier TIME_HIGH; only a larger step back is a new loop of its clock.
_BACKWARD_HIGH: Final = 640

# State of a decoder, as indices of an array that its kernel updates.
_HIGH: Final = 0  # TIME_HIGH including loops, -1 before the first
_NEWEST_NS: Final = 1
_STATE_SIZE: Final = 2


class Evt2Decoder(Decoder):
    """Decodes EVT2: the clock is the sensor's own, in steps of 1 us, unwrapped after 4.8 h.

    Times never decrease: where a sensor steps back by a few ms, its newest time is held.
    EventPackets never have this encoding, so it is not among `codecs.ENCODINGS`.
    """

    encoding = 'evt2'

    def __init__(self, height: int, width: int) -> None:
        super().__init__(height, width)
        self._state = np.zeros(_STATE_SIZE, np.int64)
        self._state[_HIGH] = -1

    def decode(self, payload: Buffer, time_base: int = 0) -> tuple[Events, Triggers]:
        """Decode one packet; see `Decoder.decode`."""
        words = self._words(payload, WORD_32, 4)
        t, x, y, p, trigger_t, trigger = _decode(
            words, self.height, self.width, self._state, self._counts
        )
        channel, edge = (trigger >> 8 & 31).astype(np.uint8), (trigger & 1).astype(np.uint8)
        return Events(t, x, y, p), Triggers(trigger_t, channel, edge)


@kernel
def _decode(
    words: NDArray[np.uint32],
    height: int,
    width: int,
    state: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> tuple[
    NDArray[np.int64],
    NDArray[np.uint16],
    NDArray[np.uint16],
    NDArray[np.uint8],
    NDArray[np.int64],
    NDArray[np.uint32],
]:
    triggers = 0
    for i in range(len(words)):
        triggers += words[i] >> 28 == _EXT_TRIGGER
    # The last place takes events that are not kept.
    t, p = np.empty(len(words) + 1, np.int64), np.empty(len(words) + 1, np.uint8)
    x, y = np.empty(len(words) + 1, np.uint16), np.empty(len(words) + 1, np.uint16)
    trigger_t, trigger = np.empty(triggers, np.int64), np.empty(triggers, np.uint32)

    high, newest = state[_HIGH], state[_NEWEST_NS]
    kept: Integer = 0
    fired = 0
    for i in range(len(words)):
        word = np.int64(words[i])
        code = word >> 28
        if code == _TIME_HIGH:
            value = word & _LOOP_HIGH - 1
            if high < 0:
                high = value
            loops = high // _LOOP_HIGH
            loops += 1 if high % _LOOP_HIGH - value > _BACKWARD_HIGH else 0
            high = loops * _LOOP_HIGH + value
            continue
        is_event, is_trigger = code <= _ON, code == _EXT_TRIGGER
        counts[SKIPPED] += _UNDEFINED >> code & 1
        if high < 0:
            counts[UNDATED] += is_event
            continue
        if not (is_event or is_trigger):
            continue
        newest = max(newest, (high * 64 + (word >> 22 & 0x3F)) * 1000)
        if is_trigger:
            trigger_t[fired], trigger[fired] = newest, word
            fired += 1
            continue
        column, row = word >> 11 & 0x7FF, word & 0x7FF
        t[kept], x[kept], y[kept], p[kept] = newest, column, row, code
        inside = column < width and row < height
        kept += inside
        counts[DROPPED] += not inside
    state[_HIGH], state[_NEWEST_NS] = high, newest
    return t[:kept], x[:kept], y[:kept], p[:kept], trigger_t[:fired], trigger[:fired]
