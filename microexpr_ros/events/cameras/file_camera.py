"""A recording that plays as a camera."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from typing import Final

import numpy as np

from microexpr_ros.events.cameras.camera import Batch, Camera
from microexpr_ros.events.files import Recording

_ROUND_GAP_NS: Final = 1_000_000


class FileCamera(Camera):
    """Plays a recording at its own pace; its clock runs on when the recording begins again.

    Args:
        recording: what to play.
        rate: speed; 1 is that of the recording.
        loop: whether to begin again at the end.
        interval_ns: sensor time of a batch; batches end at its multiples.
    """

    def __init__(self, recording: Recording, rate: float, loop: bool, interval_ns: int) -> None:
        self.model = recording.kind
        self.serial = str(recording.path)
        self.height, self.width = recording.height, recording.width
        self._recording = recording
        self._rate, self._loop = rate, loop
        self._dropped = recording.dropped
        self._pieces = self._rounds(interval_ns)
        self._next = next(self._pieces, None)
        self._first_ns = 0 if self._next is None else _first_ns(self._next)
        self._began_ns = time.monotonic_ns()
        self.ended = self._next is None

    def read(self, timeout_s: float) -> Batch:
        """Return the next piece when the time of its newest data has come."""
        if self._next is None:
            return Batch(arrival_ns=time.time_ns())
        newest_ns = self._next.newest_ns
        assert newest_ns is not None, 'a piece has data'
        passed_ns = (newest_ns - self._first_ns) / self._rate
        ahead_s = (passed_ns - (time.monotonic_ns() - self._began_ns)) / 1e9
        time.sleep(max(min(ahead_s, timeout_s), 0.0))
        if ahead_s > timeout_s:
            return Batch(arrival_ns=time.time_ns())
        piece = self._next
        self._next = next(self._pieces, None)
        self.ended = self._next is None
        dropped, self._dropped = self._dropped, self._recording.dropped
        # A recording that begins again may count from 0 again.
        lost = self._dropped - (dropped if dropped <= self._dropped else 0)
        late_ns = time.monotonic_ns() - self._began_ns - round(passed_ns)
        # When it was due: how late this thread wakes up does not move the stamps to and fro.
        return replace(
            piece,
            arrival_ns=time.time_ns() - late_ns,
            lost=lost,
            lag_ns=max(late_ns, 0),
            rate=self._rate,
        )

    def close(self) -> None:
        """Close the file."""
        self._next = None
        self._pieces.close()

    def _rounds(self, interval_ns: int) -> Generator[Batch, None, None]:
        offset_ns = 0
        while True:
            first_ns = last_ns = None
            for piece in self._cut(interval_ns, offset_ns):
                first_ns = _first_ns(piece) if first_ns is None else first_ns
                last_ns = piece.newest_ns
                yield piece
            if not self._loop or first_ns is None or last_ns is None:
                return
            offset_ns += last_ns - first_ns + _ROUND_GAP_NS

    def _cut(self, interval_ns: int, offset_ns: int) -> Generator[Batch, None, None]:
        frames = self._recording.frames()
        frame = next(frames, None)
        counted = 0
        for events, triggers in self._recording.chunks():
            i = j = 0
            while i < len(events) or j < len(triggers):
                firsts = [*events.t[i : i + 1].tolist(), *triggers.t[j : j + 1].tolist()]
                firsts += [] if frame is None else [frame.t]
                end_ns = (min(firsts) // interval_ns + 1) * interval_ns
                next_i = int(np.searchsorted(events.t, end_ns))
                next_j = int(np.searchsorted(triggers.t, end_ns))
                current = []
                while frame is not None and frame.t < end_ns:
                    current.append(replace(frame, t=frame.t + offset_ns))
                    frame = next(frames, None)
                yield Batch(
                    events[i:next_i].shifted(offset_ns),
                    triggers[j:next_j].shifted(offset_ns),
                    tuple(current),
                    held=self._recording.held - counted,
                )
                counted = self._recording.held
                i, j = next_i, next_j
        while frame is not None:
            yield Batch(frames=(replace(frame, t=frame.t + offset_ns),))
            frame = next(frames, None)


def _first_ns(piece: Batch) -> int:
    return min(
        (
            *(int(part.t[0]) for part in (piece.events, piece.triggers) if len(part)),
            *(frame.t for frame in piece.frames),
        )
    )
