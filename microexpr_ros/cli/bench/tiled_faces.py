"""A recording with four faces: that of one face, four times side by side at half the size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files import Recording

TILES: Final = 4
"""Faces in the recording: two columns and two rows."""


class TiledFaces(Recording):
    """Every event of a recording in each of four tiles, whose pixels are two by two of before.

    However many of the faces are followed, the events are the same, so that the cost of a face
    is measured alone.

    Args:
        recording: of one face.
        seconds: how much of it to repeat.
    """

    def __init__(self, recording: Recording, seconds: float) -> None:
        super().__init__(
            recording.path, f'four times {recording.kind}', recording.height, recording.width
        )
        self._recording, self._length_ns = recording, round(seconds * 1e9)

    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        columns, rows = self.width // 2, self.height // 2
        first_ns: int | None = None
        for events, _ in self._recording.chunks():
            self.fraction = self._recording.fraction
            if not len(events):
                continue
            first_ns = int(events.t[0]) if first_ns is None else first_ns
            end = int(np.searchsorted(events.t, first_ns + self._length_ns))
            yield _repeat(events[:end], columns, rows), Triggers.empty()
            if end < len(events):
                return


def _repeat(events: Events, columns: int, rows: int) -> Events:
    """Return each event once in each tile.

    Args:
        events: of the whole sensor.
        columns: of a tile.
        rows: of a tile.
    """
    across, down = np.meshgrid(np.arange(2) * columns, np.arange(2) * rows)
    # The last column or row of an odd number of pixels has no place in a tile.
    x = np.minimum(events.x // 2, columns - 1)[:, None] + across.ravel()
    y = np.minimum(events.y // 2, rows - 1)[:, None] + down.ravel()
    return Events(
        np.repeat(events.t, TILES),
        x.astype(np.uint16).ravel(),
        y.astype(np.uint16).ravel(),
        np.repeat(events.p, TILES),
    )
