"""When recorded messages are due: at any rate, with pauses and steps."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

RATES: Final = (0.01, 100.0)
"""Slowest and fastest rate."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How recorded time runs against steady time: at a constant rate, or paused.

    Example:
        >>> pace = Pace(recorded_ns=1000, steady_ns=50, rate=2.0)
        >>> pace.recorded_at(60), pace.due(1020)
        (1020, 60)
        >>> pace.changed(60, paused=True).changed(90, paused=False).due(1040)
        100

    Attributes:
        recorded_ns: recorded time at `steady_ns`.
        steady_ns: steady time at which this pace began.
        rate: recorded time per steady time.
        paused: whether recorded time stands still.
    """

    recorded_ns: int
    steady_ns: int
    rate: float = 1.0
    paused: bool = False

    def recorded_at(self, steady_ns: int) -> int:
        """Return the recorded time at a steady time."""
        if self.paused:
            return self.recorded_ns
        return self.recorded_ns + round((steady_ns - self.steady_ns) * self.rate)

    def due(self, recorded_ns: int) -> int | None:
        """Return the steady time at which a recorded time is due; None while paused."""
        if self.paused:
            return None
        return self.steady_ns + round((recorded_ns - self.recorded_ns) / self.rate)

    def changed(
        self, steady_ns: int, *, rate: float | None = None, paused: bool | None = None
    ) -> Pace:
        """Return the pace from a steady time on; recorded time does not jump there."""
        return Pace(
            self.recorded_at(steady_ns),
            steady_ns,
            self.rate if rate is None else rate,
            self.paused if paused is None else paused,
        )


class Pacer:
    """Lets one thread wait for recorded times while other threads change the pace.

    Args:
        rate: speed; 1 is that of the recording.
        paused: whether it begins paused.
    """

    def __init__(self, rate: float = 1.0, paused: bool = False) -> None:
        self._changed = threading.Condition()
        self._pace = Pace(0, time.monotonic_ns(), rate, paused)
        self._stepping = False
        self._stopped = False

    @property
    def rate(self) -> float:
        """Speed; 1 is that of the recording."""
        return self._pace.rate

    @property
    def paused(self) -> bool:
        """Whether recorded time stands still."""
        return self._pace.paused

    @property
    def stopped(self) -> bool:
        """Whether it was stopped."""
        return self._stopped

    def begin(self, recorded_ns: int) -> None:
        """Set the recorded time of this moment."""
        with self._changed:
            self._pace = replace(
                self._pace, recorded_ns=recorded_ns, steady_ns=time.monotonic_ns()
            )

    def rewind(self, duration_ns: int) -> None:
        """Set recorded time back by a duration."""
        with self._changed:
            self._pace = replace(self._pace, recorded_ns=self._pace.recorded_ns - duration_ns)

    def skip_to(self, recorded_ns: int) -> None:
        """Set the recorded time ahead to this moment's, or leave it if it is there already."""
        with self._changed:
            now_ns = time.monotonic_ns()
            at_ns = max(recorded_ns, self._pace.recorded_at(now_ns))
            self._pace = replace(self._pace, recorded_ns=at_ns, steady_ns=now_ns)

    def change(self, *, rate: float | None = None, paused: bool | None = None) -> None:
        """Go on at another rate, pause or resume."""
        if rate is not None:
            rate = min(max(rate, RATES[0]), RATES[1])
        with self._changed:
            self._pace = self._pace.changed(time.monotonic_ns(), rate=rate, paused=paused)
            self._changed.notify_all()

    def toggle(self) -> None:
        """Pause or resume."""
        with self._changed:
            self.change(paused=not self.paused)

    def step(self) -> bool:
        """Go on to the next message while paused; return whether it is paused."""
        with self._changed:
            self._stepping = self.paused
            self._changed.notify_all()
            return self._stepping

    def stop(self) -> None:
        """End all waiting, now and in future."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def wait_until(self, recorded_ns: int, ends_step: bool = False) -> int | None:
        """Wait for a recorded time.

        Args:
            recorded_ns: The time to wait for.
            ends_step: Whether a step ends at this time.

        Returns:
            How late it is, in ns of steady time, 0 or more; None if stopped.
        """
        with self._changed:
            while not self._stopped:
                now_ns = time.monotonic_ns()
                if self._stepping and self.paused:
                    at_ns = max(recorded_ns, self._pace.recorded_ns)
                    self._pace = replace(self._pace, recorded_ns=at_ns, steady_ns=now_ns)
                    self._stepping = not ends_step
                    return 0
                due_ns = self._pace.due(recorded_ns)
                if due_ns is not None and due_ns <= now_ns:
                    return now_ns - due_ns
                self._changed.wait(None if due_ns is None else (due_ns - now_ns) / 1e9)
            return None


class Lateness:
    """Distribution of delays, counted in bins, so that memory does not grow with time.

    Attributes:
        last_ns: the newest delay.
        worst_ns: the longest delay.
    """

    _BIN_NS: Final = 20_000
    _BINS: Final = 50_000

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(self._BINS, np.int64)
        self.last_ns = self.worst_ns = 0

    def add(self, late_ns: int) -> None:
        """Add a delay."""
        self._counts[min(late_ns // self._BIN_NS, self._BINS - 1)] += 1
        self.last_ns, self.worst_ns = late_ns, max(self.worst_ns, late_ns)

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the delays in ms; 0 if there are none."""
        total = int(self._counts.sum())
        if not total:
            return 0.0
        reached = int(np.searchsorted(np.cumsum(self._counts), percent / 100 * total))
        # The last bin holds all that is later than the bins reach.
        top_ns = self.worst_ns if reached == self._BINS - 1 else (reached + 1) * self._BIN_NS
        return min(top_ns, self.worst_ns) / 1e6

    def summary(self) -> dict[str, float]:
        """Return median, 99th percentile and worst in ms."""
        return {
            'late_p50_ms': round(self.percentile_ms(50), 2),
            'late_p99_ms': round(self.percentile_ms(99), 2),
            'late_max_ms': round(self.worst_ns / 1e6, 2),
        }
