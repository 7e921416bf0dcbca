"""mono: events with times in ns, 8 bytes each."""

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
_SPAN_NS: Final = 1 << 32
_NO_TRIGGERS: Final = Triggers.empty()


class MonoDecoder(Decoder):
    """Decodes mono: exact times in ns from the packet's time base."""

    encoding = 'mono'

    def decode(self, payload: Buffer, time_base: int = 0) -> tuple[Events, Triggers]:
        """Decode one packet; see `Decoder.decode`."""
        words = self._words(payload, WORD_32, 8)
        t, x, y, p = _decode(words, time_base, self.height, self.width)
        self._counts[DROPPED] += len(words) // 2 - len(t)
        return Events(t, x, y, p), _NO_TRIGGERS


class MonoEncoder(Encoder):
    """Encodes mono: times are exact; a packet spans up to 4.29 s."""

    encoding = 'mono'

    def __init__(self, height: int, width: int) -> None:
        super().__init__(height, width, _AXIS_LIMIT)

    def encode(self, events: Events, triggers: Triggers | None = None) -> tuple[int, bytes]:
        """Encode one packet; see `Encoder.encode`."""
        self._refuse_triggers(triggers)
        self._check_events(events)
        base_ns = first_time_ns(events.t)
        require_span(self.encoding, events.t, base_ns, _SPAN_NS)
        return base_ns, _encode(events.t, events.x, events.y, events.p, base_ns).tobytes()


@kernel
def _decode(
    words: NDArray[np.uint32], base_ns: int, height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint8]]:
    count = len(words) // 2
    t, p = np.empty(count, np.int64), np.empty(count, np.uint8)
    x, y = np.empty(count, np.uint16), np.empty(count, np.uint16)
    kept: Integer = 0
    for i in range(count):
        place = np.int64(words[2 * i + 1])
        column, row = place & 0xFFFF, place >> 16 & 0x7FFF
        t[kept], p[kept] = base_ns + np.int64(words[2 * i]), place >> 31
        x[kept], y[kept] = column, row
        kept += column < width and row < height
    return t[:kept], x[:kept], y[:kept], p[:kept]


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
        words[2 * i] = t[i] - base_ns
        words[2 * i + 1] = x[i] | y[i] << 16 | np.int64(p[i] & 1) << 31
    return words
