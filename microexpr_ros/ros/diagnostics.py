"""Diagnostics that every node publishes once a second."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.impl.rcutils_logger import RcutilsLogger

OK = DiagnosticStatus.OK
WARN = DiagnosticStatus.WARN
ERROR = DiagnosticStatus.ERROR

HARDWARE_ID = 'microexpr_ros'
"""Names this package's nodes among all that report on the topic."""

HOST = 'pipeline'
"""Name of the node that repeats what the nodes in its process report."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How a node is doing.

    Attributes:
        level: OK, WARN or ERROR of this module.
        message: one line for a person.
        values: numbers by name; units in the names.
    """

    level: bytes = OK
    message: str = 'running'
    values: dict[str, object] = field(default_factory=dict)

    def with_problem(self, problem: str) -> Diagnosis:
        """Return it with one more thing that is wrong, named before those that were known.

        A problem that begins with the message is the same one, explained; an empty one is none.

        Example:
            >>> Diagnosis().with_problem('it is wet').with_problem('it is late').message
            'it is late; it is wet'
        """
        if not problem:
            return self
        if self.level == OK:
            return replace(self, level=WARN, message=problem)
        if problem.startswith(self.message):
            return replace(self, message=problem)
        return replace(self, message=f'{problem}; {self.message}')


class Rate:
    """Count things, and measure their rate between calls of `hz`."""

    def __init__(self) -> None:
        self.total = 0
        self._last = (0, time.monotonic())

    def add(self, number: int = 1) -> None:
        """Count some more."""
        self.total += number

    def hz(self) -> float:
        """Return the rate since the last call, per second of wall time."""
        now = self.total, time.monotonic()
        (before, then_s), self._last = self._last, now
        return (now[0] - before) / max(now[1] - then_s, 1e-9)


class ProblemLog:
    """Log what is wrong once when it begins, and once when it ends.

    Args:
        logger: of the node.
    """

    def __init__(self, logger: RcutilsLogger) -> None:
        self._logger = logger
        self._present: dict[str, str] = {}

    def update(self, problems: dict[str, str]) -> None:
        """Take in what is wrong now: a line for people by kind."""
        for kind in problems.keys() - self._present.keys():
            self._logger.warning(problems[kind])
        for kind in self._present.keys() - problems.keys():
            self._logger.info(f'no longer: {self._present[kind].partition(":")[0]}')
        self._present = problems


class Latency:
    """The most recent latencies."""

    def __init__(self, depth: int = 1000) -> None:
        self._recent_ns: deque[int] = deque(maxlen=depth)

    def add(self, latency_ns: int) -> None:
        """Take in one latency."""
        self._recent_ns.append(latency_ns)

    def percentiles_ms(self) -> tuple[float, float]:
        """Return median and 99th percentile in ms; NaN while there are none."""
        if not self._recent_ns:
            return float('nan'), float('nan')
        p50, p99 = np.percentile(list(self._recent_ns), [50, 99]) / 1e6
        return float(p50), float(p99)

    def values(self) -> dict[str, object]:
        """Return the percentiles as diagnostic values."""
        p50, p99 = self.percentiles_ms()
        return {'latency_p50_ms': round(p50, 2), 'latency_p99_ms': round(p99, 2)}


class Silence:
    """Notices when nothing has come for a time, and when that ends.

    Args:
        limit_ns: time after which it is silent.

    Attributes:
        limit_ns: time after which it is silent.
        is_silent: whether it is.
    """

    def __init__(self, limit_ns: int) -> None:
        self.limit_ns = limit_ns
        self.is_silent = False
        self._since_ns = time.monotonic_ns()

    def end(self, now_ns: int) -> int:
        """Take note that something has come; return how long it was silent, 0 if it was not.

        Args:
            now_ns: steady time.
        """
        lasted_ns = self.lasts_ns(now_ns) if self.is_silent else 0
        self.is_silent, self._since_ns = False, now_ns
        return lasted_ns

    def has_begun(self, now_ns: int) -> bool:
        """Return True the first time that it is silent.

        Args:
            now_ns: steady time.
        """
        begins = not self.is_silent and self.lasts_ns(now_ns) > self.limit_ns
        self.is_silent |= begins
        return begins

    def lasts_ns(self, now_ns: int) -> int:
        """Return the steady time since something came."""
        return max(now_ns - self._since_ns, 0)


class Recurrence:
    """Notices what happens again and again, not only once."""

    _LASTING_NS: Final = 1_000_000_000
    _ENDED_NS: Final = 2_000_000_000

    def __init__(self) -> None:
        self._first_ns: int | None = None
        self._last_ns = 0

    def add(self, now_ns: int) -> None:
        """Take note that it has happened.

        Args:
            now_ns: steady time.
        """
        if self._first_ns is None or now_ns - self._last_ns > self._ENDED_NS:
            self._first_ns = now_ns
        self._last_ns = now_ns

    def goes_on(self, now_ns: int) -> bool:
        """Return whether it has happened for a second or longer, and lately.

        Args:
            now_ns: steady time.
        """
        if self._first_ns is None or now_ns - self._last_ns > self._ENDED_NS:
            return False
        return self._last_ns - self._first_ns >= self._LASTING_NS


