"""By how much the exposure of the frames of a clip differs from that of its targets.

A target has the exposure of the newest frame. A picture that was made from an earlier frame has
the exposure of that one: from what came later no method can know another.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.perception.reconstruction.integration import encode, to_linear
from microexpr_ros.synthesis.dataset.clip import Clip
from microexpr_ros.synthesis.sensors.automatic_exposure import STEP_EV

_LEVELS: Final = (25, 240)
_FEWEST_PIXELS: Final = 100


@dataclass(frozen=True, slots=True)
class Exposures:
    """Exposures over that of the first target, in powers of two.

    Attributes:
        targets: float64 [K].
        frames: float64 [F].
    """

    targets: NDArray[np.float64]
    frames: NDArray[np.float64]

    def of(self, frame: int | None) -> float:
        """Return the exposure of a frame; that of the first target for None."""
        return 0.0 if frame is None else float(self.frames[frame])


def measure_exposures(clip: Clip) -> Exposures:
    """Return the exposures of a clip.

    They change in steps, which is why what most pixels show tells them exactly.

    Args:
        clip: With its frames and targets.
    """
    steps = [_step(before, after) for before, after in pairwise(clip.target)]
    targets = np.concatenate([[0.0], np.cumsum(steps)])
    frames = []
    for frame, at in zip(clip.frames, clip.frame_slice, strict=True):
        nearest = int(np.abs(clip.target_slice - at).argmin())
        frames.append(targets[nearest] + _step(clip.target[nearest], frame))
    return Exposures(targets, np.array(frames))


def _step(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    darker, lighter = np.minimum(before, after), np.maximum(before, after)
    known = (darker > _LEVELS[0]) & (lighter < _LEVELS[1])
    if known.sum() < _FEWEST_PIXELS:
        return 0.0
    ratio = np.median(np.log2(to_linear(after[known]) / to_linear(before[known])))
    return float(STEP_EV * np.rint(ratio / STEP_EV))


def expose_again(picture: NDArray[np.uint8], steps: float) -> NDArray[np.uint8]:
    """Return a picture with another exposure; what was white stays so at most.

    Args:
        picture: uint8 [...], gamma-encoded grey.
        steps: change of the exposure, in powers of two.
    """
    if steps == 0:
        return picture
    exposed = encode(to_linear(picture) * np.float32(2**steps))
    return np.asarray(np.rint(255 * exposed), np.uint8)
