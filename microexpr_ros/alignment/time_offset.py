"""How far the stamps of frames are ahead of the events, from anything that moves.

Whatever moves changes the frames and makes events at the same time. From the frames follows how
many events an ideal sensor would send from each frame to the next one; the offset of the two
clocks is the one at which these numbers agree best with the events that came.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError

RANGE_NS: Final = 2_000_000_000
"""How far from the guess an offset is looked for."""

CONTRAST: Final = 0.2
"""Change of the logarithm of light at which the ideal sensor sends an event; real ones are set to
0.1 to 0.4. A much larger one makes events seem early, which wait for small changes to add up."""

FEWEST: Final = 30
"""Fewest frames that an offset is measured from."""

_BIN_NS: Final = 1_000_000
_COARSE_NS: Final = 5_000_000
_FINE_NS: Final = 150_000_000
_COLUMNS: Final = 360
_DARK: Final = 0.02
_CONTRAST_NS: Final = 8_000_000
"""What the unknown contrast of the sensor adds to sigma: half or twice CONTRAST shifts the offset
by about this."""
_LEAST: Final = 0.5
_SIGNIFICANT: Final = 4.0
_RIVAL: Final = 0.8
_TOP: Final = 0.8
_BLOCKS: Final = 10


@dataclass(frozen=True, slots=True)
class TimeOffset:
    """How far the stamps of frames are ahead of the events.

    Attributes:
        offset_ns: stamp of a frame minus ROS time of the events that it was taken with; what
            the parameter `frame_offset` of the synchronizer takes off, in ns.
        sigma_ns: one sigma of it: how much it changes when a tenth of the recording is left out,
            and what the unknown contrast of the sensor adds.
        correlation: of the expected with the measured numbers of events, 1 at best.
        rival: the highest correlation at any other offset in the range.
        width_ns: width of the peak of the correlation at half its height.
        frames: frames that were compared.
        duration_ns: time that they span.
        offsets_ns: int64 [N], offsets that were tried.
        correlations: float64 [N], correlation at each of them.
    """

    offset_ns: int
    sigma_ns: float
    correlation: float
    rival: float
    width_ns: int
    frames: int
    duration_ns: int
    offsets_ns: NDArray[np.int64]
    correlations: NDArray[np.float64]


class EventRate:
    """Counts the events of each millisecond of ROS time."""

    def __init__(self) -> None:
        self._bins, self._numbers = array('q'), array('q')

    def add(self, times_ns: NDArray[np.int64]) -> None:
        """Take in events.

        Args:
            times_ns: int64 [N], ROS time, in order.
        """
        bins, numbers = np.unique(times_ns // _BIN_NS, return_counts=True)
        self._bins.extend(bins.tolist())
        self._numbers.extend(numbers.tolist())

    def sum_up(self) -> tuple[int, NDArray[np.float64]]:
        """Return the ROS time at which the events begin, and how many came until each ms after.

        Raises:
            MicroexprError: there are no events.
        """
        if not self._bins:
            raise MicroexprError('there are no events: record the event camera, too')
        bins = np.array(self._bins, np.int64)
        first = int(bins.min())
        each = np.bincount(bins - first, np.array(self._numbers, np.float64))
        return first * _BIN_NS, np.concatenate([[0.0], np.cumsum(each)])


class ExpectedEvents:
    """Counts the events that an ideal sensor would send from each frame to the next.

    A pixel sends one each time that the logarithm of its light has changed by CONTRAST since its
    last one.
    """

    def __init__(self) -> None:
        self._stamps, self._numbers = array('q'), array('d')
        self._seen: NDArray[np.float32] | None = None

    def add(self, stamp_ns: int, grey: NDArray[np.uint8]) -> None:
        """Take in a frame; one that is not newer than the one before is left out.

        Args:
            stamp_ns: its stamp.
            grey: uint8 [height, width], sRGB.
        """
        if len(self._stamps) and stamp_ns <= self._stamps[-1]:
            return
        light = _log_light(grey)
        if self._seen is None or self._seen.shape != light.shape:
            self._seen = light.copy()
        steps = np.trunc((light - self._seen) / CONTRAST)
        self._seen += CONTRAST * steps
        self._stamps.append(stamp_ns)
        self._numbers.append(float(np.abs(steps).sum()))

    @property
    def stamps_ns(self) -> NDArray[np.int64]:
        """Stamps of the frames, int64 [N]."""
        return np.array(self._stamps, np.int64)

    @property
    def numbers(self) -> NDArray[np.float64]:
        """Events expected between each two frames, float64 [N - 1]."""
        return np.array(self._numbers[1:], np.float64)


def _log_light(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    height, width = grey.shape
    if width > _COLUMNS:
        size = _COLUMNS, max(round(height * _COLUMNS / width), 1)
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
    levels = np.log((np.arange(256) / 255) ** 2.2 + _DARK).astype(np.float32)
    return np.asarray(levels[grey], np.float32)


def measure_offset(
    events: EventRate, expected: ExpectedEvents, guess_ns: int = 0, range_ns: int = RANGE_NS
) -> TimeOffset:
    """Return how far the stamps of frames are ahead of the events.

    Args:
        events: the events that came.
        expected: the events that are expected from the frames.
        guess_ns: offset around which it is looked for.
        range_ns: how far from the guess it is looked for.

    Raises:
        MicroexprError: too little is recorded, nothing moves, or several offsets fit alike.
    """
    search = _Search(events, expected)
    coarse_ns = guess_ns + np.arange(-range_ns, range_ns + 1, _COARSE_NS)
    correlations = search.correlate(coarse_ns)
    if not np.isfinite(correlations).any():
        raise MicroexprError(
            f'fewer than {FEWEST} frames overlap the events: record both cameras together, for '
            'some seconds'
        )
    correlations = np.nan_to_num(correlations, nan=-1.0)
    best = int(correlations.argmax())
    base, top = float(np.median(correlations)), float(correlations[best])
    low, high = _extent(correlations, best, base + 0.5 * (top - base))
    width_ns = (high - low) * _COARSE_NS
    fine_ns = int(coarse_ns[best]) + np.arange(-_FINE_NS, _FINE_NS + 1, _BIN_NS)
    expected_events, measured, span_ns = search.pair(fine_ns)
    frames = len(expected_events) + 1
    fine = _correlate_rows(expected_events, measured)
    top = float(fine.max())
    least = max(_LEAST, _SIGNIFICANT / np.sqrt(frames))
    if top < least:
        raise MicroexprError(
            f'events and frames do not move together (correlation {top:.2f}, {least:.2f} is '
            'needed): move your head, or wave, in front of both cameras while you record, and '
            'keep cameras and light still'
        )
    if best in (0, len(coarse_ns) - 1):
        raise MicroexprError(
            f'frames seem to be more than {abs(int(coarse_ns[best])) / 1e9:g} s away from the '
            'events: synchronise the clocks (chrony) first, or search a wider range'
        )
    outside = np.concatenate([correlations[: max(low - 1, 0)], correlations[high + 1 :]])
    rival = float(outside.max(initial=-1.0))
    if rival - base > _RIVAL * (top - base):
        raise MicroexprError(
            f'several offsets fit alike (correlation {top:.2f} and {rival:.2f}): move once in a '
            'while and not at a steady beat, and record for longer'
        )
    offset_ns = _find_peak(fine_ns, fine, base)
    return TimeOffset(
        round(offset_ns),
        float(np.hypot(_jackknife(fine_ns, expected_events, measured, base), _CONTRAST_NS)),
        top,
        rival,
        width_ns,
        frames,
        span_ns,
        coarse_ns,
        correlations,
    )


class _Search:
    """Events between frames, at any offset."""

    def __init__(self, events: EventRate, expected: ExpectedEvents) -> None:
        self._origin_ns, self._until = events.sum_up()
        # Square roots, as the noise of counts grows with them.
        self._expected = np.sqrt(expected.numbers)
        self._stamps_ns = expected.stamps_ns - self._origin_ns

    @property
    def _end_ns(self) -> int:
        return (len(self._until) - 1) * _BIN_NS

    def correlate(self, offsets_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the correlation at each offset; nan where fewer than FEWEST frames overlap."""
        return np.array([self._correlate(int(offset_ns)) for offset_ns in offsets_ns])

    def _correlate(self, offset_ns: int) -> float:
        times_ns = self._stamps_ns - offset_ns
        inside = np.flatnonzero((times_ns >= 0) & (times_ns <= self._end_ns))
        if len(inside) < FEWEST:
            return float('nan')
        part = slice(inside[0], inside[-1])
        counted = np.sqrt(self._count(times_ns[inside[0] : inside[-1] + 1]))
        return float(_correlate_rows(self._expected[part], counted[None])[0])

    def pair(
        self, offsets_ns: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
        """Return what is expected and what came between frames that overlap at every offset.

        Returns:
            float64 [N], float64 [offsets, N], both as square roots, and the time that the frames
            span.
        """
        first, last = int(offsets_ns[0]), int(offsets_ns[-1])
        inside = np.flatnonzero(
            (self._stamps_ns - last >= 0) & (self._stamps_ns - first <= self._end_ns)
        )
        stamps_ns = self._stamps_ns[inside[0] : inside[-1] + 1] if len(inside) else inside
        rows = [np.sqrt(self._count(stamps_ns - offset_ns)) for offset_ns in offsets_ns]
        part = slice(inside[0], inside[-1]) if len(inside) else slice(0)
        span_ns = int(stamps_ns[-1] - stamps_ns[0]) if len(stamps_ns) else 0
        return self._expected[part], np.array(rows), span_ns

    def _count(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        until = np.interp(times_ns / _BIN_NS, np.arange(len(self._until)), self._until)
        return np.diff(until)


def _correlate_rows(
    expected: NDArray[np.float64], measured: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the correlation of each row with what is expected; 0 where nothing varies."""
    if not len(expected):
        return np.zeros(len(measured))
    a, b = expected - expected.mean(), measured - measured.mean(axis=1, keepdims=True)
    power = np.sqrt((a @ a) * np.einsum('on,on->o', b, b))
    return np.asarray(np.divide(b @ a, power, out=np.zeros(len(b)), where=power > 1e-9))


def _extent(values: NDArray[np.float64], top: int, level: float) -> tuple[int, int]:
    """Return from where to where the values around the top are over a level."""
    below = np.flatnonzero(values < level)
    before, after = below[below < top], below[below > top]
    return (
        int(before[-1]) + 1 if len(before) else 0,
        int(after[0]) if len(after) else len(values),
    )


def _find_peak(
    offsets_ns: NDArray[np.int64], correlations: NDArray[np.float64], base: float
) -> float:
    """Return the vertex of a parabola through the upper part of the peak."""
    top = int(correlations.argmax())
    low, high = _extent(correlations, top, base + _TOP * (correlations[top] - base))
    if high - low < 3:
        return float(offsets_ns[top])
    x = (offsets_ns[low:high] - offsets_ns[top]).astype(np.float64)
    square, slope, _ = np.polyfit(x / _FINE_NS, correlations[low:high], 2)
    if square >= 0:
        return float(offsets_ns[top])
    vertex = np.clip(-slope / (2 * square) * _FINE_NS, x[0], x[-1])
    return float(offsets_ns[top] + vertex)


def _jackknife(
    offsets_ns: NDArray[np.int64],
    expected: NDArray[np.float64],
    measured: NDArray[np.float64],
    base: float,
) -> float:
    """Return one sigma of the peak, from what it is when a part of the recording is left out."""
    block = np.arange(len(expected)) * _BLOCKS // len(expected)
    peaks = [
        _find_peak(offsets_ns, _correlate_rows(expected[kept], measured[:, kept]), base)
        for kept in (block != left_out for left_out in range(_BLOCKS))
    ]
    return float(np.sqrt(_BLOCKS - 1) * np.std(peaks))
