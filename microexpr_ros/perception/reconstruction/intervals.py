"""How wide the interval around a picture must be to hold what the pixels really show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

COVERAGE: Final = 0.9
"""Share of the true pixels that an interval holds."""

AGE_LIMITS: Final = (3, 10, 30, 100)
"""Ages of a frame that are told apart, slices: below the first, below the second, and so on."""


@dataclass(frozen=True, slots=True)
class IntervalFactors:
    """Half width of an interval over the network's scale, by what the picture was made from.

    Split conformal prediction (Vovk et al., Algorithmic Learning in a Random World, 2005) on the
    validation split: whatever the network takes for its error, the interval holds the share
    `COVERAGE` of pixels like those.

    Attributes:
        frame: with a frame, for each of `AGE_LIMITS`.
        reference: with a reference and no frame.
        events: from events alone.
    """

    # Those of a Laplace distribution, if the network's scale were right.
    frame: tuple[float, ...] = (2.3026,) * len(AGE_LIMITS)
    reference: float = 2.3026
    events: float = 2.3026

    def factor(self, age: int | None, has_reference: bool) -> float:
        """Return the factor for one picture.

        Args:
            age: of its frame, slices; None without one.
            has_reference: whether there is a reference.
        """
        if age is not None:
            return self.frame[min(age_group(age), len(self.frame) - 1)]
        return self.reference if has_reference else self.events


def age_group(age: int) -> int:
    """Return the number of the age in `AGE_LIMITS`, their count if it is older than all."""
    return int(np.searchsorted(AGE_LIMITS, age, 'right'))


def fit_factor(
    errors: Sequence[NDArray[np.float32]], scales: Sequence[NDArray[np.float32]]
) -> float:
    """Return the smallest factor whose intervals hold `COVERAGE` of the pixels.

    Args:
        errors: magnitudes of the errors of pictures, each [...].
        scales: the network's scales of them, likewise.
    """
    ratios = np.concatenate([(e / s).ravel() for e, s in zip(errors, scales, strict=True)])
    return float(np.quantile(ratios, COVERAGE))
