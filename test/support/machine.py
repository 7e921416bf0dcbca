"""How busy the machine is with other things, for tests that measure time."""

import os
import threading
import time
from pathlib import Path

STALL_S = 0.3
"""A process that stands still for so long may miss a limit of 0.5 s."""


class Hindrance:
    """Measures how long the machine keeps this process waiting, by a thread that sleeps.

    A limit in seconds is one on an idle machine: a test adds what it was kept waiting.
    """

    _SLEEP_S = 0.01
    _JITTER_S = 0.02

    def __init__(self):
        self._waits = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True)
        self._thread.start()

    def seconds(self, since_s=0.0):
        """Return how long this process was kept waiting since a time of `time.monotonic`."""
        return sum(wait_s for at_s, wait_s in list(self._waits) if at_s >= since_s)

    def stalls(self):
        """Return how often this process was kept waiting for long."""
        return sum(wait_s > STALL_S for _, wait_s in list(self._waits))

    def close(self):
        self._ended.set()
        self._thread.join()

    def _measure(self):
        while True:
            before_s = time.monotonic()
            if self._ended.wait(self._SLEEP_S):
                return
            at_s = time.monotonic()
            late_s = at_s - before_s - self._SLEEP_S
            if late_s > self._JITTER_S:
                self._waits.append((at_s, late_s))


class OtherLoad:
    """Measures which share of the processors others took, this process and its children apart.

    What a hypervisor took from this machine counts, too. Children count once they were waited for.
    """

    def __init__(self):
        self._begin = _read_processors()

    def share(self):
        """Return the share since the beginning, 0 to 1."""
        total_s, busy_s, own_s = (
            now - then for now, then in zip(_read_processors(), self._begin, strict=True)
        )
        return min(max((busy_s - own_s) / max(total_s, 1e-9), 0.0), 1.0)


def _read_processors():
    """Return time of all processors, their busy time, and that of this process, in s."""
    line = Path('/proc/stat').read_text().partition('\n')[0]
    # user, nice, system, idle, iowait, irq, softirq, steal; guests are in user and nice.
    ticks = [int(word) for word in line.split()[1:9]]
    seconds = [tick / os.sysconf('SC_CLK_TCK') for tick in ticks]
    return sum(seconds), sum(seconds) - seconds[3] - seconds[4], sum(os.times()[:4])
