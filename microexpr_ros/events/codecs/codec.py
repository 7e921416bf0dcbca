"""Base classes of decoders and encoders, and checks that they share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.kernel import kernel

if TYPE_CHECKING:
    from typing_extensions import Buffer

DROPPED: Final = 0
UNDATED: Final = 1
SKIPPED: Final = 2
HELD: Final = 3
_COUNTS: Final = 4

WORD_16: Final[np.dtype[Any]] = np.dtype('<u2')
WORD_32: Final[np.dtype[Any]] = np.dtype('<u4')
WORD_64: Final[np.dtype[Any]] = np.dtype('<u8')


class Decoder(ABC):
    """Decodes the packets of one camera, in the order in which they were sent.

    A decoder keeps state from packet to packet: use one decoder per stream, and a new one when
    the stream starts again.

    Attributes:
        height: rows of the sensor.
        width: columns of the sensor.
    """

    encoding: ClassVar[str]

    def __init__(self, height: int, width: int) -> None:
        self.height = height
        self.width = width
        # An array, because kernels count in it.
        self._counts = np.zeros(_COUNTS, np.int64)

    @property
    def dropped(self) -> int:
        """Events so far that lay outside the sensor."""
        return int(self._counts[DROPPED])

    @property
    def undated(self) -> int:
        """Events so far that came before the first complete time."""
        return int(self._counts[UNDATED])

    @property
    def skipped(self) -> int:
        """Words and trailing bytes so far that the encoding does not define."""
        return int(self._counts[SKIPPED])

    @property
    def held(self) -> int:
        """Events and triggers so far whose times were raised to the newest before them."""
        return int(self._counts[HELD])

    @abstractmethod
    def decode(self, payload: Buffer, time_base: int = 0) -> tuple[Events, Triggers]:
        """Decode one packet.

        Args:
            payload: The packet's bytes; any buffer, a numpy array without a copy.
            time_base: The packet's time base in ns; encodings with a clock of their own
                ignore it.

        Returns:
            The packet's events and triggers. Damaged bytes raise no error, and every event lies
            on the sensor.
        """

    def decode_thinly(
        self, payload: Buffer, time_base: int, share: float
    ) -> tuple[Events, Triggers, int]:
        """Decode one packet, but only a share of its events, evenly distributed over it.

        The decoder goes on as if it had decoded them all. Encodings whose decoding takes longer
        than all else that is done with an event leave events out before they decode them.

        Args:
            payload: as of `decode`.
            time_base: as of `decode`.
            share: of the events that are kept, over 0 and at most 1.

        Returns:
            The events that are kept, all triggers, and how many events were left out.
        """
        events, triggers = self.decode(payload, time_base)
        count = len(events)
        kept = math.ceil(count * share)
        index = np.arange(kept) * count // max(kept, 1)
        thinned = Events(events.t[index], events.x[index], events.y[index], events.p[index])
        return thinned, triggers, count - kept

    def _words(self, payload: Buffer, dtype: np.dtype[Any], size: int) -> NDArray[Any]:
        """View a payload as whole words; count the bytes that are left at its end.

        Args:
            payload: Any contiguous buffer of bytes.
            dtype: Type of the words.
            size: Bytes of the smallest unit, a multiple of the size of a word.

        Returns:
            The words, read-only and aligned.
        """
        view = memoryview(payload)
        left = view.nbytes % size
        if left:
            self._counts[SKIPPED] += left
            view = view.cast('B')[:-left]
        words = np.frombuffer(view, dtype)
        if not words.flags.aligned:
            words = words.copy()
        # Read-only and writable arrays are different types to numba: kernels are compiled once,
        # for read-only words.
        words.setflags(write=False)
        return words


class Encoder(ABC):
    """Encodes packets of one camera, each so that a new decoder can start with it.

    Attributes:
        height: rows of the sensor.
        width: columns of the sensor.
    """

    encoding: ClassVar[str]

    def __init__(self, height: int, width: int, limit: int) -> None:
        if not (0 < height <= limit and 0 < width <= limit):
            raise MicroexprError(
                f'{self.encoding} encodes sensors of up to {limit} x {limit} pixels, '
                f'not {width} x {height}: choose another encoding'
            )
        self.height = height
        self.width = width

    @abstractmethod
    def encode(self, events: Events, triggers: Triggers | None = None) -> tuple[int, bytes]:
        """Encode one packet.

        Args:
            events: Events in the order of their times.
            triggers: Triggers in the order of their times; None for none.

        Returns:
            The packet's time base in ns, and its bytes.

        Raises:
            MicroexprError: The events or triggers do not fit the sensor or the encoding.
        """

    def _check_events(self, events: Events) -> None:
        if len(events) == 0:
            return
        column, row = int(events.x.max()), int(events.y.max())
        if column >= self.width or row >= self.height:
            raise MicroexprError(
                f'an event in column {column} or row {row} is outside the sensor of '
                f'{self.width} x {self.height} pixels: give the right sensor size'
            )

    def _refuse_triggers(self, triggers: Triggers | None) -> None:
        if triggers is not None and len(triggers):
            raise MicroexprError(
                f'{self.encoding} cannot encode triggers: choose evt3 or leave them out'
            )


def first_time_ns(times: NDArray[np.int64]) -> int:
    """Return the first time, 0 if there is none."""
    return int(times[0]) if len(times) else 0


def require_order(times: NDArray[np.int64]) -> None:
    """Refuse times that decrease.

    Raises:
        MicroexprError: A time is smaller than the one before it.
    """
    index = int(find_step_back(times))
    if index:
        raise MicroexprError(
            f'times decrease from {int(times[index - 1])} to {int(times[index])} ns at index '
            f'{index}: sort the events by time'
        )


@kernel
def find_step_back(times: NDArray[np.int64]) -> int:
    """Return the first index whose time is smaller than the one before it, 0 if there is none."""
    steps_back = 0
    for i in range(1, len(times)):
        steps_back += times[i] < times[i - 1]
    if steps_back:
        for i in range(1, len(times)):
            if times[i] < times[i - 1]:
                return i
    return 0


def require_span(encoding: str, times: NDArray[np.int64], base_ns: int, limit_ns: int) -> None:
    """Refuse times that lie too far from a packet's time base, or before it.

    Raises:
        MicroexprError: A time does not fit.
    """
    if len(times) == 0:
        return
    low, high = int(times.min()) - base_ns, int(times.max()) - base_ns
    if low < 0 or high >= limit_ns:
        raise MicroexprError(
            f'{encoding} packets reach {limit_ns / 1e9:.1f} s from their first time, these '
            f'times {low / 1e9:.3f} to {high / 1e9:.3f} s: sort the events, split the packet'
        )
