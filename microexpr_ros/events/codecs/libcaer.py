"""libcaer: iniVation's polarity events, 8 bytes each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.codecs.codec import (
    DROPPED,
    WORD_32,
    Decoder,
    Encoder,
    first_time_ns,
    require_span,
)
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.kernel import Integer, kernel

if TYPE_CHECKING:
    from typing_extensions import Buffer

_AXIS_LIMIT: Final = 1 << 15
_LOOP_US: Final = 1 << 31
_NO_TRIGGERS: Final = Triggers.empty()


class LibcaerDecoder(Decoder):
    """Decodes libcaer: times in steps of 1 us from the packet's time base.

    Events that the camera itself marked as invalid are left out silently.
    """

    encoding = 'libcaer'

    def decode(self, payload: Buffer, time_base: int = 0) -> tuple[Events, Triggers]:
        """Decode one packet; see `Decoder.decode`."""
        words = self._words(payload, WORD_32, 8)
        t, x, y, p, dropped = _decode(words, time_base, self.height, self.width)
        self._counts[DROPPED] += dropped
        return Events(t, x, y, p), _NO_TRIGGERS


class LibcaerEncoder(Encoder):
    """Encodes libcaer: times are truncated to whole us; a packet spans up to 2147 s."""

    encoding = 'libcaer'

    def __init__(self, height: int, width: int) -> None:
        super().__init__(height, width, _AXIS_LIMIT)

    def encode(self, events: Events, triggers: Triggers | None = None) -> tuple[int, bytes]:
        """Encode one packet; see `Encoder.encode`."""
        self._refuse_triggers(triggers)
        self._check_events(events)
        base_ns = first_time_ns(events.t) // 1000 * 1000
        require_span(self.encoding, events.t, base_ns, _LOOP_US * 1000)
        return base_ns, _encode(events.t, events.x, events.y, events.p, base_ns).tobytes()


@kernel
def _decode(
    words: NDArray[np.uint32], base_ns: int, height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint8], int]:
    count = len(words) // 2
    t, p = np.empty(count, np.int64), np.empty(count, np.uint8)
    x, y = np.empty(count, np.uint16), np.empty(count, np.uint16)
    kept: Integer = 0
    dropped: Integer = 0
    loops_us = previous = np.int64(0)
    for i in range(count):
        data, time_us = np.int64(words[2 * i]), np.int64(np.int32(words[2 * i + 1]))
        if time_us < previous and i > 0:
            loops_us += _LOOP_US
        previous = time_us
        column, row = data >> 17, data >> 2 & 0x7FFF
        t[kept], p[kept] = base_ns + (loops_us + time_us) * 1000, data >> 1 & 1
        x[kept], y[kept] = column, row
        inside = column < width and row < height
        valid = data & 1
        kept += valid & inside
        dropped += valid & ~inside
    return t[:kept], x[:kept], y[:kept], p[:kept], dropped


@kernel
def _encode(
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.uint8],
    base_ns: int,
) -> NDArray[np.uint32]:
    words = np.empty(2 * len(t), np.uint32)
    for i in range(len(t)):
        words[2 * i] = 1 | (p[i] & 1) << 1 | y[i] << 2 | x[i] << 17
        # Unsigned division is faster, and no time is before the base.
        words[2 * i + 1] = np.uint64(t[i] - base_ns) // np.uint64(1000)
    return words
