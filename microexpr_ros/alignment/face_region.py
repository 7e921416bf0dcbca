"""Where the face is, read from the events alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.faces import Face
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import PLACES

CELLS: Final = 64
"""Cells of the activity map along the longer side of the sensor."""

HEAD_ASPECT: Final = 1.25
"""Height of a head, crown to chin, over its width, ear to ear."""

SIDE: Final = 0.9
"""Side of the aligned region over the height of the head: the eyes are half way to the chin."""

CENTRE: Final = 0.64
"""From the crown to the centre of the aligned region, as a share of the height of the head."""

SIGMA: Final = 0.1
"""One sigma of landmarks that are taken from the outline, in distances between the eyes."""


@dataclass(frozen=True, slots=True)
class TrackerOptions:
    """How the face region follows the activity.

    Attributes:
        min_cells: active cells that show a head; fewer (a mouth, a lid, noise) move nothing.
        memory_s: time constant of the activity map, counted only while a head is seen.
        smoothing_s: time constant of the measured head.
        lost_after_s: silence after which the face is given up.
    """

    min_cells: int = 60
    memory_s: float = 0.5
    smoothing_s: float = 0.5
    lost_after_s: float = 10.0


class FaceRegionTracker:
    """Follow the head that the events outline.

    A head that moves, even a little, makes events along its outline. The crown is the topmost
    activity, the ears bound it sideways, and HEAD_ASPECT gives the chin, which the events of
    neck and shoulders would hide. Small movements inside the face (a blink, a smile) touch
    too few cells to move the region.

    Limits: one head, upright, in front of a background that is mostly still.
    """

    def __init__(self, height: int, width: int, options: TrackerOptions | None = None) -> None:
        self._options = options or TrackerOptions()
        self._cell = max(height, width) / CELLS
        rows, columns = (round(side / self._cell) for side in (height, width))
        self._window = np.zeros((rows, columns), np.int64)
        self._window_s = 0.0
        self._activity = np.zeros((rows, columns))
        self._box: NDArray[np.float64] | None = None
        self._silent_s = 0.0
        self._number = -1

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the activity map."""
        rows, columns = self._window.shape
        return rows, columns

    def reset(self) -> None:
        """Forget the face."""
        self._window[:] = 0
        self._window_s = 0.0
        self._activity[:] = 0
        self._box = None
        self._silent_s = 0.0

    def update(self, counts: NDArray[np.uint8], duration_s: float) -> Sequence[Face]:
        """Take in one slice of the whole sensor, as `FaceTracker.update`."""
        self._window += counts.sum(axis=0, dtype=np.int64)
        self._window_s += duration_s
        if self._window_s < 0.05:
            return self._faces()
        # A cell is active when it has more events than noise makes. Most cells see none of the
        # head, so the lower four fifths of them measure the noise.
        noise = float(np.sort(self._window, axis=None)[: self._window.size * 4 // 5].mean())
        active = self._window > max(2.0, 1 + noise + 4 * np.sqrt(noise))
        if active.sum() >= self._options.min_cells:
            self._follow(active, self._window_s)
            self._silent_s = 0.0
        else:
            self._silent_s += self._window_s
            if not active.any() and self._silent_s > self._options.lost_after_s:
                self.reset()
        self._window[:] = 0
        self._window_s = 0.0
        return self._faces()

    def _faces(self) -> Sequence[Face]:
        if self._box is None:
            return ()
        x, crown, head = self._box
        region = AlignedRegion(x, crown + CENTRE * head, SIDE * head)
        return (Face(self._number, region.to_pixels(PLACES).astype(np.float32), SIGMA),)

    def _follow(self, active: NDArray[np.bool_], elapsed_s: float) -> None:
        options = self._options
        keep = np.exp(-elapsed_s / options.memory_s)
        self._activity = keep * self._activity + (1 - keep) * active
        box = self._outline()
        if box is None:
            return
        if self._box is None:
            self._box = box
            self._number += 1
        else:
            keep = np.exp(-elapsed_s / options.smoothing_s)
            self._box = keep * self._box + (1 - keep) * box

    def _outline(self) -> NDArray[np.float64] | None:
        """Measure the head: column of its middle, row of its crown, and its height, px."""
        # The largest patch of touching active cells is the head (and the body below it);
        # noise is spread thinly and stays apart.
        seen = (self._activity > 0.15 * self._activity.max()).astype(np.uint8)
        _, label, stats, _ = cv2.connectedComponentsWithStats(seen, connectivity=8)
        if len(stats) < 2:
            return None
        largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        weight = np.where(label == largest, self._activity, 0.0)
        per_row = weight.sum(axis=1)
        crown = int(np.argmax(np.cumsum(per_row) > 0.02 * per_row.sum()))
        # The head's height bounds the rows in which its width is measured, and its width gives
        # the height: start from all rows and iterate.
        rows = weight.shape[0] - crown
        for _ in range(4):
            per_column = weight[crown : crown + max(round(rows), 3)].sum(axis=0)
            share = np.cumsum(per_column) / per_column.sum()
            left, right = (float(np.searchsorted(share, q)) for q in (0.04, 0.96))
            rows = (right - left + 1) * HEAD_ASPECT
        if rows < 3:
            return None
        return np.array([(left + right + 1) / 2, crown, rows]) * self._cell
