"""One clock: from the sensor's time to ROS time, by the stamps that packets arrive with.

Three steps, each a class: `SensorClock` fits a line to the stamps, `StampLine` makes stamps of
slices from it that strictly increase, and `StampFault` names what is odd about the stamps.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.slices import MAX_GAP_NS, STEP_GROWTH

JUMP_NS: Final = 500_000_000
"""Stamps this much earlier than the mapping says are a jump of the host's clock, not jitter."""

CRYSTAL: Final = 1e-4
"""Crystals run at rates that differ by about this much."""

_BUCKETS: Final = 16
_SHORTEST_BUCKET_NS: Final = 20_000_000
_LONGEST_BUCKET_NS: Final = 500_000_000
_FEWEST: Final = 4
_RECENT: Final = 256
_JITTERED: Final = 25
_SCATTER_NS: Final = 5_000_000
_SHIFT_NS: Final = 5_000_000
_KNOWN_NS: Final = 1_000_000_000
_FOLLOWING_NS: Final = 500_000_000
_RATES: Final = (0.02, 50.0)


class StampFault(Enum):
    """What is odd about the stamps of a stream; the value is for people."""

    ZERO = 'are 0'
    STILL = 'stand still'
    BACKWARDS = 'run backwards'
    JUMPING = 'jump again and again'
    RATE = 'run at another rate than the sensor'


@dataclass(frozen=True, slots=True)
class ClockEstimate:
    """How sensor time maps to ROS time now.

    Attributes:
        offset_ns: ROS time minus sensor time, at the newest data.
        jitter_ns: one sigma of the delays of the recent packets.
        sigma_ns: one sigma of the mapping.
        rate: ROS seconds per second of the sensor; 0.5 if a recording plays at double speed.
        fault: what is odd about the stamps, None if nothing is.
    """

    offset_ns: int
    jitter_ns: float
    sigma_ns: float = 0.0
    rate: float = 1.0
    fault: StampFault | None = None


