"""The geometry of two cameras, from anything that moves in front of both.

Whatever moves makes light change. How much it changes from one frame to the next, the frames show
at each of their pixels and the events at each of theirs: two pictures of one change. The geometry
is the one by which these pictures agree best, over many moments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.camera_geometry import PlaneGeometry
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events

CELLS: Final = 320
"""Cells along the longer side of a picture of change."""

FEWEST: Final = 8
"""Fewest pictures of change that a geometry is measured from."""

LEAST_CORRELATION: Final = 0.3
"""Correlation of frames with events below which they do not show the same."""

SCALES: Final = np.geomspace(0.4, 2.5, 28)
"""Widths of the frame over that of the event sensor, in what they show, that are tried."""

MOST: Final = 60
"""Pictures of change that are compared at most."""

SPAN_NS: Final = 80_000_000
"""Time from one frame to the other of a change where little changes; else it is one period."""

ENOUGH: Final = 0.1
"""Much changes from this standard deviation of the logarithm of light."""

LONGEST_NS: Final = 200_000_000
"""Frames that are further apart are not compared."""

_COARSE: Final = 4
_COVERED: Final = 0.4
_TILES: Final = (0.8, 0.8, 0.53, 0.53, 0.4, 0.4)
"""Sides of tiles as shares of the shorter side of the sensor, from coarse to fine."""
_SMALLEST_TILE: Final = 32
_BLUR: Final = 1.0
_WEAK: Final = 0.02
_WIDE: Final = 0.5
_DARK: Final = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """How the light changed from one frame to the next.

    Attributes:
        events: float32 [rows, columns], ON minus OFF events, in cells of the event sensor.
        frame: float32 [rows, columns], change of the logarithm of light, in cells of the frame.
        times_ns: of both frames, as they were given to the collector.
    """

    events: NDArray[np.float32]
    frame: NDArray[np.float32]
    times_ns: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredGeometry:
    """A geometry, and how well it fits.

    Attributes:
        geometry: of the cameras.
        kind: what was fitted: homography, affine or similarity, as the recording allows.
        correlation: of the changes that frames and events show, 1 at best.
        points: float64 [N, 2], places on the event sensor that were compared, px.
        residuals: float64 [N, 2], what remains of the shift between frames and events there, px
            of the frame.
        changes: pictures of change that were compared.
    """

    geometry: PlaneGeometry
    kind: str
    correlation: float
    points: NDArray[np.float64]
    residuals: NDArray[np.float64]
    changes: int

    @property
    def residual_px(self) -> float:
        """Root mean square of the residuals, px of the frame."""
        return root_mean_square(self.residuals)


def root_mean_square(residuals: NDArray[np.float64]) -> float:
    """Return the root mean square of the lengths of vectors, float64 [N, 2]."""
    return math.sqrt(float((residuals**2).sum(axis=1).mean()))


def cells_of(rows: int, columns: int) -> tuple[int, int]:
    """Return rows and columns of the cells of a picture."""
    scale = min(CELLS / max(rows, columns), 1.0)
    return max(round(rows * scale), 1), max(round(columns * scale), 1)


class ChangeCollector:
    """Collect pictures of change, first from the frames, then from the events.

    Of all times from one frame to the next, those in which most changes are kept, from all over
    the recording.
    """

    def __init__(self) -> None:
        self._times_ns: list[int] = []
        self._frames: list[NDArray[np.uint8]] = []
        self._spans: list[tuple[int, int]] = []
        self._seen: list[NDArray[np.float32]] = []
        self.frame: tuple[int, int] | None = None

    def add_frame(self, time_ns: int, grey: NDArray[np.uint8]) -> None:
        """Take in a frame; one of another size, or that is not newer, is left out.

        Args:
            time_ns: on the clock of the events.
            grey: uint8 [rows, columns], sRGB.
        """
        size = grey.shape[0], grey.shape[1]
        self.frame = self.frame or size
        if size == self.frame and (not self._times_ns or time_ns > self._times_ns[-1]):
            rows, columns = cells_of(*size)
            small = cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_AREA)
            self._times_ns.append(time_ns)
            self._frames.append(np.asarray(small, np.uint8))

    def choose(self, sensor: tuple[int, int]) -> None:
        """Choose the moments to compare, when all frames are taken in.

        Args:
            sensor: rows and columns of the event sensor.
        """
        self._sensor = sensor
        found = [self._find_span(first) for first in range(len(self._frames))]
        spans = [span for span in found if span is not None]
        energy = np.array([self._energy(span) for span in spans])
        parts = np.array_split(np.arange(len(spans)), min(MOST, max(len(spans), 1)))
        strongest = [int(part[energy[part].argmax()]) for part in parts if len(part)]
        self._spans = [spans[at] for at in strongest if energy[at] > 0]
        self._seen = [np.zeros(cells_of(*sensor), np.float32) for _ in self._spans]

    def add_events(self, times_ns: NDArray[np.int64], events: Events) -> None:
        """Take in events, with their times on the clock of the frames, in order."""
        for (first, last), seen in zip(self._spans, self._seen, strict=True):
            begin, end = np.searchsorted(times_ns, (self._times_ns[first], self._times_ns[last]))
            if begin < end:
                rows, columns = seen.shape
                row = events.y[begin:end].astype(np.int64) * rows // self._sensor[0]
                column = events.x[begin:end].astype(np.int64) * columns // self._sensor[1]
                signs = 2.0 * events.p[begin:end] - 1
                sums = np.bincount(row * columns + column, signs, seen.size)
                seen += sums.reshape(seen.shape).astype(np.float32)

    def changes(self) -> list[Change]:
        """Return the pictures of change that show events."""
        return [
            Change(seen, self._change(span), self._times_of(span))
            for span, seen in zip(self._spans, self._seen, strict=True)
            if seen.any()
        ]

    def times_ns(self) -> set[int]:
        """Return the times of the frames that were chosen."""
        return {time_ns for span in self._spans for time_ns in self._times_of(span)}

    def _times_of(self, span: tuple[int, int]) -> tuple[int, int]:
        first, last = span
        return self._times_ns[first], self._times_ns[last]

    def _find_span(self, first: int) -> tuple[int, int] | None:
        """Return a frame and the next one by which enough has changed."""
        begin_ns = self._times_ns[first]
        for last in range(first + 1, len(self._times_ns)):
            passed_ns = self._times_ns[last] - begin_ns
            if passed_ns > LONGEST_NS:
                return None
            if passed_ns >= SPAN_NS or self._energy((first, last)) > ENOUGH:
                return first, last
        return None

    def _energy(self, span: tuple[int, int]) -> float:
        return float(self._change(span).std())

    def _change(self, span: tuple[int, int]) -> NDArray[np.float32]:
        first, last = span
        change = _log_light(self._frames[last]) - _log_light(self._frames[first])
        return np.asarray(change, np.float32)


def _log_light(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    levels = np.log((np.arange(256) / 255) ** 2.2 + _DARK).astype(np.float32)
    return np.asarray(levels[grey], np.float32)


def measure_geometry(
    changes: Sequence[Change], sensor: tuple[int, int], frame: tuple[int, int]
) -> MeasuredGeometry:
    """Return which pixels of two cameras show the same.

    The cameras must be upright against each other within some 10 degrees.

    Args:
        changes: at moments at which much moves, all over the picture if possible.
        sensor: rows and columns of the event sensor.
        frame: rows and columns of the frames.

    Raises:
        MicroexprError: too little moves, or not the same in both.
    """
    if len(changes) < FEWEST:
        raise MicroexprError(
            f'only {len(changes)} frames with events around them change, {FEWEST} are needed: '
            'move a checkerboard, or your head, in front of both cameras for half a minute'
        )
    events = np.stack([level(change.events) for change in changes])
    frames = np.stack([level(change.frame) for change in changes])
    matrix = _search(events, frames)
    kind, correlation = 'similarity', 0.0
    points, shifts = np.zeros((0, 2)), np.zeros((0, 2))
    tiles = [max(round(share * min(events.shape[1:])), _SMALLEST_TILE) for share in _TILES]
    for tile in tiles:
        points, shifts, correlation = _compare(events, warp(frames, matrix, events.shape), tile)
        if len(points) < 4 or correlation < LEAST_CORRELATION:
            raise MicroexprError(
                f'events and frames do not show the same (correlation {correlation:.2f} in '
                f'{len(points)} places, {LEAST_CORRELATION} in 4 are needed): move a '
                'checkerboard, or your head, where both cameras see it, with the light steady'
            )
        kind, matrix = _fit(points, _apply(matrix, points + shifts), events.shape[1:])
    points, shifts, correlation = _compare(events, warp(frames, matrix, events.shape), tiles[-1])
    of_sensor = cells_to_pixels(sensor)
    of_frame = cells_to_pixels(frame)
    homography = of_frame @ matrix @ np.linalg.inv(of_sensor)
    residuals = _apply(of_frame @ matrix, points + shifts) - _apply(of_frame @ matrix, points)
    geometry = PlaneGeometry(homography / homography[2, 2], sensor, frame)
    return MeasuredGeometry(
        geometry, kind, correlation, _apply(of_sensor, points), residuals, len(changes)
    )


def level(change: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a change without its outliers: noise, hot pixels, and edges of high contrast."""
    change = np.asarray(cv2.GaussianBlur(change, (0, 0), _BLUR), np.float32)
    spread = float(np.sqrt((change**2).mean())) or 1.0
    return np.asarray(np.tanh(change / (2 * spread)), np.float32)


