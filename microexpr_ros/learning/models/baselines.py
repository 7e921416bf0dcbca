"""Trivial baselines: the scores that a network has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.facs import CODES
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.metrics import f1

CLASSES = len(CODES) + 1
"""The dominant unit, or none."""


def chance() -> float:
    """Return the expected accuracy of a uniform guess of the dominant unit."""
    return 1 / CLASSES


def majority(train: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Return the accuracy of always giving the label that is most common in training."""
    return float((truth == np.bincount(train, minlength=CLASSES).argmax()).mean())


def always_positive(present: NDArray[np.bool_]) -> float:
    """Return the macro F1 of saying that every unit is present.

    Args:
        present: bool [clips, 18], ground truth.
    """
    everything = np.ones(len(present), np.bool_)
    return float(np.mean([f1(column, everything) for column in present.T]))


def mean_face(train: Sequence[SparseClip]) -> NDArray[np.uint8]:
    """Return the mean of the training targets, uint8 [GRID, GRID]: an image without events."""
    mean = np.mean([r.clip.target.mean(0, dtype=np.float64) for r in train], axis=0)
    return np.asarray(np.round(mean), np.uint8)


def newest_frame(sparse: SparseClip, at: int) -> int | None:
    """Return the number of the newest frame at the end of a slice, None if there is none yet."""
    number = int(np.searchsorted(sparse.clip.frame_slice, at, 'right')) - 1
    return number if number >= 0 else None


def shuffled(slices: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers of slices in random order, for the time-shuffled control."""
    return np.random.default_rng(seed).permutation(slices)
