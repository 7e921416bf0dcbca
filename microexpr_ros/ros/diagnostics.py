"""Diagnostics that every node publishes once a second."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.impl.rcutils_logger import RcutilsLogger

OK = DiagnosticStatus.OK
WARN = DiagnosticStatus.WARN
ERROR = DiagnosticStatus.ERROR


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


def to_message(name: str, stamp: object, diagnosis: Diagnosis) -> DiagnosticArray:
    """Return a diagnosis as a message."""
    status = DiagnosticStatus(
        level=diagnosis.level,
        name=name,
        message=diagnosis.message,
        hardware_id='microexpr_ros',
        values=[KeyValue(key=key, value=str(value)) for key, value in diagnosis.values.items()],
    )
    message = DiagnosticArray(status=[status])
    message.header.stamp = stamp
    return message
