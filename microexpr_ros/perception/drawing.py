"""Pictures of events, reconstruction and Action Units, for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.alignment.slices import Slice
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.perception.classifier import ActionUnitEstimate, Status

SIDE: Final = 416
"""Side of the square pictures of a panel, in pixels."""

FOOTER: Final = 32
"""Height of the line below them, in pixels."""

HEIGHT: Final = SIDE + FOOTER
WIDTH: Final = 3 * SIDE

BACKGROUND: Final = (18, 20, 24)
TEXT: Final = (214, 218, 224)
FAINT: Final = (112, 118, 128)
TRACK: Final = (38, 42, 48)
RESTING: Final = (86, 120, 160)
ACTIVE: Final = (255, 176, 59)
ON: Final = (255, 214, 150)
OFF: Final = (70, 150, 255)
LANDMARK: Final = (120, 230, 140)
LIMIT: Final = (150, 156, 166)
PEAK: Final = (255, 236, 200)

HOLD_NS: Final = 1_000_000_000
"""How long the peak of a unit is shown."""

FRESH_NS: Final = 200_000_000
GONE_NS: Final = 1_500_000_000
"""A reconstruction fades from the one age to the other, as nothing shows that it still holds."""

_FADED: Final = 0.15

# Factor of events per slice: about 40 ms of motion are visible at once.
FADE: Final = 0.75


class Panel:
    """Events, reconstruction and Action Units side by side.

    Show slices, images and estimates in any order, and draw when a picture is wanted. The line
    below has the time of the events, the latency, what was lost, and a legend.
    """

    def __init__(self) -> None:
        self._trace: NDArray[np.float32] | None = None
        self._region: Region | AlignedRegion | None = None
        self._landmarks: NDArray[np.float32] | None = None
        self._reconstruction: NDArray[np.uint8] | None = None
        self._estimate: ActionUnitEstimate | None = None
        self._thresholds: NDArray[np.float32] | None = None
        self._peaks = _Peaks()
        self._end_ns: int | None = None
        self._age_ns = 0
        self._latency_ns = 0
        self._losses: Mapping[str, int] = {}

    def show_slice(self, slice_: Slice, landmarks: NDArray[np.float32] | None = None) -> None:
        """Show the next slice of events, and the landmarks in it.

        Args:
            slice_: the next slice.
            landmarks: float32 [5, 2], px of the sensor; None if they are not known.
        """
        self._region, self._landmarks = slice_.region, landmarks
        self._end_ns = slice_.end_ns
        self._age_ns += slice_.duration_ns
        density = slice_.counts.astype(np.float32) / slice_.pixels_per_cell
        if self._trace is None or self._trace.shape != density.shape:
            self._trace = density
        else:
            self._trace = FADE * self._trace + density

    def show_reconstruction(self, pixels: NDArray[np.uint8]) -> None:
        """Show the next reconstruction, uint8 [height, width]."""
        self._reconstruction, self._age_ns = pixels, 0

    def show_estimate(self, estimate: ActionUnitEstimate, latency_ns: int = 0) -> None:
        """Show the next estimate.

        Args:
            estimate: of the face whose slices are shown.
            latency_ns: with which it came; 0 if that is not known.
        """
        self._estimate, self._latency_ns = estimate, latency_ns
        self._peaks.add(estimate)
        if estimate.status is Status.STALE:
            # No slice comes any more by which the reconstruction would age.
            self._age_ns = max(self._age_ns, GONE_NS)

    def show_thresholds(self, thresholds: NDArray[np.float32]) -> None:
        """Mark the intensities from which units are active, float32 [18]."""
        self._thresholds = thresholds

    def show_losses(self, losses: Mapping[str, int]) -> None:
        """Show how much was lost so far, by what it is, in the plural."""
        self._losses = losses

    def draw(self) -> NDArray[np.uint8]:
        """Return the picture, uint8 [HEIGHT, WIDTH, 3] RGB."""
        columns = (
            _titled(self._draw_events(), 'events'),
            _titled(self._draw_reconstruction(), self._name_reconstruction()),
            draw_units(self._estimate, self._peaks.held, self._thresholds),
        )
        return np.vstack([np.hstack(columns), self._draw_footer()])

    def _draw_events(self) -> NDArray[np.uint8]:
        if self._trace is None:
            return _blank()
        off, on = np.clip(self._trace * 1.6, 0, 1)
        colour = np.array(BACKGROUND, np.float32)
        picture = (
            colour
            + on[..., None] * (np.array(ON, np.float32) - colour)
            + off[..., None] * (np.array(OFF, np.float32) - colour)
        )
        enlarged = _enlarge(np.clip(picture, 0, 255).astype(np.uint8))
        if isinstance(self._region, AlignedRegion):
            _mark_face(enlarged, self._region, self._landmarks)
        return enlarged

    def _draw_reconstruction(self) -> NDArray[np.uint8]:
        if self._reconstruction is None:
            return _blank()
        enlarged = _enlarge(np.repeat(self._reconstruction[..., None], 3, axis=2))
        share = 1 - (1 - _FADED) * self._staleness()
        if share == 1:
            return enlarged
        return cv2.addWeighted(enlarged, share, _blank(), 1 - share, 0).astype(np.uint8)

    def _staleness(self) -> float:
        """Return how far the reconstruction has faded, 0 to 1."""
        return min(max((self._age_ns - FRESH_NS) / (GONE_NS - FRESH_NS), 0.0), 1.0)

    def _name_reconstruction(self) -> str:
        is_stale = self._reconstruction is not None and self._staleness() > 0
        return f'reconstruction, {self._age_ns / 1e9:.1f} s old' if is_stale else 'reconstruction'

    def _draw_footer(self) -> NDArray[np.uint8]:
        footer = _draw_legend().copy()
        words = []
        if self._end_ns is not None:
            end = datetime.fromtimestamp(self._end_ns / 1e9, UTC)
            words.append(f'{end:%H:%M:%S}.{end.microsecond // 1000:03}')
        if self._latency_ns:
            words.append(f'latency {self._latency_ns / 1e6:.0f} ms')
        lost = {what: count for what, count in self._losses.items() if count}
        words += [f'{count} {what} lost' for what, count in lost.items()]
        if self._losses and not lost:
            words.append('nothing lost')
        _put_text(footer, '   '.join(words), (14, 20), ACTIVE if lost else TEXT, 0.42)
        return footer


class _Peaks:
    """The greatest intensity of each unit, until it is a second old.

    Attributes:
        held: float32 [18].
    """

    def __init__(self) -> None:
        self.held = np.zeros(len(facs.CODES), np.float32)
        self._held_ns = np.zeros(len(facs.CODES), np.int64)

    def add(self, estimate: ActionUnitEstimate) -> None:
        age_ns = estimate.end_ns - self._held_ns
        # Where time goes back, another stream begins.
        ends = (estimate.intensity >= self.held) | (age_ns > HOLD_NS) | (age_ns < 0)
        self.held = np.where(ends, estimate.intensity, self.held)
        self._held_ns = np.where(ends, estimate.end_ns, self._held_ns)


def draw_units(
    estimate: ActionUnitEstimate | None,
    peaks: NDArray[np.float32] | None = None,
    thresholds: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """Draw intensities as bars, bright where a unit is active; uint8 [SIDE, SIDE, 3] RGB.

    The upper half of a bar is the subject's left side, the lower half the right side: a step at
    its end is a one-sided movement.

    Args:
        estimate: the intensities; None before the first.
        peaks: float32 [18], marked in the bars where they are over the threshold; None: no marks.
        thresholds: float32 [18], marked over the bars' whole height; None: no marks.
    """
    picture = _blank()
    status = 'no estimate yet' if estimate is None else estimate.status.name
    _put_text(picture, 'Action Units', (14, 24), TEXT, 0.5)
    _put_text(picture, 'left above right', (132, 24), FAINT, 0.38)
    usual = estimate is None or estimate.status is Status.OK
    _put_text(
        picture, status.lower().replace('_', ' '), (250, 24), FAINT if usual else ACTIVE, 0.45
    )
    top, pitch, left, right = 38, 20.6, 196, SIDE - 16
    for row, code in enumerate(facs.CODES):
        y = round(top + row * pitch)
        sides = (0.0, 0.0) if estimate is None else estimate.sides[row].tolist()
        active = estimate is not None and bool(estimate.active[row])
        _put_text(picture, f'{code:>2}', (14, y + 13), ACTIVE if active else TEXT, 0.42)
        _put_text(picture, facs.NAMES[code], (44, y + 13), ACTIVE if active else FAINT, 0.42)
        cv2.rectangle(picture, (left, y + 4), (right, y + 15), TRACK, -1)
        for intensity, top_row in zip(sides, (y + 4, y + 10), strict=True):
            end = left + round((right - left) * min(max(intensity, 0.0), 1.0))
            if end > left:
                corners = (left, top_row), (end, top_row + 5)
                cv2.rectangle(picture, *corners, ACTIVE if active else RESTING, -1)
        least = 0.0 if thresholds is None else float(thresholds[row])
        if peaks is not None and peaks[row] > least:
            x = left + round((right - left) * min(float(peaks[row]), 1.0))
            cv2.line(picture, (x, y + 6), (x, y + 13), PEAK, 2)
        if thresholds is not None:
            x = left + round((right - left) * min(float(thresholds[row]), 1.0))
            cv2.line(picture, (x, y + 2), (x, y + 17), LIMIT, 1)
    return picture


@cache
def _draw_legend() -> NDArray[np.uint8]:
    """Return the line below the pictures with the meaning of marks; not to be drawn on."""
    line = np.full((FOOTER, WIDTH, 3), BACKGROUND, np.uint8)
    middle = FOOTER // 2
    x = WIDTH // 2 - 100
    for colour, text in (
        (ON, 'brighter'),
        (OFF, 'darker'),
        (ACTIVE, 'active'),
        (RESTING, 'inactive'),
    ):
        cv2.rectangle(line, (x, middle - 4), (x + 8, middle + 4), colour, -1)
        x = _put_word(line, text, x + 14)
    cv2.circle(line, (x + 4, middle), 4, LANDMARK, 1, cv2.LINE_AA)
    x = _put_word(line, 'landmark', x + 14)
    cv2.rectangle(line, (x, middle - 5), (x + 10, middle + 5), LANDMARK, 1)
    x = _put_word(line, 'region as the sensor sees it', x + 16)
    cv2.line(line, (x + 4, middle - 8), (x + 4, middle + 8), LIMIT, 1)
    x = _put_word(line, 'threshold', x + 12)
    cv2.line(line, (x + 4, middle - 4), (x + 4, middle + 4), PEAK, 2)
    _put_word(line, 'peak of 1 s', x + 12)
    return line


def _put_word(line: NDArray[np.uint8], text: str, x: int) -> int:
    """Write a word of the legend; return where the next mark begins."""
    _put_text(line, text, (x, FOOTER // 2 + 4), FAINT, 0.36)
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.36, 1)
    return int(x + width + 14)


def _mark_face(
    picture: NDArray[np.uint8],
    region: AlignedRegion,
    landmarks: NDArray[np.float32] | None,
) -> None:
    """Mark the landmarks in the region, and show how the sensor sees the region."""
    place = f'region {region.side:.0f} px wide, around {region.x:.0f}, {region.y:.0f}'
    _put_text(picture, place, (15, SIDE - 13), BACKGROUND, 0.38)
    _put_text(picture, place, (14, SIDE - 14), LANDMARK, 0.38)
    centre, half = (SIDE - 34, 34), 14
    turned = AlignedRegion(*centre, 2 * half, region.roll)
    corners = turned.to_pixels(np.array([[0, 0], [1, 0], [1, 1], [0, 1]])).round()
    cv2.polylines(picture, [corners.astype(np.int32)], True, LANDMARK, 1, cv2.LINE_AA)
    # The eyes' side, so that a face that is upside down is told from one that is not.
    middle, top = turned.to_pixels(np.array([[0.5, 0.5], [0.5, 0.1]])).round().astype(int).tolist()
    cv2.line(picture, middle, top, LANDMARK, 1, cv2.LINE_AA)
    if landmarks is not None:
        for at in (SIDE * region.to_shares(landmarks)).round().astype(int).tolist():
            cv2.circle(picture, tuple(at), 4, LANDMARK, 1, cv2.LINE_AA)


def _blank() -> NDArray[np.uint8]:
    return np.full((SIDE, SIDE, 3), BACKGROUND, np.uint8)


def _enlarge(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)


def _titled(picture: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    # Light on a dark copy, so that it can be read on any picture.
    _put_text(picture, title, (15, 25), BACKGROUND, 0.5)
    _put_text(picture, title, (14, 24), TEXT, 0.5)
    return picture


def _put_text(
    picture: NDArray[np.uint8],
    text: str,
    at: tuple[int, int],
    colour: tuple[int, int, int],
    size: float,
) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
