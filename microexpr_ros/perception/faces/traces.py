"""What the events of the whole sensor leave behind: short traces, and a memory."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.kernel import end_faint, kernel
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.events.sensor_grid import SENSOR_CELLS, pixels_per_cell, sensor_grid
from microexpr_ros.perception.faces.flicker import FlickerFilter

CHANNELS: Final = 6
"""Two traces and the memory, OFF and ON of each."""

CROP_MARGIN: Final = 1.4
"""Side of a crop over that of the aligned region of its face."""

POOLED: Final = SENSOR_CELLS // 2
"""Rows and columns of the whole sensor as the detector sees it, padded to a square."""

_BLOCK: Final = 4
"""Cells along a side of a block, in which activity is measured."""

_TRACE_S: Final = (0.04, 0.2)
_MEMORY_S: Final = 20.0
_FORGET: Final = 0.7
_NOISE_S: Final = 0.3
_MOST_NOISE_HZ: Final = 2.0
_NOISE_QUANTILE: Final = 0.25


class EventTraces:
    """Traces of the events on the sensor's grid.

    The memory does not fade with time but with activity around it: what is new there replaces
    what was, so that a face that rests is remembered as it last moved. Activity below twice the
    noise leaves the memory as it is. Events of lamps that flicker leave nothing.

    Args:
        height: sensor rows.
        width: sensor columns.
        pixels: pixels that one of the sensor's stands for; 1 for a real sensor.

    Attributes:
        shape: rows and columns of the grid.
        maps: float32 [rows, columns, CHANNELS], events per pixel.
        activity: float32 [rows / 4, columns / 4], events per pixel of the last slice that are
            not noise.
    """

    def __init__(self, height: int, width: int, pixels: float = 1.0) -> None:
        self.shape = sensor_grid(height, width)
        self._flicker = FlickerFilter(self.shape)
        # On a small sensor there are cells without a pixel: nothing is counted there.
        per_cell = np.maximum(pixels_per_cell(height, width, self.shape), 1)
        self._share = (1 / (pixels * per_cell)).astype(np.float32)
        blocks = tuple(-(-cells // _BLOCK) for cells in self.shape)
        self.maps = np.zeros((*self.shape, CHANNELS), np.float32)
        self.activity = np.zeros(blocks, np.float32)
        self._mean = np.zeros(blocks, np.float32)
        self._gate = np.zeros(blocks, np.float32)
        self._noise = 0.0
        self._slices = 0

    def reset(self) -> None:
        """Forget all events."""
        self._flicker.reset()
        for array in (self.maps, self.activity, self._mean):
            array[:] = 0
        self._noise = 0.0
        self._slices = 0

    def update(self, counts: NDArray[np.uint8], duration_s: float) -> None:
        """Take in one slice, uint8 [2, rows, columns], OFF then ON."""
        if self._slices % 10 == 0:
            level = float(np.quantile(self._mean, _NOISE_QUANTILE))
            self._noise = min(level, _MOST_NOISE_HZ)
        self._slices += 1
        flickered = self._flicker.flickers
        counts = self._flicker.remove(counts, duration_s)
        if self._flicker.flickers and not flickered:
            # What came until now was flicker.
            self.maps[:] = 0
        keep = np.exp(-duration_s / np.array([*_TRACE_S, _MEMORY_S, _NOISE_S])).astype(np.float32)
        _update(
            counts,
            self._share,
            keep,
            np.float32(self._noise * duration_s),
            np.float32(1 / duration_s),
            self.maps,
            self.activity,
            self._mean,
            self._gate,
        )

    def crop(self, region: AlignedRegion, size: int) -> NDArray[np.float32]:
        """Return the surroundings of a face, float32 [CHANNELS, size, size], 0 to 1.

        Args:
            region: of the face, in cells; the crop is CROP_MARGIN times as large.
            size: rows and columns.
        """
        out = np.empty((CHANNELS, size, size), np.float32)
        self._sample(region, region.side * CROP_MARGIN, out)
        return out

    def pooled(self) -> NDArray[np.float32]:
        """Return the whole sensor, float32 [CHANNELS, POOLED, POOLED], 0 to 1."""
        out = np.zeros((CHANNELS, POOLED, POOLED), np.float32)
        _pool(self.maps, out)
        return out

    def pooled_view(self, view: AlignedRegion) -> NDArray[np.float32]:
        """Return a view of the sensor in the form of `pooled`, to learn from.

        Args:
            view: in cells; the square of SENSOR_CELLS from the first cell is the whole sensor.
        """
        out = np.empty((CHANNELS, POOLED, POOLED), np.float32)
        self._sample(view, view.side, out)
        return out

    def _sample(self, region: AlignedRegion, side: float, out: NDArray[np.float32]) -> None:
        step = side / out.shape[1]
        across, down = step * np.cos(region.roll), step * np.sin(region.roll)
        _sample(self.maps, region.x, region.y, across, down, out)


@kernel
def _update(
    counts: NDArray[np.uint8],
    share: NDArray[np.float32],
    keep: NDArray[np.float32],
    noise: np.float32,
    per_second: np.float32,
    maps: NDArray[np.float32],
    activity: NDArray[np.float32],
    mean: NDArray[np.float32],
    gate: NDArray[np.float32],
) -> None:
    _, rows, columns = counts.shape
    block_rows, block_columns = activity.shape
    summed = np.zeros(4 * block_columns, np.float32)
    for i in range(block_rows):
        # Row by row, so that the compiler takes many cells at once.
        summed[:] = 0
        for r in range(4 * i, min(4 * i + 4, rows)):
            for c in range(columns):
                events = np.uint16(counts[0, r, c]) + np.uint16(counts[1, r, c])
                summed[c] += np.float32(events) * share[r, c]
        for j in range(block_columns):
            activity[i, j] = summed[4 * j : 4 * j + 4].sum() * np.float32(0.0625)
    # The memory is kept by this factor: less where there is more activity above the noise.
    one = np.float32(1)
    for i in range(block_rows):
        for j in range(block_columns):
            now = mean[i, j] + (one - keep[3]) * (activity[i, j] * per_second - mean[i, j])
            mean[i, j] = end_faint(now)
            total, weight = np.float32(0), np.float32(0)
            for u in range(max(i - 1, 0), min(i + 2, block_rows)):
                for v in range(max(j - 1, 0), min(j + 2, block_columns)):
                    near = np.float32(4) if u == i and v == j else one
                    total += near * activity[u, v]
                    weight += near
            around = total / weight
            gate[i, j] = max(around - 2 * noise, np.float32(0))
    # The factors of a row of cells, side by side as the maps are, so that they can be multiplied
    # many at once; cells with events are few.
    factors = np.empty(columns * 6, np.float32)
    taken = np.empty(block_columns, np.float32)
    flat = maps.reshape(rows, columns * 6)
    for i in range(block_rows):
        for j in range(block_columns):
            above, remembered = gate[i, j], keep[2]
            taken[j] = 0
            if above > 0:
                remembered *= np.exp(-np.float32(_FORGET) * above)
                taken[j] = above / (above + 2 * noise)
            for c in range(4 * j, min(4 * j + 4, columns)):
                factors[6 * c] = factors[6 * c + 1] = keep[0]
                factors[6 * c + 2] = factors[6 * c + 3] = keep[1]
                factors[6 * c + 4] = factors[6 * c + 5] = remembered
        for r in range(4 * i, min(4 * i + 4, rows)):
            row = flat[r]
            for n in range(columns * 6):
                row[n] = end_faint(row[n] * factors[n])
            for p in range(2):
                seen = counts[p, r]
                for c in range(columns):
                    if seen[c]:
                        x = np.float32(seen[c]) * share[r, c]
                        maps[r, c, p] += x
                        maps[r, c, 2 + p] += x
                        maps[r, c, 4 + p] += taken[c // 4] * x
    for i in range(block_rows):
        for j in range(block_columns):
            activity[i, j] = max(activity[i, j] - 2 * noise, np.float32(0))


@kernel
def _sample(
    maps: NDArray[np.float32],
    x: float,
    y: float,
    cosine: float,
    sine: float,
    out: NDArray[np.float32],
) -> None:
    rows, columns, _ = maps.shape
    size = out.shape[1]
    # A cell of the crop that is larger than one of the grid is sampled at several places.
    parts = 2 if cosine * cosine + sine * sine > 1.2 else 1
    # Their number is a constant here, so that the compiler takes the channels side by side.
    value = np.empty(CHANNELS, np.float32)
    for i in range(size):
        for j in range(size):
            for k in range(CHANNELS):
                value[k] = 0
            for s in range(parts * parts):
                u = j + (s % parts + 0.5) / parts - 0.5 * size
                v = i + (s // parts + 0.5) / parts - 0.5 * size
                column = x + u * cosine - v * sine - 0.5
                row = y + u * sine + v * cosine - 0.5
                c0, r0 = int(np.floor(column)), int(np.floor(row))
                fx, fy = np.float32(column - c0), np.float32(row - r0)
                for b in range(2):
                    r = r0 + b
                    if r < 0 or r >= rows:
                        continue
                    wy = fy if b else np.float32(1) - fy
                    for a in range(2):
                        c = c0 + a
                        if c < 0 or c >= columns:
                            continue
                        w = wy * (fx if a else np.float32(1) - fx)
                        for k in range(CHANNELS):
                            value[k] += w * maps[r, c, k]
            for k in range(CHANNELS):
                mean = value[k] / np.float32(parts * parts)
                out[k, i, j] = mean / (mean + np.float32(1))


@kernel
def _pool(maps: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    rows, columns, channels = maps.shape
    quarter = np.float32(0.25)
    for r in range(rows):
        for c in range(columns):
            for k in range(channels):
                out[k, r // 2, c // 2] += quarter * maps[r, c, k]
    for k in range(channels):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                out[k, i, j] /= out[k, i, j] + np.float32(1)