class Lag:
    """How much longer messages wait than at best, and whether their reader falls behind.

    The offset between the clocks of two machines and steps of a clock are no lag. A burst of
    late messages that is processed at once is not falling behind.

    Attributes:
        is_behind: whether messages have waited too long for a second.
        excess_ns: how much longer the last message waited than at best.
        factor: when the reader last fell behind: time of the input that it processed, over time.
        least_factor: the smallest factor so far; 1 if the reader never fell behind.
        lasted_ns: how long the last time behind has lasted.
    """

    LATE_NS: Final = 200_000_000
    IN_TIME_NS: Final = 100_000_000
    LASTING_NS: Final = 1_000_000_000
    _MEMORY_NS: Final = 60_000_000_000
    _DRIFT_NS: Final = 25_000_000

    def __init__(self) -> None:
        self.is_behind = False
        self.excess_ns = 0
        self.factor = self.least_factor = 1.0
        self.lasted_ns = 0
        self._total_ns = 0
        self._began_ns = 0
        self._least_ns: int | None = None
        self._recent_least_ns = self._recent_since_ns = 0
        self._last_ns = self._last_lag_ns = 0
        self._in_time_ns = self._in_time_excess_ns = self._late_ns = 0

    def add(self, lag_ns: int, now_ns: int) -> bool:
        """Take in one message; return whether `is_behind` has changed.

        Args:
            lag_ns: from its publication until now, by clocks that may differ.
            now_ns: steady time.
        """
        self.excess_ns = lag_ns - self._least(lag_ns, now_ns)
        self._last_ns, self._last_lag_ns = now_ns, lag_ns
        if self.excess_ns > self.IN_TIME_NS:
            self._late_ns = now_ns
        elif not self.is_behind:
            self._in_time_ns, self._in_time_excess_ns = now_ns, self.excess_ns
        if self.is_behind:
            self.lasted_ns = now_ns - self._began_ns
            return now_ns - self._late_ns > self.LASTING_NS and self.end(now_ns)
        behind_ns = now_ns - self._in_time_ns
        if self.excess_ns <= self.LATE_NS or behind_ns <= self.LASTING_NS:
            return False
        self.is_behind, self._began_ns = True, self._in_time_ns
        self.lasted_ns = behind_ns
        self.factor = max(1 - (self.excess_ns - self._in_time_excess_ns) / behind_ns, 0.0)
        self.least_factor = min(self.factor, self.least_factor)
        return True

    def end(self, now_ns: int) -> bool:
        """Take note that nothing waits any more; return whether `is_behind` has changed."""
        was_behind, self.is_behind = self.is_behind, False
        if was_behind:
            self._total_ns += now_ns - self._began_ns
        self.excess_ns = 0
        self._in_time_ns, self._in_time_excess_ns = now_ns, 0
        return was_behind

    def values(self) -> dict[str, object]:
        """Return diagnostic values."""
        total_ns = self._total_ns + (self.lasted_ns if self.is_behind else 0)
        return {
            'lag_ms': round(self.excess_ns / 1e6, 1),
            'behind_s': round(total_ns / 1e9, 1),
            'behind_factor': round(self.least_factor, 2),
        }

    def _least(self, lag_ns: int, now_ns: int) -> int:
        """Return the least lag of the last minute or two, since two clocks drift."""
        if self._least_ns is None:
            self._least_ns = self._recent_least_ns = lag_ns
            self._recent_since_ns = self._in_time_ns = now_ns
        elif lag_ns - self._last_lag_ns > now_ns - self._last_ns + self.IN_TIME_NS:
            # No lag grows faster than time passes: a clock was set.
            self._least_ns += lag_ns - self._last_lag_ns
            self._recent_least_ns += lag_ns - self._last_lag_ns
        self._recent_least_ns = min(self._recent_least_ns, lag_ns)
        if now_ns - self._recent_since_ns > self._MEMORY_NS and not self.is_behind:
            # Clocks do not drift further than this: a longer wait is one, however long it lasts.
            if self._recent_least_ns - self._least_ns < self._DRIFT_NS:
                self._least_ns = self._recent_least_ns
            self._recent_least_ns, self._recent_since_ns = lag_ns, now_ns
        self._least_ns = min(self._least_ns, lag_ns)
        return self._least_ns


def to_message(name: str, stamp: object, diagnosis: Diagnosis) -> DiagnosticArray:
    """Return a diagnosis as a message."""
    status = DiagnosticStatus(
        level=diagnosis.level,
        name=name,
        message=diagnosis.message,
        hardware_id=HARDWARE_ID,
        values=[KeyValue(key=key, value=str(value)) for key, value in diagnosis.values.items()],
    )
    message = DiagnosticArray(status=[status])
    message.header.stamp = stamp
    return message
