"""How well stamps of slices and of frames meet the truth, where packets are stamped as by hosts.

The truth is made: a sensor whose clock is off and drifts, packets that are late at random and get
lost, and a frame camera with a strobe, some of whose pulses and frames are missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.clock import SensorClock, StampLine
from microexpr_ros.alignment.frame_alignment import FrameAlignment, SyncSource
from microexpr_ros.events.events import Frame, Triggers
from microexpr_ros.events.grid import SLICE_NS

_SECOND_NS: Final = 1_000_000_000
_EPOCH_NS: Final = 1_700_000_000 * _SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockConditions:
    """What hosts do to stamps.

    Attributes:
        seconds: length of each history of stamps.
        histories: their number; the clock of the sensor is fast in half of them, else slow.
        settling_s: time from which on errors count.
        packet_ms: time between packets.
        drift_ppm: how much faster or slower the sensor's clock runs.
        jitter_ms: mean of the exponential delay of a stamp.
        outlier_ms: further delay of some stamps.
        outliers: share of these.
        lost: share of packets, of pulses and of frames that are lost.
        frames_hz: rate of the frame camera.
        latency_ms: from a pulse to the stamp of its frame, at best.
    """

    seconds: float = 30.0
    histories: int = 6
    settling_s: float = 5.0
    packet_ms: float = 2.0
    drift_ppm: float = 50.0
    jitter_ms: float = 1.0
    outlier_ms: float = 30.0
    outliers: float = 0.01
    lost: float = 0.01
    frames_hz: float = 30.0
    latency_ms: float = 12.0


@dataclass(frozen=True, slots=True)
class ClockErrors:
    """Errors of one way to tie the clocks.

    Attributes:
        source: the way, a name of SyncSource.
        p50_ms: median of the errors.
        p95_ms: 95th percentile.
        max_ms: the largest.
        count: slices or frames that were measured.
        share: of the frames, those that were tied in this way; of slices 1.
    """

    source: str
    p50_ms: float
    p95_ms: float
    max_ms: float
    count: int
    share: float


def evaluate_clocks(conditions: ClockConditions, seed: int = 0) -> tuple[ClockErrors, ...]:
    """Return the errors of slices by software, and of frames by triggers.

    Stamps of slices are compared with ROS time, apart from the shortest time that a packet takes,
    which nobody can see; frames with the pulses at which they were taken, in sensor time.
    """
    slices: list[float] = []
    frames: list[float | None] = []
    for number in range(conditions.histories):
        history = _History(conditions, np.random.default_rng([seed, number]), number)
        slices += history.slice_errors()
        frames += history.frame_errors()
    tied = [error_ns for error_ns in frames if error_ns is not None]
    return (
        _summarize(SyncSource.SOFTWARE, slices, 1.0),
        _summarize(SyncSource.TRIGGER, tied, len(tied) / max(len(frames), 1)),
    )


def _summarize(source: SyncSource, errors_ns: list[float], share: float) -> ClockErrors:
    errors_ms = np.abs(errors_ns or [np.nan]) / 1e6
    half, most = np.percentile(errors_ms, [50, 95])
    return ClockErrors(
        source.name, float(half), float(most), float(errors_ms.max()), len(errors_ns), share
    )


class _History:
    """One history of stamps, and the truth that it is made from."""

    def __init__(self, conditions: ClockConditions, rng: np.random.Generator, number: int) -> None:
        self._given, self._rng = conditions, rng
        # ROS time per sensor time.
        self._rate = 1 + (1 if number % 2 else -1) * conditions.drift_ppm * 1e-6
        end_ns = round(conditions.seconds * _SECOND_NS)
        packet_ns = round(conditions.packet_ms * 1e6)
        self._sensor_ns = self._thin(np.arange(0, end_ns, packet_ns, dtype=np.int64))
        self._stamps_ns = self._stamp(self._sensor_ns)
        period_ns = _SECOND_NS / conditions.frames_hz
        self._pulses_ns = np.arange(rng.uniform(0, period_ns), end_ns, period_ns).astype(np.int64)

    @property
    def _settled_ns(self) -> float:
        return self._given.settling_s * _SECOND_NS

    def _thin(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        return values[self._rng.random(len(values)) >= self._given.lost]

    def _stamp(self, sensor_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        late_ms = self._rng.exponential(self._given.jitter_ms, len(sensor_ns))
        late_ms += self._given.outlier_ms * (
            self._rng.random(len(sensor_ns)) < self._given.outliers
        )
        return _EPOCH_NS + (self._rate * sensor_ns + 1e6 * late_ms).astype(np.int64)

    def _packets(self) -> Iterator[tuple[int, int]]:
        return zip(self._sensor_ns.tolist(), self._stamps_ns.tolist(), strict=True)

    def slice_errors(self) -> list[float]:
        """Return the error of the stamp of each slice in ns, once the clock has settled."""
        clock, line = SensorClock(), StampLine()
        end_ns, errors_ns = SLICE_NS, list[float]()
        for sensor_ns, stamp_ns in self._packets():
            clock.update(sensor_ns, stamp_ns)
            while end_ns <= sensor_ns:
                given_ns = line.stamp(end_ns, SLICE_NS, clock)
                if end_ns > self._settled_ns:
                    errors_ns.append(given_ns - _EPOCH_NS - self._rate * end_ns)
                end_ns += SLICE_NS
        return errors_ns

    def frame_errors(self) -> list[float | None]:
        """Return the error of each frame in ns of sensor time; None where no pulse was found."""
        clock, alignment = SensorClock(), FrameAlignment()
        edges_ns = self._thin(self._pulses_ns)
        numbers = self._thin(np.arange(len(self._pulses_ns)))
        latency_ns = round(self._given.latency_ms * 1e6)
        stamps_ns = self._stamp(self._pulses_ns[numbers] + latency_ns)
        arrivals = np.argsort(stamps_ns, kind='stable').tolist()
        edge, end_ns, errors_ns = 0, SLICE_NS, list[float | None]()
        for sensor_ns, stamp_ns in self._packets():
            clock.update(sensor_ns, stamp_ns)
            until = int(np.searchsorted(edges_ns, sensor_ns))
            alignment.strobe.push(_to_triggers(edges_ns[edge:until]))
            edge, newest_ns = until, clock.to_ros(sensor_ns)
            while arrivals and stamps_ns[arrivals[0]] <= newest_ns:
                frame = arrivals.pop(0)
                # Its number as its only pixel, by which it is recognized.
                pixels = np.array([[numbers[frame]]])
                alignment.push(Frame(int(stamps_ns[frame]), pixels), newest_ns)
            while end_ns <= sensor_ns:
                current = alignment.take(clock.to_ros(end_ns), clock)
                if current is not None and end_ns > self._settled_ns:
                    is_tied = alignment.source is SyncSource.TRIGGER
                    pulse_ns = int(self._pulses_ns[int(current.pixels[0, 0])])
                    error_ns = float(clock.to_sensor(current.t) - pulse_ns)
                    errors_ns.append(error_ns if is_tied else None)
                end_ns += SLICE_NS
        return errors_ns


def _to_triggers(edges_ns: NDArray[np.int64]) -> Triggers:
    ones = np.ones(len(edges_ns), np.uint8)
    return Triggers(edges_ns, ones, ones)
