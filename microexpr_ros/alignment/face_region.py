"""Where the face is, read from the events alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.region import Region

CELLS: Final = 64
"""Cells of the activity map along the longer side of the sensor."""

HEAD_ASPECT: Final = 1.25
"""Height of a head, crown to chin, over its width, ear to ear."""


@dataclass(frozen=True, slots=True)
class TrackerOptions:
    """How the face region follows the activity.

    Attributes:
        min_cells: active cells that show a head; fewer (a mouth, a lid, noise) move nothing.
        memory_s: time constant of the activity map, counted only while a head is seen.
        smoothing_s: time constant of the published region.
        dead_band: the region moves in steps of at least this share of its side, so that the
            grid under the networks rests while the head does.
        lost_after_s: silence after which the face is given up.
    """

    min_cells: int = 60
    memory_s: float = 0.5
    smoothing_s: float = 0.5
    dead_band: float = 0.08
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
        self.region: Region | None = None

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
        self.region = None

    def update(self, counts: NDArray[np.uint8], duration_s: float) -> Region | None:
        """Take in one slice of the whole sensor.

        Args:
            counts: uint8 [2, rows, columns] with the rows and columns of `shape`.
            duration_s: length of the slice.

        Returns:
            The face region, a square that may reach over the sensor's edge; None while no head
            has been seen.
        """
        self._window += counts.sum(axis=0, dtype=np.int64)
        self._window_s += duration_s
        if self._window_s < 0.05:
            return self.region
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
        return self.region

    def _follow(self, active: NDArray[np.bool_], elapsed_s: float) -> None:
        options = self._options
        keep = np.exp(-elapsed_s / options.memory_s)
        self._activity = keep * self._activity + (1 - keep) * active
        box = self._outline()
        if box is None:
            return
        if self._box is None:
            self._box = box
        else:
            keep = np.exp(-elapsed_s / options.smoothing_s)
            self._box = keep * self._box + (1 - keep) * box
        centre_x, centre_y, side = self._box
        region = self.region
        if region is not None:
            moved = max(
                abs(centre_x - (region.x + region.width / 2)),
                abs(centre_y - (region.y + region.height / 2)),
                abs(side - region.width),
            )
            if moved < options.dead_band * region.width:
                return
        pixels = max(round(side), 16)
        self.region = Region(
            round(centre_x - pixels / 2), round(centre_y - pixels / 2), pixels, pixels
        )

    def _outline(self) -> NDArray[np.float64] | None:
        """Measure the head: centre x, centre y and side of its square, in pixels."""
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
        centre = np.array([(left + right + 1) / 2, crown + rows / 2, rows])
        return centre * self._cell
