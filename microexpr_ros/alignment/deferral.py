"""How long packets may wait, because the slice that is open cannot end yet."""

from __future__ import annotations

from typing import Final

LONGEST_NS: Final = 10_000_000
"""Packets wait no longer than this, however long the slices are."""

SHORTEST_NS: Final = 1_000_000
"""To wait for less than this would hardly gather packets."""

EARLY_NS: Final = 1_000_000
"""Packets are taken so long before the slice can end: some come sooner than they should."""

_MEASURE_NS: Final = 250_000_000
_RATES: Final = (0.02, 50.0)


class Deferral:
    """Find out how long the packets that come next may wait.

    Packets come several times per slice, and only the one that ends the slice makes anything new.
    To wake up for each of the others takes longer than to count its events, so they wait, and are
    taken together just before the slice can end. Slices end no later for it: data of a moment
    cannot come sooner after the newest data than the sensor's clock takes to reach that moment,
    and the time that it takes to count the packets is allowed for.

    Args:
        longest_ns: longest wait; 0: packets never wait.
    """

    def __init__(self, longest_ns: int = LONGEST_NS) -> None:
        self._longest_ns = longest_ns
        self.restart()

    def restart(self) -> None:
        """Begin anew with another stream."""
        self._since: tuple[int, int] | None = None
        self._rate: float | None = None
        self._work_ns = 0

    def hear(self, newest_ns: int, due_ns: int, took_ns: int) -> None:
        """Take in a packet that ended no slice.

        Args:
            newest_ns: sensor time of its newest event.
            due_ns: steady time at which it could be taken at best.
            took_ns: how long it took to count its events.
        """
        self._work_ns += took_ns
        self._measure_rate(newest_ns, due_ns)

    def find_ns(self, newest_ns: int, due_ns: int, end_ns: int, now_ns: int) -> int:
        """Return how long what comes next may wait; to be called when a slice has ended.

        Args:
            newest_ns: sensor time of the newest event of the packet that ended it.
            due_ns: steady time at which that packet could be taken at best.
            end_ns: sensor time at which the next slice ends.
            now_ns: steady time.
        """
        self._measure_rate(newest_ns, due_ns)
        work_ns, self._work_ns = self._work_ns, 0
        if self._rate is None:
            return 0
        until_ns = due_ns + round(self._rate * (end_ns - newest_ns)) - EARLY_NS - work_ns
        wait_ns = min(until_ns - now_ns, self._longest_ns)
        return wait_ns if wait_ns >= SHORTEST_NS else 0

    def _measure_rate(self, newest_ns: int, due_ns: int) -> None:
        """Measure how much steady time passes per sensor time: less where a bag is played fast."""
        if self._since is None:
            self._since = newest_ns, due_ns
        passed_ns = due_ns - self._since[1]
        if passed_ns < _MEASURE_NS:
            return
        rate = passed_ns / max(newest_ns - self._since[0], 1)
        self._rate = rate if _RATES[0] < rate < _RATES[1] else None
        self._since = newest_ns, due_ns
