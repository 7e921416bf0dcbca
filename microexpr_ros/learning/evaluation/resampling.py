"""Confidence intervals over persons.

Clips of one person resemble each other, so persons are drawn, not clips (Efron and Tibshirani,
1993, the bootstrap with clusters as units). Equal seeds draw equal persons: differences between
two methods on the same clips are differences of paired draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Statistic: TypeAlias = Callable[[NDArray[np.int64]], float]
"""A number of the clips whose rows are given; a row may come more than once."""


def bootstrap(
    identities: NDArray[np.int64], statistic: Statistic, samples: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """Return a statistic of persons drawn with replacement, float64 [samples].

    Of one person nothing can be said of others: all nan.

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


def confidence_interval(values: NDArray[np.float64]) -> list[float]:
    """Return the bounds of the middle 95 % of what `bootstrap` gave, nan without any."""
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return [math.nan] * 2
    return [float(bound) for bound in np.percentile(known, (2.5, 97.5))]
