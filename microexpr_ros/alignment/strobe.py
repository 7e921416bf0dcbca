"""The trigger input of the event sensor: when exactly each frame was taken."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.events import Triggers

RESOLUTION_NS: Final = 1_000
"""Event sensors tell the time of an edge to the microsecond."""

_EDGES: Final = 64
_FEWEST: Final = 8
_USUAL: Final = ((0.1, 2_000_000), (0.35, 5_000_000))
_CLEAR: Final = 0.15
_REGULAR: Final = 0.05


class Strobe:
    """Match frames to the pulses that their camera sends to the trigger input when it exposes.

    The pulses of one channel are a regular train; a rising edge is the time of a frame, a falling
    one where there are no others. A frame's stamp comes after its pulse by a nearly constant
    latency, shorter than the time between pulses: a longer one must be known, and taken off the
    stamps. The latency is measured, and each frame gets the pulse that lies nearest to its stamp
    less that. A pulse that was missed is put in from its neighbours; a frame that was missed
    leaves its pulse unused. Pulses that come much more often or seldom than frames are not those
    of the camera, and match nothing.

    Attributes:
        latency_ns: from a pulse to the stamp of its frame.
    """

    def __init__(self) -> None:
        self.latency_ns = 0
        self._channel: tuple[int, int] | None = None
        self._edges: deque[int] = deque(maxlen=_EDGES)
        self._delays: deque[int] = deque(maxlen=_EDGES)
        self._frames: deque[int] = deque(maxlen=_EDGES)
        self._last_ns: int | None = None

    def push(self, triggers: Triggers) -> None:
        """Take in the triggers of a packet."""
        for t, channel, edge in zip(
            triggers.t.tolist(), triggers.id.tolist(), triggers.edge.tolist(), strict=True
        ):
            if self._channel is None or (channel == self._channel[0] and edge > self._channel[1]):
                self._channel = channel, edge
                self._edges.clear()
            if (channel, edge) == self._channel:
                self._edges.append(t)

    @property
    def period_ns(self) -> float | None:
        """Time between pulses, None while they are too few or not regular.

        Example:
            >>> import numpy as np
            >>> strobe = Strobe()
            >>> t = np.delete(np.arange(20) * 40_000_000, [5, 11])
            >>> ones = np.ones(len(t), np.uint8)
            >>> strobe.push(Triggers(t, ones, ones))
            >>> strobe.period_ns
            40000000.0
        """
        if len(self._edges) < _FEWEST:
            return None
        steps = np.diff(self._edges)
        shortest = float(np.median(steps))
        # Of missed pulses, steps are several periods.
        counts = np.maximum(np.round(steps / shortest), 1)
        if np.abs(steps / counts - shortest).max() > _REGULAR * shortest:
            return None
        return float(steps.sum() / counts.sum())

    def match(self, expected_ns: int) -> int | None:
        """Return when the frame was taken, on the sensor's clock; None if no pulse tells.

        Args:
            expected_ns: sensor time of the frame's stamp, by the clocks alone.
        """
        self._frames.append(expected_ns)
        period_ns = self.period_ns
        if period_ns is None or not self._is_of_frames(period_ns):
            return None
        if not self._delays:
            for frame_ns in self._frames:
                self._delays.append(round((frame_ns - self._edges[0]) % period_ns))
        delays = np.array(self._delays)
        self.latency_ns = _circular_median(delays, period_ns)
        off_ns = _wrapped(delays - self.latency_ns, period_ns)
        if np.median(np.abs(off_ns)) > _CLEAR * period_ns:
            return None
        wanted_ns = expected_ns - self.latency_ns
        self._delays.append(round((expected_ns - self._edges[-1]) % period_ns))
        return self._pulse(wanted_ns, period_ns)

    def _pulse(self, wanted_ns: int, period_ns: float) -> int | None:
        edges = np.array(self._edges)
        nearest_ns = int(edges[np.argmin(np.abs(edges - wanted_ns))])
        pulse_ns = nearest_ns + _whole(wanted_ns - nearest_ns, period_ns)
        # A stamp is late now and then, but hardly early.
        early_ns, late_ns = (min(share * period_ns, most) for share, most in _USUAL)
        if not -early_ns <= wanted_ns - pulse_ns <= late_ns:
            if wanted_ns < pulse_ns:
                pulse_ns -= round(period_ns)
            # Only the pulse after that of the last frame is sure to be of a late frame.
            if self._last_ns is None or abs(pulse_ns - self._last_ns - period_ns) > early_ns:
                return None
        if abs(pulse_ns - nearest_ns) > _EDGES * period_ns:
            return None
        self._last_ns = pulse_ns
        return pulse_ns

    def _is_of_frames(self, period_ns: float) -> bool:
        if len(self._frames) < _FEWEST:
            return False
        return 0.7 < float(np.median(np.diff(self._frames))) / period_ns < 1.4


def _whole(span_ns: float, period_ns: float) -> int:
    """Return the multiple of a period that is nearest to a span."""
    return round(round(span_ns / period_ns) * period_ns)


def _wrapped(
    spans_ns: NDArray[np.integer[Any]] | NDArray[np.floating[Any]], period_ns: float
) -> NDArray[np.float64]:
    """Return spans up to whole periods, from minus half a period to half a period."""
    return np.asarray((spans_ns + period_ns / 2) % period_ns - period_ns / 2, np.float64)


def _circular_median(delays_ns: NDArray[np.int64], period_ns: float) -> int:
    """Return the median of delays that are known up to whole periods, from -0.1 to 0.9 of one."""
    # Around the mean direction, so that delays near 0 and near a period are neighbours.
    turns = np.exp(2j * np.pi * delays_ns / period_ns).mean()
    centre_ns = float(np.angle(turns)) / (2 * np.pi) * period_ns
    middle_ns = centre_ns + float(np.median(_wrapped(delays_ns - centre_ns, period_ns)))
    # The clocks may make a stamp seem a little earlier than its pulse.
    return round((middle_ns + 0.1 * period_ns) % period_ns - 0.1 * period_ns)
