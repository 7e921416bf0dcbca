"""Pictures of one face, one after the other: what does not move stays as it was painted."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.perception.reconstruction.reconstructor import (
    Reconstruction,
    ReconstructionState,
    Reconstructor,
)
from microexpr_ros.perception.reconstruction.region_change import RegionChange

_MOVED: Final = 0.1
"""Events per pixel over the noise, after which a place is two thirds the new picture's."""

_AROUND_BLOCKS: Final = 2.0
"""Standard deviation of the blur of what has moved: else, a picture would become a patchwork."""

_HEAD_MOVED: Final = 0.2
"""As `_MOVED`, in the median over the face, for its shades: lids that close do not change them."""

_SHADES_BLOCKS: Final = 3.0
"""Standard deviation of the blur that leaves the shades of a face: light and skin."""

_OTHER_PLACE: Final = 0.5
"""How far a region goes, as a share of its side, to show something else."""

_LASTING_S: Final = 30.0
"""Time after which two thirds of a picture have been painted anew even where nothing moves."""


class FacePainter:
    """Paints one face.

    Where there are no events, nothing has changed: without a frame, what has not moved since the
    last picture is taken over from that, but for a small share, so that noise does not flicker,
    and a face at rest stays who it is. Its shades stay as long as half of the face rests, whatever
    the other half does. A frame shows everything anew, and so does another reference.

    Args:
        reconstructor: paints single pictures.
    """

    def __init__(self, reconstructor: Reconstructor) -> None:
        self._reconstructor = reconstructor
        self._last: tuple[NDArray[np.float32], ReconstructionState] | None = None

    def paint(self, state: ReconstructionState) -> Reconstruction:
        """Return the picture at the end of the last slice of a state, in the region of that slice.

        No state is older than the one before.

        The interval around what stayed is that of the picture that it is from.
        """
        made = self._reconstructor.reconstruct(state)
        layers = np.dstack([made.image, made.interval]).astype(np.float32)
        if self._last is not None:
            before, seen = self._last
            change = RegionChange.between(seen.region, state.region)
            if self._is_same_face(seen, state) and change.distance < _OTHER_PLACE:
                last = change.move_picture(before, again=True)
                taken = self._take_over(last, layers, seen, state)
                known = change.share_inside(len(taken))[..., None]
                layers += known * (taken - layers)
                np.clip(layers, 0, 255, out=layers)
        self._last = layers, state
        return self._show(layers, state)

    def _show(self, layers: NDArray[np.float32], state: ReconstructionState) -> Reconstruction:
        """Return the picture in the region of the last slice."""
        change = RegionChange.between(state.region, state.shown)
        shown = np.rint(change.move_picture(layers).clip(0, 255))
        image, interval = np.ascontiguousarray(np.moveaxis(shown.astype(np.uint8), -1, 0))
        if change.corners is not None and self._reconstructor.has_frame(state):
            assert state.frame is not None
            beside = change.share_inside(len(image)) < 1
            frame = RegionChange.between(state.frame_region, state.shown).move_picture(state.frame)
            image[beside] = frame[beside]
        return Reconstruction(image, interval)

    def _is_same_face(self, before: ReconstructionState, now: ReconstructionState) -> bool:
        """Return whether events say what has changed since the last picture, and nothing else."""
        if before.lasting is None or now.lasting is None:
            return False
        assert before.end_ns is not None
        assert now.end_ns is not None
        slices = now.lasting.slices - before.lasting.slices
        regions = now.region, before.region
        follows = all(isinstance(region, AlignedRegion) for region in regions)
        return (
            now.end_ns - before.end_ns == slices * self._reconstructor.slice_ns
            and (follows or now.region == before.region)
            and now.reference is before.reference
            and not self._reconstructor.has_frame(now)
            and not self._reconstructor.has_frame(before)
        )

    def _take_over(
        self,
        painted: NDArray[np.float32],
        new: NDArray[np.float32],
        before: ReconstructionState,
        now: ReconstructionState,
    ) -> NDArray[np.float32]:
        """Return the last picture with a share of the new one, float32 [grid, grid, layers]."""
        assert before.lasting is not None
        assert now.lasting is not None
        moved = (now.lasting.moved - before.lasting.moved).astype(np.float32)
        slices = now.lasting.slices - before.lasting.slices
        least = 1 - math.exp(-slices * self._reconstructor.slice_ns / 1e9 / _LASTING_S)
        around = cv2.GaussianBlur(moved, (0, 0), _AROUND_BLOCKS)
        details = np.maximum(1 - np.exp(around / np.float32(-_MOVED)), np.float32(least))
        shades = max(1 - math.exp(-float(np.median(moved)) / _HEAD_MOVED), least)
        grid, blocks = painted.shape[1::-1], moved.shape[::-1]
        change = new - painted
        small = cv2.resize(change, blocks, interpolation=cv2.INTER_AREA)
        shaded = cv2.resize(cv2.GaussianBlur(small, (0, 0), _SHADES_BLOCKS), grid)
        share = cv2.resize(details, grid)[..., None]
        return np.asarray(painted + share * (change - shaded) + np.float32(shades) * shaded)