def cells_to_pixels(size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the matrix from cells to pixels of a camera with so many rows and columns."""
    rows, columns = cells_of(*size)
    return np.diag([size[1] / columns, size[0] / rows, 1.0])


def _search(events: NDArray[np.float32], frames: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the matrix from cells of the sensor to those of the frame, roughly."""
    small = np.stack([_shrink(change, 1 / _COARSE) for change in events])
    best, found = -1.0, np.eye(3)
    for scale in SCALES:
        ratio = float(scale) * events.shape[2] / frames.shape[2] / _COARSE
        fitted = np.stack([_shrink(change, ratio) for change in frames])
        correlation, column, row = find_shift(small, fitted)
        if correlation > best:
            best = correlation
            # Cell c of the sensor is cell c / _COARSE - shift of the frame at this scale.
            x, y = (
                side / small_side
                for side, small_side in zip(frames.shape[:0:-1], fitted.shape[:0:-1], strict=True)
            )
            found = np.array(
                [[x / _COARSE, 0, -x * column], [0, y / _COARSE, -y * row], [0, 0, 1]]
            )
    return found


def _shrink(change: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    rows, columns = (max(round(side * scale), 1) for side in change.shape)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(change, (columns, rows), interpolation=way), np.float32)


def find_shift(events: NDArray[np.float32], frames: NDArray[np.float32]) -> tuple[float, int, int]:
    """Return the best correlation, and by how many columns and rows frames are shifted for it."""
    size = [one + other for one, other in zip(events.shape[1:], frames.shape[1:], strict=True)]

    def transform(values: NDArray[np.float32]) -> NDArray[np.complex128]:
        return np.fft.rfft2(values, size)

    def correlate(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
        product = (transform(one) * transform(other).conj()).sum(axis=0)
        return np.fft.irfft2(product, size)

    power, other_power = (events**2).sum(axis=0)[None], (frames**2).sum(axis=0)[None]
    seen = correlate(power, np.ones_like(other_power))
    other_seen = correlate(np.ones_like(power), other_power)
    covered = (seen > _COVERED * power.sum()) & (other_seen > _COVERED * other_power.sum())
    product = np.sqrt(np.maximum(seen * other_seen, 1e-12))
    correlation = np.where(covered, correlate(events, frames) / product, -1.0)
    peak = np.unravel_index(int(correlation.argmax()), correlation.shape)
    # Shifts to the left and up are behind those to the right and down.
    down, right = (
        int(at) - (side if at >= own else 0)
        for at, side, own in zip(peak, size, events.shape[1:], strict=True)
    )
    return float(correlation.max()), right, down


def warp(
    frames: NDArray[np.float32], matrix: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return changes of frames as the event sensor would see them."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    centred = np.linalg.inv(half) @ matrix @ half
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = shape[2], shape[1]
    return np.stack([cv2.warpPerspective(one, centred, size, flags=flags) for one in frames])


def _compare(
    events: NDArray[np.float32], frames: NDArray[np.float32], tile: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return where tiles with changes are, by how much frames are shifted there, and correlation.

    Args:
        events: float32 [K, rows, columns].
        frames: the same of the frames, as the event sensor would see them.
        tile: side of a tile, cells.
    """
    rows, columns = events.shape[1:]
    tile = min(tile, rows, columns)
    window = np.outer(np.hanning(tile + 2)[1:-1], np.hanning(tile + 2)[1:-1]).astype(np.float32)
    columns_in, rows_in = np.meshgrid(np.arange(tile) + 0.5, np.arange(tile) + 0.5)
    found = []
    for top in _starts(rows, tile):
        for left in _starts(columns, tile):
            part = np.s_[:, top : top + tile, left : left + tile]
            one, other = events[part] * window, frames[part] * window
            power = (one**2).sum(axis=0)
            energy = float(power.sum()), float((other**2).sum())
            if min(energy) > 0:
                correlation, shift = _find_peak(one, other, math.sqrt(energy[0] * energy[1]))
                centre = [float((power * at).sum()) / energy[0] for at in (columns_in, rows_in)]
                found.append((left + centre[0], top + centre[1], *shift, correlation, min(energy)))
    if not found:
        return np.zeros((0, 2)), np.zeros((0, 2)), 0.0
    table = np.array(found)
    strong = table[:, 5] > _WEAK * table[:, 5].max()
    correlation = float(np.average(table[strong, 4], weights=table[strong, 5]))
    good = table[strong & (table[:, 4] > LEAST_CORRELATION)]
    return good[:, :2].copy(), good[:, 2:4].copy(), correlation


def _starts(side: int, tile: int) -> list[int]:
    count = max(math.ceil((side - tile) / (tile / 2)), 0) + 1
    return sorted({round(at) for at in np.linspace(0, side - tile, count).tolist()})


def _find_peak(
    one: NDArray[np.float32], other: NDArray[np.float32], energy: float
) -> tuple[float, tuple[float, float]]:
    """Return the highest correlation, and by how many columns and rows the other is shifted."""
    side = 2 * one.shape[1]
    product = np.fft.rfft2(other, (side, side)) * np.fft.rfft2(one, (side, side)).conj()
    reach = one.shape[1] // 4
    whole = np.fft.irfft2(product.sum(axis=0), (side, side)) / energy
    near = np.roll(whole, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    row, column = np.unravel_index(int(near.argmax()), near.shape)
    steps = [_vertex(near[:, column], int(row)), _vertex(near[row], int(column))]
    return float(near.max()), (int(column) + steps[1] - reach, int(row) + steps[0] - reach)


def _vertex(values: NDArray[np.float64], at: int) -> float:
    """Return how far the top of a parabola is from its highest sample."""
    if not 0 < at < len(values) - 1:
        return 0.0
    low, top, high = values[at - 1 : at + 2].tolist()
    curve = low - 2 * top + high
    return 0.5 * (low - high) / curve if curve < 0 else 0.0


def _fit(
    points: NDArray[np.float64], places: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[str, NDArray[np.float64]]:
    """Return what is fitted, and the matrix; the more of the sensor is covered, the more general.

    A homography that is fitted to a small part of the picture is wild beside it.
    """
    spans = np.ptp(points, axis=0) / (shape[1], shape[0])
    outlier = 3.0
    if len(points) >= 12 and spans.min() > _WIDE:
        matrix, _ = cv2.findHomography(points, places, cv2.RANSAC, outlier)
        if matrix is not None:
            return 'homography', np.asarray(matrix, np.float64)
    kind, estimate = 'similarity', cv2.estimateAffinePartial2D
    if len(points) >= 6 and spans.min() > _WIDE / 2:
        kind, estimate = 'affine', cv2.estimateAffine2D
    rows, _ = estimate(points, places, method=cv2.RANSAC, ransacReprojThreshold=outlier)
    if rows is None:
        raise MicroexprError(
            'the places where events and frames agree contradict each other: move one thing, at '
            'one distance, in front of both cameras'
        )
    return kind, np.vstack([rows, [0.0, 0.0, 1.0]])


def _apply(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(points):
        return np.zeros((0, 2))
    return np.asarray(cv2.perspectiveTransform(points[None], matrix)[0], np.float64)
