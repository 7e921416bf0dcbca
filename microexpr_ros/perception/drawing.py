"""Pictures of events, reconstruction and Action Units, for people."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.alignment.slices import Slice
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.perception.classifier import ActionUnitEstimate, Status

SIDE: Final = 416
"""Height of a panel and side of its square pictures, in pixels."""

BACKGROUND: Final = (18, 20, 24)
TEXT: Final = (214, 218, 224)
FAINT: Final = (112, 118, 128)
TRACK: Final = (38, 42, 48)
RESTING: Final = (86, 120, 160)
ACTIVE: Final = (255, 176, 59)
ON: Final = (255, 214, 150)
OFF: Final = (70, 150, 255)
LANDMARK: Final = (120, 230, 140)

# Factor of events per slice: about 40 ms of motion are visible at once.
FADE: Final = 0.75


class Panel:
    """Events, reconstruction and Action Units side by side.

    Show slices, images and estimates in any order, and draw when a picture is wanted.
    """

    def __init__(self) -> None:
        self._trace: NDArray[np.float32] | None = None
        self._region: Region | AlignedRegion | None = None
        self._landmarks: NDArray[np.float32] | None = None
        self._reconstruction: NDArray[np.uint8] | None = None
        self._estimate: ActionUnitEstimate | None = None

    def show_slice(self, slice_: Slice, landmarks: NDArray[np.float32] | None = None) -> None:
        """Show the next slice of events, and the landmarks in it.

        Args:
            slice_: the next slice.
            landmarks: float32 [5, 2], px of the sensor; None if they are not known.
        """
        self._region, self._landmarks = slice_.region, landmarks
        density = slice_.counts.astype(np.float32) / slice_.pixels_per_cell
        if self._trace is None or self._trace.shape != density.shape:
            self._trace = density
        else:
            self._trace = FADE * self._trace + density

    def show_reconstruction(self, pixels: NDArray[np.uint8]) -> None:
        """Show the next reconstruction, uint8 [height, width]."""
        self._reconstruction = pixels

    def show_estimate(self, estimate: ActionUnitEstimate) -> None:
        """Show the next estimate."""
        self._estimate = estimate

    def draw(self) -> NDArray[np.uint8]:
        """Return the picture, uint8 [416, 1248, 3] RGB."""
        columns = (
            _titled(self._draw_events(), 'events'),
            _titled(self._draw_reconstruction(), 'reconstruction'),
            draw_units(self._estimate),
        )
        return np.hstack(columns)

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
        return _enlarge(np.repeat(self._reconstruction[..., None], 3, axis=2))


def draw_units(estimate: ActionUnitEstimate | None) -> NDArray[np.uint8]:
    """Draw intensities as bars, bright where a unit is active; uint8 [416, 416, 3] RGB.

    The upper half of a bar is the subject's left side, the lower half the right side: a step at
    its end is a one-sided movement.
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
    return picture


def _mark_face(
    picture: NDArray[np.uint8],
    region: AlignedRegion,
    landmarks: NDArray[np.float32] | None,
) -> None:
    """Mark the landmarks in the region, and show in the corner how the sensor sees the region."""
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
