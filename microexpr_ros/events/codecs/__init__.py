"""The encodings of event packets, found by name.

A decoder follows one stream; an encoder makes packets at any of which a decoder may start.

Example:
    >>> import numpy as np
    >>> from microexpr_ros.events.events import Events
    >>> t, x, y, p = np.array([5_000]), np.uint16([3]), np.uint16([2]), np.uint8([1])
    >>> time_base, payload = encoder('evt3', 480, 640).encode(Events(t, x, y, p))
    >>> events, triggers = decoder('evt3', 480, 640).decode(payload, time_base)
    >>> int(events.t[0]), int(events.x[0]), len(triggers)
    (5000, 3, 0)
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import numpy as np

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.codecs.codec import Decoder, Encoder
from microexpr_ros.events.codecs.evt3 import Evt3Decoder, Evt3Encoder
from microexpr_ros.events.codecs.libcaer import LibcaerDecoder, LibcaerEncoder
from microexpr_ros.events.codecs.libcaer_cmp import LibcaerCmpDecoder, LibcaerCmpEncoder
from microexpr_ros.events.codecs.mono import MonoDecoder, MonoEncoder
from microexpr_ros.events.codecs.trigger import TriggerDecoder, TriggerEncoder
from microexpr_ros.events.grid import GRID, accumulate
from microexpr_ros.events.region import AlignedRegion, Region

__all__ = [
    'ENCODINGS',
    'EVENT_ENCODINGS',
    'Decoder',
    'Encoder',
    'compile_kernels',
    'decoder',
    'encoder',
    'warm_up',
]

_DECODERS: Final[dict[str, type[Decoder]]] = {
    cls.encoding: cls
    for cls in (Evt3Decoder, LibcaerDecoder, LibcaerCmpDecoder, MonoDecoder, TriggerDecoder)
}
_ENCODERS: Final[dict[str, Callable[[int, int], Encoder]]] = {
    'evt3': Evt3Encoder,
    'libcaer': LibcaerEncoder,
    'libcaer_cmp': LibcaerCmpEncoder,
    'mono': MonoEncoder,
    'trigger': TriggerEncoder,
}

ENCODINGS: Final = tuple(_DECODERS)
"""Names of the encodings, as in event_camera_msgs/EventPacket."""

EVENT_ENCODINGS: Final = tuple(name for name in ENCODINGS if name != TriggerDecoder.encoding)
"""Encodings that have events; the other one has only triggers."""


def decoder(encoding: str, height: int, width: int) -> Decoder:
    """Return a decoder for a new stream.

    Args:
        encoding: One of ENCODINGS.
        height: Rows of the sensor.
        width: Columns of the sensor.

    Raises:
        MicroexprError: The encoding is not known.
    """
    _require_known(encoding)
    return _DECODERS[encoding](height, width)


def encoder(encoding: str, height: int, width: int) -> Encoder:
    """Return an encoder for a new stream.

    Args:
        encoding: One of ENCODINGS.
        height: Rows of the sensor.
        width: Columns of the sensor.

    Raises:
        MicroexprError: The encoding is not known, or not for such a large sensor.
    """
    _require_known(encoding)
    return _ENCODERS[encoding](height, width)


def warm_up() -> threading.Thread:
    """Start compiling the kernels that live streams need; return the thread that does it.

    Join it before the first deadline; kernels that are cached on disk only load.
    """
    thread = threading.Thread(target=compile_kernels, name='compile event kernels', daemon=True)
    thread.start()
    return thread


def compile_kernels() -> None:
    """Compile the kernels that live streams need, by running each once."""
    # A time in EVT3, any bytes in the others. Encoders would take memory that nobody needs.
    payload = np.array([0x8000, 0x6000] * 16, '<u2').tobytes()
    for encoding in EVENT_ENCODINGS:
        first, _ = decoder(encoding, 3, 3).decode(payload)
        decoder(encoding, 3, 3).decode_thinly(payload, 0, 0.5)
        for region in (Region(0, 0, 3, 3), AlignedRegion(1.5, 1.5, 3)):
            accumulate(first, region, np.zeros((2, GRID, GRID), np.uint8))


def _require_known(encoding: str) -> None:
    if encoding not in _DECODERS:
        raise MicroexprError(
            f'unknown event encoding {encoding!r}: choose one of {", ".join(ENCODINGS)}'
        )
