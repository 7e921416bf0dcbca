"""How wide the interval around a picture must be to hold what the pixels really show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.perception.reconstruction.configuration import PICTURES

COVERAGE: Final = 0.9
"""Share of the true pixels that an interval holds."""

AGE_LIMITS: Final = (3, 10, 30, 100)
"""Ages of a frame that are told apart, slices: below the first, below the second, and so on."""

CHANGE_LIMITS: Final = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032)
"""Changes since the frame by which pixels are told apart, as shares of the range."""

_CHANGE_BLUR_CELLS: Final = 1.0
"""Pixels beside those that seem to have changed may have changed, too."""

_LAPLACE: Final = 2.3026
"""Half width over scale that holds `COVERAGE` of a Laplace distribution."""


@dataclass(frozen=True, slots=True)
class IntervalFactors:
    """Half width of an interval over the network's scale, by what the picture was made from.

    Split conformal prediction within groups (Vovk et al., Algorithmic Learning in a Random World,
    2005) on the validation split: whatever the network takes for its error, the interval holds
    the share `COVERAGE` of pixels like those.

    Attributes:
        frame: with a frame, for each of `AGE_LIMITS` the factor of each group of `change_groups`.
        reference: with a reference and no frame.
        events: from events alone.
        change_limits: between the groups.
    """

    # Those of a Laplace distribution, if the network's scale were right.
    frame: tuple[tuple[float, ...], ...] = ((_LAPLACE,) * (len(CHANGE_LIMITS) + 1),) * len(
        AGE_LIMITS
    )
    reference: float = _LAPLACE
    events: float = _LAPLACE
    change_limits: tuple[float, ...] = CHANGE_LIMITS

    @classmethod
    def from_settings(cls, values: dict[str, Any]) -> IntervalFactors:
        """Read what `settings.to_settings` made.

        Earlier files lack the limits: an age had one factor, or groups by another measure of
        change. For them the largest factor of an age holds for all its pixels.
        """
        limits = tuple(values.get('change_limits', ()))
        rows = [row if isinstance(row, list) else [row] for row in values['frame']]
        if not limits:
            rows = [[max(row)] for row in rows]
        return cls(
            tuple(tuple(row) for row in rows), values['reference'], values['events'], limits
        )

    def factors(
        self,
        age: int | None,
        has_reference: bool,
        pictures: NDArray[np.float32],
        image: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return the factors of one picture, float32 [grid, grid].

        Args:
            age: of its frame, slices; None without one.
            has_reference: whether there is a reference.
            pictures: float32 [pictures, grid, grid], of `reconstructor.make_pictures`.
            image: float32 [grid, grid], 0 to 1, what the network made of them.
        """
        if age is None:
            factor = self.reference if has_reference else self.events
            return np.full(image.shape, factor, np.float32)
        of_groups = self.frame[min(age_group(age), len(self.frame) - 1)]
        groups = change_groups(pictures, image, self.change_limits)
        return np.array(of_groups, np.float32)[groups]


def age_group(age: int) -> int:
    """Return the number of the age in `AGE_LIMITS`, their count if it is older than all."""
    return int(np.searchsorted(AGE_LIMITS, age, 'right'))


def change_groups(
    pictures: NDArray[np.float32],
    image: NDArray[np.float32],
    limits: Sequence[float] = CHANGE_LIMITS,
) -> NDArray[np.int64]:
    """Return how much each pixel seems to have changed since the frame, int64 [grid, grid].

    It is how far the network moved away from the average of the frames, which has less noise than
    the newest frame. The number is that of the change in the limits, from 0 for hardly any.

    Args:
        pictures: float32 [pictures, grid, grid], of `reconstructor.make_pictures`.
        image: float32 [grid, grid], 0 to 1, what the network made of them.
        limits: between the groups, shares of the range.
    """
    before = pictures[6] if len(pictures) == PICTURES else pictures[1]
    change = cv2.GaussianBlur(np.abs(image - before), (0, 0), _CHANGE_BLUR_CELLS)
    return np.asarray(np.searchsorted(np.array(limits, np.float32), change), np.int64)


def fit_factor(
    errors: NDArray[np.float32],
    scales: NDArray[np.float32],
    weights: NDArray[np.float32] | None = None,
) -> float:
    """Return the smallest factor whose intervals hold `COVERAGE` of the pixels.

    Args:
        errors: float32 [N], magnitudes of the errors of pixels.
        scales: float32 [N], the network's scales of them.
        weights: float32 [N], how much each pixel counts; None for all alike.
    """
    ratios = errors / scales
    if weights is None:
        return float(np.quantile(ratios, COVERAGE))
    order = np.argsort(ratios)
    held = np.cumsum(weights[order], dtype=np.float64)
    return float(ratios[order][np.searchsorted(held, COVERAGE * held[-1])])
