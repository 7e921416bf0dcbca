"""The sRGB curve (IEC 61966-2-1) between linear light and what images hold, both 0 to 1."""

from __future__ import annotations

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Float = TypeVar('Float', np.float32, np.float64)

LUMA: Final = (0.299, 0.587, 0.114)
"""Weights of encoded red, green and blue in grey (ITU-R BT.601)."""


def encode(linear: NDArray[Float]) -> NDArray[Float]:
    """Return the encoded values of linear light, of the same shape and type.

    Example:
        >>> encode(np.array([0.0, 0.2140, 1.0])).round(3).tolist()
        [0.0, 0.5, 1.0]
    """
    high = 1.055 * linear ** (1 / 2.4) - 0.055
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, high), linear.dtype)


def decode(encoded: NDArray[Float]) -> NDArray[Float]:
    """Return the linear light of encoded values, of the same shape and type.

    Example:
        >>> decode(np.array([0.0, 0.5, 1.0])).round(3).tolist()
        [0.0, 0.214, 1.0]
    """
    high = ((encoded + 0.055) / 1.055) ** 2.4
    return np.asarray(np.where(encoded <= 0.04045, encoded / 12.92, high), encoded.dtype)
