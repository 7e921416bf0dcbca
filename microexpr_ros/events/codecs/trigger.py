"""trigger: edges on trigger inputs with times in ns, 8 bytes each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.codecs.codec import (
    DROPPED,
    WORD_64,
    Decoder,
    Encoder,
    first_time_ns,
    require_span,
)
from microexpr_ros.events.events import Events, Triggers

if TYPE_CHECKING:
    from typing_extensions import Buffer

_AXIS_LIMIT: Final = 1 << 32
_SPAN_NS: Final = 1 << 32
_MAX_ID: Final = 255


class TriggerDecoder(Decoder):
    """Decodes trigger: exact times in ns from the packet's time base.

    Channels over 255 are dropped: no camera has them.
    """

    encoding = 'trigger'

    def decode(self, payload: Buffer, time_base: int = 0) -> tuple[Events, Triggers]:
        """Decode one packet; see `Decoder.decode`."""
        words = self._words(payload, WORD_64, 8)
        channel = words >> np.uint64(48) & np.uint64(0x7FFF)
        known = channel <= _MAX_ID
        self._counts[DROPPED] += len(words) - np.count_nonzero(known)
        words, channel = words[known], channel[known]
        t = time_base + (words & np.uint64(0xFFFFFFFF)).astype(np.int64)
        edge = (words >> np.uint64(63)).astype(np.uint8)
        return Events.empty(), Triggers(t, channel.astype(np.uint8), edge)


class TriggerEncoder(Encoder):
    """Encodes trigger: times are exact; a packet spans up to 4.29 s."""

    encoding = 'trigger'

    def __init__(self, height: int, width: int) -> None:
        super().__init__(height, width, _AXIS_LIMIT)

    def encode(self, events: Events, triggers: Triggers | None = None) -> tuple[int, bytes]:
        """Encode one packet; see `Encoder.encode`."""
        if len(events):
            raise MicroexprError('trigger cannot encode events: choose evt3, libcaer or mono')
        if triggers is None or len(triggers) == 0:
            return 0, b''
        base_ns = first_time_ns(triggers.t)
        require_span(self.encoding, triggers.t, base_ns, _SPAN_NS)
        words = (
            (triggers.t - base_ns).astype('<u8')
            | triggers.id.astype('<u8') << np.uint64(48)
            | (triggers.edge & 1).astype('<u8') << np.uint64(63)
        )
        return base_ns, words.tobytes()
