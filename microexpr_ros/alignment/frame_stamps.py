"""Whether frames are on the clock of the events, and by how much they are not."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

MOST_AHEAD_NS: Final = 250_000_000
"""Frames are not ahead of the events by more than this, except while packets are held back."""

MOST_BEHIND_NS: Final = 500_000_000
"""Frames are not behind by more than this: their exposure and transport take time."""

_FEWEST: Final = 10
_MOST_SPREAD_NS: Final = 50_000_000
_TRANSPORT_NS: Final = 20_000_000


class FrameStamps:
    """Compare the stamps of frames with the events, and refuse frames of another clock.

    When a frame comes, its stamp is about the time of the newest events. How far it is away is
    measured over the recent frames; the nearest of them counts, as frames and packets may both
    be held back. Frames that are further away than that are of another clock: pairing them with
    events would be wrong by as much.

    Args:
        offset_ns: known offset of the frames' stamps, which is taken off; None to measure it, if
            it is constant.

    Attributes:
        refused: frames so far that were left out.
        offset_ns: offset that is taken off the stamps now.
        is_measured: whether the offset was measured.
    """

    def __init__(self, offset_ns: int | None = 0) -> None:
        self.refused = 0
        self.offset_ns = offset_ns or 0
        self.is_measured = False
        self._may_measure = offset_ns is None
        self._recent: deque[int] = deque(maxlen=30)

    def place(self, stamp_ns: int, newest_ns: int) -> int | None:
        """Return the ROS time of a frame on the clock of the events; None if it is refused.

        Args:
            stamp_ns: the frame's stamp.
            newest_ns: ROS time of the newest events when the frame came.
        """
        self._recent.append(stamp_ns - newest_ns)
        away_ns = stamp_ns - newest_ns - self.offset_ns
        if not self.is_refusing and self._fits(away_ns):
            return stamp_ns - self.offset_ns
        if self._may_measure and self.is_constant:
            # Of frames on one clock, the ones that come soonest are the least behind.
            self.offset_ns, self.is_measured = max(self._recent), True
            return stamp_ns - self.offset_ns
        self.refused += 1
        return None

    @property
    def is_refusing(self) -> bool:
        """Whether none of the recent frames is on the clock of the events."""
        return bool(self._recent) and not self._fits(self.distance_ns)

    @property
    def distance_ns(self) -> int:
        """How far frames are ahead of the events, 0 before the first; negative if behind."""
        return min((away - self.offset_ns for away in self._recent), key=abs, default=0)

    @property
    def is_constant(self) -> bool:
        """Whether one offset explains the stamps of the recent frames."""
        return len(self._recent) >= _FEWEST and np.ptp(self._recent) < _MOST_SPREAD_NS

    @property
    def sigma_ns(self) -> float:
        """One sigma of what the offset adds to the error: only a measured offset does."""
        if not self.is_measured:
            return 0.0
        # The shortest time from exposure to arrival is part of the offset.
        return float(
            np.hypot(np.std([away - self.offset_ns for away in self._recent]), _TRANSPORT_NS)
        )

    @staticmethod
    def _fits(away_ns: int) -> bool:
        return -MOST_BEHIND_NS <= away_ns <= MOST_AHEAD_NS
