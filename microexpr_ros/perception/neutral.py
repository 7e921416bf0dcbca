"""Intensities of a person's neutral face, subtracted from the estimates that follow.

A network reads some faces as slightly smiling or frowning at rest. A few seconds of the neutral
face measure by how much, for each unit and each side: hardly a face is symmetric at rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.facs import CODES
from microexpr_ros.perception.classifier import ActionUnitEstimate, Status, decide_presence
from microexpr_ros.perception.presence import Presence

MIN_OK_SHARE: Final = 0.5
"""Least share of the slices with the status OK: the median of fewer would not be reliable."""

HIGHEST_BASELINE: Final = 0.9
"""Highest baseline: the range of a unit above its baseline is scaled to the full range."""

REASONS: Final = {
    Status.NO_FACE: 'no face was found',
    Status.TOO_FEW_EVENTS: 'too few events came: give more light, or make the camera more '
    'sensitive',
    Status.HEAD_MOVING: 'the head moved, or the light: hold still',
    Status.WARMING_UP: 'the face was new: wait until the state is OK',
}


@dataclass(frozen=True, slots=True)
class Neutral:
    """A neutral face.

    Attributes:
        baseline: float32 [18, 2], intensities at rest on the subject's left and right, 0 to
            `HIGHEST_BASELINE`.
    """

    baseline: NDArray[np.float32]

    @classmethod
    def unknown(cls) -> Neutral:
        """Return the neutral face of a person who was not measured: all units at 0."""
        return cls(np.zeros((len(CODES), 2), np.float32))

    def subtract(self, sides: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return intensities over the baseline, scaled so that 1 stays 1.

        Args:
            sides: float32 [..., 18, 2], 0 to 1.

        Example:
            >>> neutral = Neutral(np.full((18, 2), 0.2, np.float32))
            >>> [round(float(neutral.subtract(np.float32(x))[0, 0]), 3) for x in (0.1, 0.6, 1)]
            [0.0, 0.5, 1.0]
        """
        above = (sides - self.baseline) / (1 - self.baseline)
        return np.asarray(np.clip(above, 0, 1), np.float32)

    def apply(
        self, estimate: ActionUnitEstimate, presence: Presence, before: NDArray[np.bool_]
    ) -> ActionUnitEstimate:
        """Return an estimate relative to the neutral face, with presence by the same thresholds.

        Args:
            estimate: as the classifier gave it.
            presence: the classifier's.
            before: bool [18], units that were active in the estimate relative to the neutral
                face one slice ago.
        """
        sides = self.subtract(estimate.sides)
        return decide_presence(
            estimate.end_ns, estimate.status, sides, presence, before, estimate.evidence
        )

    def __str__(self) -> str:
        """List the units that are not at 0, by their stronger side."""
        units = zip(CODES, self.baseline.max(axis=1), strict=True)
        listed = [f'AU{code} {value:.2f}' for code, value in units if value >= 0.005]
        return ', '.join(listed) or 'all units at 0'


def measure_neutral(estimates: Sequence[ActionUnitEstimate]) -> Neutral:
    """Return the neutral face: the median intensities of the estimates with the status OK.

    Args:
        estimates: of consecutive slices, as the classifier gave them.

    Raises:
        MicroexprError: too few of them have the status OK; the message names the main reason.
    """
    trusted = [estimate.sides for estimate in estimates if estimate.status is Status.OK]
    if not trusted or len(trusted) < MIN_OK_SHARE * len(estimates):
        others = Counter(e.status for e in estimates if e.status is not Status.OK)
        why = [f'{REASONS[status]} ({count} slices)' for status, count in others.most_common(1)]
        raise MicroexprError(
            f'{len(trusted)} of {len(estimates)} slices can be used: '
            f'{"; ".join(why) or "no slices came"}'
        )
    median = np.median(trusted, axis=0)
    return Neutral(np.asarray(median.clip(max=HIGHEST_BASELINE), np.float32))
