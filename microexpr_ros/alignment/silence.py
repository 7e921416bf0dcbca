"""How far the sensor's clock has come while nothing arrives."""

from __future__ import annotations

from typing import Final

from microexpr_ros.alignment.clock import SensorClock

STALL_NS: Final = 400_000_000
"""Packets that came in a steady flow are waited for this long: networks and drivers hold packets
back for 300 ms and more, and what comes then is data of slices that must still be open."""

GONE_NS: Final = 900_000_000
"""After this much silence the stream has stopped; no more slices are ended for it, so that readers
notice within 1.5 s."""

_AGREE_NS: Final = 100_000_000
_FLOW: Final = 10
_FORGET: Final = 0.999
_OTHER_RATE: Final = 0.01


class Silence:
    """Measure on this machine's clock how long a stream has been silent, in sensor time.

    The local clock need not agree with the stamps of the packets, and may stop or be set: only
    its differences since the last packet are used. How fast the sensor's clock goes against it,
    and how late packets come, is measured from the packets.

    Args:
        patience_ns: shortest wait for packets that are still under way.
    """

    def __init__(self, patience_ns: int) -> None:
        self._patience_ns = patience_ns
        self.restart()

    def restart(self) -> None:
        """Forget the stream."""
        self._clock = SensorClock()
        self._packets = 0
        self._late_ns = 0.0
        self._rate = 1.0
        self._newest_ns = self._heard_ns = 0
        self._unseen_ns: int | None = None

    def hear(self, first_ns: int, newest_ns: int, now_ns: int) -> None:
        """Take in a packet.

        Args:
            first_ns: sensor time of its first data.
            newest_ns: sensor time of its newest data.
            now_ns: when it was received, on any clock of this machine.
        """
        self._clock.update(first_ns, now_ns)
        self._packets += 1
        if abs(self._clock.rate - self._rate) > _OTHER_RATE:
            # Packets only seemed to be late.
            self._rate, self._late_ns = self._clock.rate, 0.0
        late_ns = now_ns - self._clock.to_ros(first_ns)
        self._late_ns = max(self._late_ns * _FORGET, late_ns)
        self._newest_ns = max(newest_ns, self._newest_ns)
        self._heard_ns, self._unseen_ns = now_ns, None

    def hear_nothing(self, now_ns: int) -> None:
        """Take in a packet without data: the scene is still, and the stream alive."""
        self._heard_ns, self._unseen_ns = now_ns, None

    def passed_ns(self, now_ns: int) -> int | None:
        """Return the sensor time before which no more data is expected, None if nothing came.

        Args:
            now_ns: the present, on the clock of `hear`.
        """
        if not self._packets:
            return None
        quiet_ns = now_ns - self._heard_ns
        if self._unseen_ns is None:
            # Not the silence of the stream, but of this process, or a clock that was set.
            self._unseen_ns = 0 if 0 <= quiet_ns <= _AGREE_NS else quiet_ns
        quiet_ns -= self._unseen_ns
        usable = self._clock.usable
        due_ns = self._clock.to_ros(self._newest_ns) if usable else self._heard_ns
        passed_ns = max(self._heard_ns - due_ns, 0) + min(quiet_ns, GONE_NS) - self._wait_ns
        return self._newest_ns + round(passed_ns / (self._clock.rate if usable else 1.0))

    @property
    def _wait_ns(self) -> float:
        if self._packets < _FLOW:
            return self._patience_ns
        return max(self._patience_ns, STALL_NS, min(1.5 * self._late_ns, GONE_NS))
