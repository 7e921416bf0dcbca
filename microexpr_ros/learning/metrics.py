"""Scores of classifications and of images; pure functions with published conventions."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

CONFIDENCE_BINS: Final = 15
"""Bins of equal width, as of Guo et al. (2017)."""

HIGHEST_PSNR: Final = 60.0
"""An error of less than half a grey level, dB: equal pictures have no finite ratio."""

SSIM_SIGMA: Final = 1.5
SSIM_RADIUS: Final = 5
"""The Gaussian is cut off at 3.5 sigma, as in scikit-image."""

LOW_FREQUENCIES_CELLS: Final = 12.0
"""Standard deviation of the blur that leaves of a picture its light and the largest shapes."""


def accuracy(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Return the share of equal labels."""
    return float((truth == predicted).mean())


def unweighted_recall(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Return the mean recall over the labels that occur in the truth (UAR).

    Example:
        >>> unweighted_recall(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]))
        0.5
    """
    return float(np.mean([(predicted[truth == k] == k).mean() for k in np.unique(truth)]))


def f1(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    """Return the F1 score of a binary decision; 0 without positives, true or predicted.

    Example:
        >>> f1(np.array([True, True, False]), np.array([True, False, False]))
        0.6666666666666666
    """
    found = int((truth & predicted).sum())
    wrong = int((truth != predicted).sum())
    return 2 * found / (2 * found + wrong) if found + wrong else 0.0


def area_under_curve(truth: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    """Return the area under the receiver operating characteristic.

    That is the chance that a positive has a higher score than a negative, ties counting half
    (Mann and Whitney, 1947); nan without positives or without negatives.
    """
    positive, negative = score[truth], score[~truth]
    if len(positive) == 0 or len(negative) == 0:
        return math.nan
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, 'left')
    not_above = np.searchsorted(ordered, positive, 'right')
    return float((below + not_above).mean() / (2 * len(negative)))


def confusion(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the outcomes of binary decisions along the first axis.

    Args:
        truth: bool [N, ...].
        found: bool [N, ...].

    Returns:
        int64 [4, ...]: right and wrong positives, wrong and right negatives. Confusions of
        parts add up to that of the whole.
    """
    cases = (truth & found, ~truth & found, truth & ~found, ~truth & ~found)
    return np.stack([case.sum(0, dtype=np.int64) for case in cases])


def f1_of(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the F1 score of a `confusion`; nan without true positives and misses.

    Example:
        >>> f1_of(np.array([[2, 0], [1, 3], [1, 0], [6, 7]]))
        array([0.66666667,        nan])
    """
    right, excess, missed, _ = confusion.astype(np.float64)
    with np.errstate(invalid='ignore', divide='ignore'):
        score = 2 * right / (2 * right + excess + missed)
    return np.where(right + missed > 0, score, np.nan)


def recall_of(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the balanced accuracy of a `confusion`; nan if one class does not occur.

    Example:
        >>> recall_of(np.array([[3, 0], [1, 1], [1, 0], [3, 7]]))
        array([0.75,  nan])
    """
    right, excess, missed, rest = confusion.astype(np.float64)
    with np.errstate(invalid='ignore'):
        return np.asarray((right / (right + missed) + rest / (rest + excess)) / 2)


def reliability(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compare confidence with the share of right answers, by bins of confidence.

    Args:
        confidence: float [N], 0 to 1.
        right: bool [N].

    Returns:
        float64 [3, CONFIDENCE_BINS]: number, sum of confidence, number that are right. Those of
        parts add up to that of the whole.
    """
    which = np.minimum((confidence * CONFIDENCE_BINS).astype(np.int64), CONFIDENCE_BINS - 1)
    weights = (np.ones(len(which)), confidence, right)
    return np.stack([np.bincount(which, w, CONFIDENCE_BINS) for w in weights])


def calibration_error(reliability: NDArray[np.float64]) -> float:
    """Return the expected calibration error (Guo et al., 2017) of a `reliability`.

    That is the distance of mean confidence from the share of right answers, averaged over the
    bins by their number; nan if all bins are empty.
    """
    number, confidence, right = reliability
    return float(np.abs(confidence - right).sum() / number.sum()) if number.any() else math.nan


def mean_of_known(values: NDArray[np.floating]) -> float:
    """Return the mean of the values that are not nan; nan if all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Return Pearson's correlation, 0 where one side is constant."""
    x, y = a.ravel() - a.mean(), b.ravel() - b.mean()
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm > 0 else 0.0


def psnr(
    truth: NDArray[np.uint8], image: NDArray[np.uint8], where: NDArray[np.bool_] | None = None
) -> float:
    """Return the peak signal-to-noise ratio of one image, dB; infinite for equal images.

    Args:
        truth: uint8 [H, W].
        image: uint8 [H, W].
        where: bool [H, W], pixels that count; None for all.
    """
    squared = (truth.astype(np.float64) - image.astype(np.float64)) ** 2
    error = float(squared.mean() if where is None else squared[where].mean())
    return float('inf') if error == 0 else 10 * float(np.log10(255**2 / error))


def finite_psnr(truth: NDArray[np.uint8], image: NDArray[np.uint8]) -> float:
    """Return the `psnr` of one image, at most `HIGHEST_PSNR`, so that means are finite."""
    return min(psnr(truth, image), HIGHEST_PSNR)


def ssim(
    truth: NDArray[np.uint8], image: NDArray[np.uint8], where: NDArray[np.bool_] | None = None
) -> float:
    """Return the structural similarity of two images (Wang et al., 2004).

    Gaussian window of sigma 1.5, population covariance, range 255, mean without the border
    that the window reaches over: scikit-image's `structural_similarity` with
    `gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255`.

    Args:
        truth: uint8 [H, W].
        image: uint8 [H, W].
        where: bool [H, W], window centres that count; None for all.
    """
    inside = slice(SSIM_RADIUS, -SSIM_RADIUS)
    values = ssim_map(truth, image)[inside, inside]
    if where is not None:
        values = values[where[inside, inside]]
    return float(values.mean())


def ssim_map(truth: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the structural similarity around each pixel, float64 [H, W]."""
    x, y = truth.astype(np.float64), image.astype(np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x**2
    variance_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return np.asarray(
        ((2 * mean_x * mean_y + c1) * (2 * covariance + c2))
        / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))
    )


def gaussian() -> NDArray[np.float64]:
    """Return the window of `ssim` along one axis, float64 [11], of sum 1."""
    window = np.exp(-0.5 * (np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1) / SSIM_SIGMA) ** 2)
    return np.asarray(window / window.sum())


def _blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    window = gaussian()
    return np.asarray(cv2.sepFilter2D(image, cv2.CV_64F, window, window))


def low_frequencies(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a picture, or a difference of two, without its details, float32 [H, W].

    Args:
        picture: float32 [H, W].
    """
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), LOW_FREQUENCIES_CELLS), np.float32)
