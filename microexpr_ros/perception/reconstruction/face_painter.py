"""Pictures of one face, one after the other: what does not move stays as it was painted."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.perception.reconstruction.reconstructor import (
    Reconstruction,
    ReconstructionState,
    Reconstructor,
)

_MOVED: Final = 0.1
"""Events per pixel over the noise, after which a place is two thirds the new picture's."""

_AROUND_BLOCKS: Final = 2.0
"""Standard deviation of the blur of what has moved: else, a picture would become a patchwork."""

_LASTING_S: Final = 10.0
"""Time after which two thirds of a picture have been painted anew even where nothing moves."""


class FacePainter:
    """Paints one face.

    Where there are no events, nothing has changed: without a frame, what has not moved since the
    last picture is taken over from that, but for a small share, so that noise does not flicker,
    and a face at rest stays who it is. A frame shows everything anew, and so does another region
    or reference.

    Args:
        reconstructor: paints single pictures.
    """

    def __init__(self, reconstructor: Reconstructor) -> None:
        self._reconstructor = reconstructor
        self._last: tuple[NDArray[np.float32], ReconstructionState] | None = None

    def paint(self, state: ReconstructionState) -> Reconstruction:
        """Return the picture at the end of the last slice of a state, which is not an older one.

        The interval around what stayed is that of the picture that it is from.
        """
        made = self._reconstructor.reconstruct(state)
        layers = np.stack([made.image, made.interval]).astype(np.float32)
        if self._last is not None:
            before, seen = self._last
            share = self._share_anew(seen, state)
            if share is not None:
                layers = before + share * (layers - before)
        self._last = layers, state
        return Reconstruction(*np.rint(layers).astype(np.uint8))

    def _share_anew(
        self, before: ReconstructionState, now: ReconstructionState
    ) -> NDArray[np.float32] | None:
        """Return a new picture's share, float32 [grid, grid]; None for all of it."""
        if before.lasting is None or now.lasting is None:
            return None
        is_anew = (
            now.lasting.slices < before.lasting.slices
            or now.region != before.region
            or now.reference is not before.reference
            or self._reconstructor.has_frame(now)
            or self._reconstructor.has_frame(before)
        )
        if is_anew:
            return None
        moved = (now.lasting.moved - before.lasting.moved).astype(np.float32)
        around = cv2.GaussianBlur(moved, (0, 0), _AROUND_BLOCKS)
        slices = now.lasting.slices - before.lasting.slices
        least = 1 - math.exp(-slices * self._reconstructor.slice_ns / 1e9 / _LASTING_S)
        share = np.maximum(1 - np.exp(around / np.float32(-_MOVED)), np.float32(least))
        grid = now.lasting.signed.shape[::-1]
        return np.asarray(cv2.resize(share, grid, interpolation=cv2.INTER_LINEAR))
