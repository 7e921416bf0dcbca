"""Presence of units from their intensities: a threshold and a peak per unit, with hysteresis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.facs import CODES

HYSTERESIS: Final = 0.7
"""A unit that is active stays so until its intensity is below this share of its threshold."""


@dataclass(frozen=True, slots=True)
class Presence:
    """When a unit counts as present, and how probable it then is.

    Presence follows from intensity, so the two never contradict each other. The probability is a
    logistic function of the intensity's log-odds (Platt, 1999), fitted on validation data.

    Attributes:
        threshold: float32 [18], intensity from which a unit is active.
        peak: float32 [18], intensity from which the apex of a movement counts as an expression;
            a movement below it may be noise, even if the unit was active.
        slope: float32 [18], of the logistic function.
        bias: float32 [18], of the logistic function.
        decision: float32 [18], evidence from which a unit is the main one of a movement; None if
            the network gathers none, and `peak` decides.
    """

    threshold: NDArray[np.float32]
    peak: NDArray[np.float32]
    slope: NDArray[np.float32]
    bias: NDArray[np.float32]
    decision: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for values in (self.threshold, self.peak, self.slope, self.bias, self.decision):
            if values is not None and values.shape != (len(CODES),):
                raise ValueError(f'expected {len(CODES)} values, one per unit, not {values.shape}')

    @classmethod
    def uncalibrated(cls, threshold: float = 0.5) -> Presence:
        """Return one threshold for all units, with the intensity itself as the probability."""
        ones = np.ones(len(CODES), np.float32)
        return cls(threshold * ones, threshold * ones, ones, 0 * ones)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Presence:
        """Return what `to_settings` wrote."""
        return cls(**{name: np.asarray(values, np.float32) for name, values in settings.items()})

    def to_settings(self) -> dict[str, list[float]]:
        """Return JSON values."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: [float(v) for v in values] for name, values in own.items() if values is not None
        }

    def active(
        self, intensity: NDArray[np.float32], before: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Decide which units are active, given which were.

        Args:
            intensity: float32 [18], 0 to 1.
            before: bool [18], which units were active one slice ago.

        Returns:
            bool [18].

        Example:
            >>> presence = Presence.uncalibrated(0.5)
            >>> intensity = np.full(18, 0.4, np.float32)
            >>> bool(presence.active(intensity, np.zeros(18, bool))[0])
            False
            >>> bool(presence.active(intensity, np.ones(18, bool))[0])
            True
        """
        return with_hysteresis(intensity, self.threshold, before)

    def probability(self, intensity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how probable it is that each unit is present, float32 [..., 18]."""
        score = self.slope * log_odds(intensity) + self.bias
        return np.asarray(1 / (1 + np.exp(-score)), np.float32)

    def margin(self, intensity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how far each unit is over its `peak`, in log-odds, float32 [..., 18]."""
        return np.asarray(log_odds(intensity) - log_odds(self.peak), np.float32)

    def decide(self, decisive: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how sure it is that each unit is the main one, in log-odds, float32 [..., 18].

        Args:
            decisive: float32 [..., 18], evidence; intensities if there is no `decision`.
        """
        if self.decision is None:
            return self.margin(decisive)
        return np.asarray(log_odds(decisive) - log_odds(self.decision), np.float32)


def with_hysteresis(
    intensity: NDArray[np.float32], threshold: NDArray[np.float32], before: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which intensities are active, given which were one slice ago; all broadcast."""
    return np.asarray(intensity >= np.where(before, HYSTERESIS * threshold, threshold))


def log_odds(intensity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the log-odds of intensities, which are kept one millionth away from 0 and 1."""
    # For a handful of units `np.clip` takes as long as all of this.
    inner = np.minimum(np.maximum(np.asarray(intensity, np.float64), 1e-6), 1 - 1e-6)
    return np.asarray(np.log(inner / (1 - inner)), np.float32)
