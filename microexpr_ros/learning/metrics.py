"""Scores of classifications and of images; pure functions with published conventions."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

SSIM_SIGMA: Final = 1.5
SSIM_RADIUS: Final = 5
"""The Gaussian is cut off at 3.5 sigma, as in scikit-image."""


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
    """Return the F1 score of a binary decision; 0 if there is nothing to find and nothing found.

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
        return float('nan')
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, 'left')
    not_above = np.searchsorted(ordered, positive, 'right')
    return float((below + not_above).mean() / (2 * len(negative)))


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