class SensorClock:
    """Map sensor time to ROS time by a line under the arrival stamps of packets.

    A packet can be late, never early, so the line runs below all stamps and touches those of
    the packets that came soonest (lower envelope; Moon, Skelly and Towsley, INFOCOM 1999). The
    sensor's time is divided into buckets. Of each only the least delayed packet counts; the
    median of the slopes between all pairs (Theil and Sen) is the rate, 1 unless the stamps show
    another. Buckets grow with the stream up to 0.5 s, and 16 of them are kept: 8 s. Where the
    newest buckets do not lie on the line of the older ones, those are forgotten: a clock was
    set, or the rate of replay has changed. Some drivers smooth their stamps, which then scatter
    to both sides of the truth: the line is raised to their median.

    Stamps that are 0, stand still, run backwards or jump again and again say nothing about
    time; `usable` is False then, and time is to go on by the sensor's clock alone.

    The cost of a packet is constant: the line is fitted anew when a bucket is full.

    Attributes:
        jumps: times that the stamps left the line.
        rate: ROS seconds per second of the sensor.
        sigma_ns: one sigma of the mapping.
    """

    def __init__(self) -> None:
        self.jumps = 0
        self.rate = 1.0
        self.sigma_ns = 0.0
        self._origin: tuple[int, int] | None = None
        self._newest: tuple[int, int] | None = None
        self._waiting: tuple[int, int] | None = None
        self._still_since: tuple[int, int] | None = None
        self._jumped_ns: deque[int] = deque(maxlen=3)
        self._backwards = False
        self._forget()

    def _forget(self) -> None:
        self._delay_ns = np.inf
        self._raised_ns = 0.0
        self._width_ns = _SHORTEST_BUCKET_NS
        self._buckets: deque[tuple[int, int]] = deque()
        self._open: tuple[int, int, int] | None = None
        self._recent: deque[tuple[int, int]] = deque(maxlen=_RECENT)

    def update(self, sensor_ns: int, stamp_ns: int) -> bool:
        """Take in one packet.

        Args:
            sensor_ns: sensor time of the packet's first data.
            stamp_ns: ROS time at which that data arrived at the host.

        Returns:
            Whether the host's clock jumped, so that the line begins anew.
        """
        if self._origin is None:
            self._origin = self._newest = sensor_ns, stamp_ns
        assert self._newest is not None
        if stamp_ns == self._newest[1] and self._still_since is not None:
            # Of packets with one stamp the last is the least delayed, but while they go on they
            # may be of a clock that stands still.
            self._newest = self._waiting = sensor_ns, stamp_ns
            return False
        waited, self._waiting = self._waiting, None
        jumped = False
        if waited is not None and not self._stands_still:
            jumped = self._add(*waited)
        self._newest = self._still_since = sensor_ns, stamp_ns
        return self._add(sensor_ns, stamp_ns) or jumped

    def _add(self, sensor_ns: int, stamp_ns: int) -> bool:
        assert self._origin is not None
        x, y = sensor_ns - self._origin[0], stamp_ns - self._origin[1]
        delay_ns = y - self.rate * x
        above_ns = delay_ns - self._delay_ns
        jumped = above_ns > MAX_GAP_NS or (above_ns < -JUMP_NS and bool(self._buckets))
        if jumped:
            self._note_jump(x)
            self._forget()
        self._delay_ns = min(self._delay_ns, delay_ns)
        self._recent.append((x, y))
        number = x // self._width_ns
        if self._open is None:
            self._open = number, x, y
        elif number <= self._open[0]:
            # Of a packet that was overtaken, the time lies in a bucket that is full.
            is_in_order = number == self._open[0]
            if is_in_order and delay_ns <= self._open[2] - self.rate * self._open[1]:
                self._open = number, x, y
        else:
            self._buckets.append(self._open[1:])
            self._open = number, x, y
            self._fit()
        return jumped

    def _note_jump(self, x: int) -> None:
        self.jumps += 1
        self._jumped_ns.append(x)

    def _fit(self) -> None:
        if len(self._buckets) > _BUCKETS:
            self._widen()
        x, y = np.array(self._buckets, np.float64).T
        if len(x) >= _FEWEST and max(x[-1] - x[0], abs(y[-1] - y[0])) >= _KNOWN_NS:
            self._backwards = False
            slope, error = _slope(x, y)
            if not _RATES[0] < slope < _RATES[1]:
                self._backwards = True
            elif abs(slope - 1) > max(100 * CRYSTAL, 4 * error):
                self.rate = slope
            else:
                self.rate = 1 + (slope - 1) * CRYSTAL**2 / (CRYSTAL**2 + error**2)
            self.sigma_ns = float(np.std(y - self.rate * x))
            self._forget_what_does_not_fit(x, y - self.rate * x)
        else:
            self.sigma_ns = self.jitter_ns
        x, y = np.array(self._buckets, np.float64).T
        delays = y - self.rate * x
        self._delay_ns = float(delays.min())
        if self._open is not None:
            self._delay_ns = min(self._delay_ns, self._open[2] - self.rate * self._open[1])
        self._raised_ns = self._median_above_ns()

    def _median_above_ns(self) -> float:
        """Return how far the median of the stamps is above the line, 0 if they are only late."""
        if len(self._recent) < _RECENT // 4:
            return 0.0
        x, y = np.array(self._recent, np.float64).T
        least, tenth, median = np.quantile(y - self.rate * x, (0, 0.1, 0.5))
        # Delays crowd at the least of them; what scatters to both sides has a tail below.
        has_tail = tenth - least > 0.5 * (median - tenth)
        if not has_tail or not 0 < median - tenth < _SCATTER_NS:
            return 0.0
        return float(median) - self._delay_ns

    def _widen(self) -> None:
        if self._width_ns >= _LONGEST_BUCKET_NS:
            self._buckets.popleft()
            return
        self._width_ns *= 2
        least: dict[int, tuple[int, int]] = {}
        for x, y in self._buckets:
            number = x // self._width_ns
            kept = least.setdefault(number, (x, y))
            if y - self.rate * x < kept[1] - self.rate * kept[0]:
                least[number] = x, y
        self._buckets = deque(least.values())
        if self._open is not None:
            self._open = self._open[1] // self._width_ns, *self._open[1:]

    def _forget_what_does_not_fit(
        self, x: NDArray[np.float64], delays: NDArray[np.float64]
    ) -> None:
        # The newest second, which is longer than packets are held back in bursts.
        first = min(int(np.searchsorted(x, x[-1] - _KNOWN_NS)), len(x) - _FEWEST)
        if first < 1:
            return
        old, new = delays[:first], delays[first:]
        slope, error = _slope(x[first:], new)
        turned = abs(slope) > max(100 * CRYSTAL, 6 * error)
        shift = float(np.median(new) - np.median(old))
        spread = max(float(np.std(old)), float(np.std(new - slope * x[first:])))
        if turned or abs(shift) > max(_SHIFT_NS, 6 * spread):
            if turned and _RATES[0] < self.rate + slope < _RATES[1]:
                self.rate += slope
            if not turned and len(old) > 1:
                self._note_jump(self._buckets[-1][0])
            for _ in old:
                self._buckets.popleft()

    def to_ros(self, sensor_ns: int) -> int:
        """Return the ROS time of a moment on the sensor's clock; there must be a packet."""
        assert self._origin is not None
        return self._origin[1] + round(self.rate * (sensor_ns - self._origin[0]) + self._level_ns)

    def to_sensor(self, ros_ns: int) -> int:
        """Return the sensor time of a moment in ROS time; there must be a packet."""
        assert self._origin is not None
        return self._origin[0] + round((ros_ns - self._origin[1] - self._level_ns) / self.rate)

    @property
    def _level_ns(self) -> float:
        return 0.0 if self._delay_ns == np.inf else self._delay_ns + self._raised_ns

    @property
    def is_known(self) -> bool:
        """Whether there was a packet."""
        return self._origin is not None

    @property
    def _stands_still(self) -> bool:
        if self._still_since is None or self._newest is None:
            return False
        lasted_ns = self._newest[0] - self._still_since[0]
        return lasted_ns > (_KNOWN_NS // 10 if self._newest[1] == 0 else _KNOWN_NS)

    @property
    def fault(self) -> StampFault | None:
        """What is odd about the stamps, None if nothing is."""
        if self._stands_still:
            return StampFault.ZERO if self._newest and not self._newest[1] else StampFault.STILL
        if self._backwards:
            return StampFault.BACKWARDS
        if self._is_jumping:
            return StampFault.JUMPING
        return StampFault.RATE if abs(self.rate - 1) > 100 * CRYSTAL else None

    @property
    def _is_jumping(self) -> bool:
        if self._newest is None or self._origin is None or len(self._jumped_ns) < 3:
            return False
        return self._newest[0] - self._origin[0] - self._jumped_ns[0] < 5 * _KNOWN_NS

    @property
    def usable(self) -> bool:
        """Whether the stamps say anything about time."""
        return self.is_known and self.fault in (None, StampFault.RATE)

    @property
    def jitter_ns(self) -> float:
        """One sigma of the delays of the recent packets."""
        # A copy: the thread that diagnoses reads while packets come.
        newest = list(self._recent)[-_JITTERED:]
        delays = [y - self.rate * x for x, y in newest]
        return float(np.std(delays)) if delays else 0.0

    @property
    def estimate(self) -> ClockEstimate | None:
        """The present mapping, None before the first packet."""
        if self._newest is None:
            return None
        sensor_ns = self._newest[0]
        return ClockEstimate(
            self.to_ros(sensor_ns) - sensor_ns,
            self.jitter_ns,
            self.sigma_ns,
            self.rate,
            self.fault,
        )


@cache
def _pairs(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.triu_indices(count, 1)


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return the slope of the line through points, and one sigma of it."""
    i, j = _pairs(len(x))
    slope = float(np.median((y[j] - y[i]) / (x[j] - x[i])))
    # That of least squares over even steps; the median of slopes is nearly as good.
    spread = max(float(np.std(y - slope * x)), 1000.0)
    return slope, float(np.sqrt(12 / len(x)) * spread / (x[-1] - x[0]))


class StampLine:
    """Give slices stamps that strictly increase and follow a clock.

    Where the clock's mapping moves, the stamps follow within about a second: they advance up to
    three times as fast, or down to a tenth. Where the host's clock was set by more than
    MAX_GAP_NS they leap, if that is forwards; backwards they do not follow. From slice to slice
    a step grows by at most STEP_GROWTH, so that readers of the stamps can tell a missing slice.
    While the clock is not usable, the stamps go on at the rate of the sensor.

    Attributes:
        last_ns: the last stamp, None before the first.
        behind_ns: how far it was behind the clock; negative if ahead.
    """

    def __init__(self) -> None:
        self.behind_ns = 0.0
        self.last_ns: int | None = None
        self._step_ns = np.inf
        self._leaps = False

    def restart(self, is_played_again: bool) -> None:
        """Begin with another stream.

        Args:
            is_played_again: whether stamps may go back, as those of a recording do that begins
                again; otherwise the first of them may be any time ahead.
        """
        self._step_ns = np.inf
        self._leaps = True
        if is_played_again:
            self.last_ns = None

    def stamp(self, sensor_ns: int, duration_ns: int, clock: SensorClock) -> int:
        """Return the stamp of the next slice.

        Args:
            sensor_ns: end of the slice on the sensor's clock.
            duration_ns: length of the slice.
            clock: what maps it.
        """
        if self.last_ns is None:
            self.last_ns = clock.to_ros(sensor_ns)
            return self.last_ns
        usable = clock.usable
        step_ns = duration_ns * (clock.rate if usable else 1.0)
        self.behind_ns = 0.0
        if usable:
            self.behind_ns = clock.to_ros(sensor_ns) - self.last_ns - step_ns
        if self.behind_ns > (0 if self._leaps else MAX_GAP_NS):
            self._leaps = False
            self.last_ns = clock.to_ros(sensor_ns)
            self.behind_ns = 0.0
            return self.last_ns
        self._leaps = False
        caught_up = self.behind_ns * min(duration_ns / _FOLLOWING_NS, 1.0)
        if self.behind_ns < -MAX_GAP_NS:
            caught_up = 0.0  # Time would nearly stand still for minutes or hours.
        step_ns += min(max(caught_up, -0.9 * step_ns), 2 * step_ns)
        step_ns = min(step_ns, STEP_GROWTH * self._step_ns)
        self.last_ns += max(round(step_ns), 1)
        self._step_ns = max(step_ns, 1.0)
        return self.last_ns
