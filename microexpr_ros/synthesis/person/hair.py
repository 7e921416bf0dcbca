"""Hair and caps: where they cover the head, and how far they stand off it.

Everything is a function of the template's coordinates, so that the paint on the skin and the
shape of the head have the same hairline.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

_MIDDLE: Final = np.array([0.0, 7.45, 0.2], np.float32)
"""Middle of the skull, dm: hair stands away from it."""


class Style(Enum):
    """What is on the head."""

    BALD = 'bald'
    SHAVED = 'shaved'
    SHORT = 'short'
    FULL = 'full'
    CAP = 'cap'


@dataclass(frozen=True, slots=True)
class Hair:
    """Hair or a cap.

    Attributes:
        style: what kind.
        rise: how far the hairline is above the usual one, dm.
        recede: how much farther at the temples than in the middle, dm.
        volume: how far the hair stands off the scalp, dm.
        seed: draws strands and colours.
    """

    style: Style
    rise: float
    recede: float
    volume: float
    seed: int


def sample_hair(rng: np.random.Generator, male: float, age: float) -> Hair:
    """Sample what somebody wears; sex and age as in `identity.Identity`."""
    bald = 0.2 * male * (0.4 + age)
    shares = np.array([bald, 0.15 + 0.1 * male, 0.3 + 0.1 * male, 0.55 - 0.35 * male, 0.1])
    style = list(Style)[rng.choice(len(Style), p=shares / shares.sum())]
    thickness = {
        Style.BALD: (0.0, 0.0),
        Style.SHAVED: (0.0, 0.01),
        Style.SHORT: (0.03, 0.1),
        Style.FULL: (0.1, 0.28),
        Style.CAP: (0.06, 0.1),
    }[style]
    return Hair(
        style,
        float(rng.normal(0, 0.03)),
        float(rng.uniform(-0.05, 0.12) * (0.5 + male * age)),
        float(rng.uniform(*thickness)),
        int(rng.integers(2**31)),
    )


def cover(
    hair: Hair, points: NDArray[np.float32], soft: float | None = None
) -> NDArray[np.float32]:
    """Return how far each point of the template is under hair, float32 [...], 0-1.

    Args:
        hair: what is worn.
        points: float32 [..., 3], dm; NaN where there is no head, which gives 0.
        soft: height over which the cover begins, dm; hair's and cloth's own if not given.
    """
    if hair.style is Style.BALD:
        return np.zeros(points.shape[:-1], np.float32)
    x, y, z = np.moveaxis(points, -1, 0)
    with np.errstate(invalid='ignore'):
        if hair.style is Style.CAP:
            line = np.interp(z, [-0.6, 0.3, 1.3], [7.0, 7.45, 7.83]).astype(np.float32)
            soft = soft or 0.02
        else:
            # The hairline falls from the forehead over the temple to before the ear.
            line = np.interp(
                z, [-0.5, 0.1, 0.35, 0.6, 0.8, 1.0, 1.3], [6.6, 6.75, 6.95, 7.35, 7.75, 7.95, 8.02]
            ).astype(np.float32)
            line += hair.recede * (1 - np.exp(-((np.abs(x) - 0.35) ** 2) / 0.03))
            soft = soft or 0.07
        ears = (np.abs(x) > 0.72) & (y < 7.4) & (z > 0.2)
        covered = np.clip((y - line - hair.rise) / soft, 0, 1) * ~ears
    return np.asarray(np.nan_to_num(covered), np.float32)


def stand_off(hair: Hair, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how far hair moves the surface outwards at points of the template, float32 [N, 3]."""
    away = points - _MIDDLE
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    # Fuller at the crown than at the hairline, where it begins at the skin.
    height = np.clip((points[:, 1] - 6.8) / 1.4, 0.25, 1)
    if hair.style is Style.CAP:
        height = np.ones_like(height)
    # The mesh is coarser than the paint: its slope to the full height has to be wider.
    amount = hair.volume * height * cover(hair, points, 0.15)
    return np.asarray(amount[:, None] * away, np.float32)
