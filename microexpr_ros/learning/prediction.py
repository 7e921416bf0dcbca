"""What a method says of a whole clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a method says at the end of each of T slices of a clip.

    Attributes:
        intensity: float32 [T, 18], of the stronger side, 0 to 1.
        evidence: float32 [T, 18], 0 to 1, that the unit is the main one of a movement; None of a
            method that only reads intensities.
    """

    intensity: NDArray[np.float32]
    evidence: NDArray[np.float32] | None = None

    @property
    def decisive(self) -> NDArray[np.float32]:
        """What decides on the main unit, float32 [T, 18]: evidence, or else intensity."""
        return self.intensity if self.evidence is None else self.evidence


def largest_intensities(predicted: Sequence[Prediction]) -> NDArray[np.float32]:
    """Return the largest intensity of each unit in each clip, float32 [N, 18]."""
    return np.stack([prediction.intensity.max(0) for prediction in predicted])


def largest_decisive(predicted: Sequence[Prediction]) -> NDArray[np.float32]:
    """Return the largest `Prediction.decisive` of each unit in each clip, float32 [N, 18]."""
    return np.stack([prediction.decisive.max(0) for prediction in predicted])
