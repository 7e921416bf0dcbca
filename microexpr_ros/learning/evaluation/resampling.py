"""Confidence intervals over persons.

Clips of one person resemble each other, so persons are drawn, not clips (Efron and Tibshirani,
1993, the bootstrap with clusters as units). Equal seeds draw equal persons: differences between
two methods on the same clips are differences of paired draws.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.learning.evaluation.action_unit_report import UNKNOWN, Interval

Statistic: TypeAlias = Callable[[NDArray[np.int64]], float]
"""A number of the clips with these positions; a clip may come more than once."""

SAMPLES: Final = 1000


def bootstrap(
    identities: NDArray[np.int64], statistic: Statistic, samples: int = SAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Return a statistic of persons drawn with replacement, float64 [samples].

    One person says nothing of others: all samples are then nan.

    Args:
        identities: int64 [N], person of each clip.
        statistic: what to compute.
        samples: how often to draw as many persons as there are.
        seed: of the draws.
    """
    persons = [np.flatnonzero(identities == who) for who in np.unique(identities)]
    if len(persons) < 2:
        return np.full(samples, np.nan)
    draws = np.random.default_rng(seed).integers(len(persons), size=(samples, len(persons)))
    return np.array([statistic(np.concatenate([persons[p] for p in draw])) for draw in draws])


def confidence_interval(samples: NDArray[np.float64]) -> Interval:
    """Return the bounds of the middle 95 % of samples of `bootstrap`; nan ones do not count."""
    known = samples[~np.isnan(samples)]
    if len(known) == 0:
        return UNKNOWN
    low, high = np.percentile(known, (2.5, 97.5)).tolist()
    return low, high
