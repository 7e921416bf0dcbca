"""Wrinkles: lines of the skin that Action Units deepen.

Every line is drawn once in the template's frontal coordinates, as relief; how deep it is at a
moment follows from the units' intensities and the person's age. Relief changes the light that
the skin gets, not the mesh.

Which unit makes which line: Ekman, Friesen and Hager, Facial Action Coding System, 2002
(appearance changes of the single units).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """Lines of one place on the subject's left; the right side mirrors them.

    Attributes:
        lines: for each line its points (x, y), dm.
        width: standard deviation of a furrow across, dm.
        depth: of a furrow at weight 1, dm.
        drivers: FACS code to the weight that intensity 1 gives.
        age: weight of an old face at rest.
    """

    lines: tuple[Points, ...]
    width: float
    depth: float
    drivers: dict[int, float]
    age: float = 0.0


_FOREHEAD = (7.64, 7.72, 7.8, 7.88)

FOLDS: Final[dict[str, Fold]] = {
    'forehead, middle': Fold(
        tuple(((0.0, y), (0.15, y + 0.012), (0.3, y + 0.005)) for y in _FOREHEAD),
        0.016,
        0.011,
        {1: 1.0, 2: 0.25},
        0.35,
    ),
    'forehead, side': Fold(
        tuple(((0.24, y + 0.008), (0.38, y - 0.008), (0.5, y - 0.04)) for y in _FOREHEAD[:3]),
        0.016,
        0.011,
        {2: 1.0, 1: 0.15},
        0.3,
    ),
    'between the brows': Fold(
        (((0.06, 7.38), (0.065, 7.48), (0.085, 7.58)), ((0.11, 7.47), (0.13, 7.55))),
        0.014,
        0.012,
        {4: 1.0, 9: 0.35},
        0.25,
    ),
    'root of the nose': Fold(
        (((0.0, 7.36), (0.05, 7.362), (0.09, 7.375)), ((0.0, 7.325), (0.06, 7.33))),
        0.012,
        0.005,
        {9: 1.0, 4: 0.4},
        0.1,
    ),
    'side of the nose': Fold(
        (
            ((0.045, 7.25), (0.09, 7.2), (0.12, 7.14)),
            ((0.05, 7.2), (0.1, 7.14), (0.13, 7.08)),
            ((0.06, 7.14), (0.11, 7.09)),
        ),
        0.011,
        0.009,
        {9: 1.0, 10: 0.1},
    ),
    "crow's feet": Fold(
        (
            ((0.475, 7.3), (0.53, 7.33), (0.6, 7.38)),
            ((0.48, 7.275), (0.55, 7.285), (0.62, 7.29)),
            ((0.475, 7.255), (0.54, 7.235), (0.61, 7.21)),
            ((0.46, 7.23), (0.52, 7.19), (0.58, 7.14)),
        ),
        0.012,
        0.01,
        {6: 1.0, 12: 0.3, 7: 0.25},
        0.4,
    ),
    'under the eye': Fold(
        (
            ((0.21, 7.215), (0.29, 7.19), (0.38, 7.195), (0.43, 7.215)),
            ((0.2, 7.18), (0.28, 7.14), (0.37, 7.14)),
        ),
        0.013,
        0.009,
        {6: 0.9, 7: 0.8, 9: 0.3},
        0.35,
    ),
    'nose to mouth': Fold(
        (((0.185, 6.92), (0.25, 6.85), (0.31, 6.75), (0.335, 6.66)),),
        0.026,
        0.018,
        {12: 0.9, 10: 0.9, 9: 0.6, 6: 0.4, 20: 0.3, 14: 0.25},
        0.5,
    ),
    'corner of the mouth': Fold(
        (((0.31, 6.665), (0.328, 6.615), (0.31, 6.56)),),
        0.014,
        0.014,
        {14: 1.0, 20: 0.35, 12: 0.3, 24: 0.3},
        0.15,
    ),
    'below the corner': Fold(
        (((0.265, 6.57), (0.29, 6.5), (0.285, 6.42)),),
        0.018,
        0.014,
        {15: 1.0, 17: 0.25},
        0.35,
    ),
    'above the chin': Fold(
        (((0.0, 6.415), (0.08, 6.417), (0.16, 6.44)),),
        0.02,
        0.014,
        {17: 1.0, 24: 0.4, 15: 0.4},
        0.1,
    ),
    'chin': Fold(
        tuple(
            ((x, y), (x + 0.012, y + 0.006))
            for x, y in (
                *((0.02, 6.36), (0.07, 6.37), (0.12, 6.35), (0.04, 6.31)),
                *((0.1, 6.3), (0.02, 6.27), (0.07, 6.25), (0.14, 6.31)),
            )
        ),
        0.012,
        0.009,
        {17: 1.0, 24: 0.25},
    ),
    'upper lip': Fold(
        tuple(((x, 6.715), (x * 1.08, 6.775)) for x in (0.03, 0.075, 0.12, 0.165)),
        0.01,
        0.007,
        {18: 1.0, 24: 0.6},
        0.25,
    ),
}

# Units that share a line do not deepen it without end.
_DEEPEST: Final = 1.2

# Depth at which a furrow hides all of the surroundings, dm.
_HIDING: Final = 0.03

# The frontal canvas on which lines are drawn: px per dm, its corner and its size.
_SCALE = 400.0
_LEFT, _TOP = -0.75, 8.1
_SIZE = (600, 800)
# What is drawn around a line; how far it acts beside it; where it runs out at its ends.
_MARGIN_PX, _REACH_PX, _TAPER_PX = 60, 18, 12


@dataclass(frozen=True, slots=True)
class Wrinkles:
    """A person's lines.

    Attributes:
        relief: float32 [800, 600, 3] on the frontal canvas: slope towards x and y, and 0-1 how
            much of the surroundings a furrow hides, all at weight 1.
        rest: float32 [V], weight of the lines at each vertex of the face at rest.
        gain: float32 [36, V], weight that each channel (left and right of each unit of
            facs.CODES) adds at value 1.
    """

    relief: NDArray[np.float32]
    rest: NDArray[np.float32]
    gain: NDArray[np.float32]

    def weight(self, channels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how deep the lines are at each vertex, float32 [V], for a rig's channels."""
        units = channels[: len(self.gain)]
        active = np.flatnonzero(units)
        total = self.rest + units[active] @ self.gain[active]
        return np.asarray(_DEEPEST * np.tanh(total / _DEEPEST), np.float32)


def sample_wrinkles(
    rng: np.random.Generator, template: NDArray[np.float32], age: float
) -> Wrinkles:
    """Sample a person's lines.

    Args:
        rng: Draws where exactly the lines run, how wide they are and how deep they get.
        template: float32 [V, 3], vertices of the template, dm.
        age: 0 (young adult) to 1 (old).
    """
    height = np.zeros(_SIZE[::-1], np.float32)
    gain = np.zeros((2 * len(facs.CODES), len(template)), np.float32)
    rest = np.zeros(len(template), np.float32)
    depth = rng.uniform(0.5, 0.9) + 0.7 * age
    front = template[:, 2] > 0.75
    for fold in FOLDS.values():
        strength = depth * rng.uniform(0.6, 1.3)
        for side in (0, 1):
            near = np.zeros_like(height)
            for line in fold.lines:
                _draw_line(rng, fold, line, 1 - 2 * side, height, near)
            weight = _look_up(near, template[:, 0], template[:, 1]) * front
            for code, value in fold.drivers.items():
                gain[2 * facs.CODES.index(code) + side] += strength * value * weight
            rest += strength * fold.age * age**2 * weight
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=_SCALE / 8)
    slope_y = -cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=_SCALE / 8)
    hidden = np.clip(-height / _HIDING, 0, 1)
    return Wrinkles(np.stack([slope_x, slope_y, hidden], axis=-1), rest, gain)


def on_chart(wrinkles: Wrinkles, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the relief at points of the template, float32 [..., 3]; 0 behind the face.

    Args:
        wrinkles: Whose.
        points: float32 [..., 3], dm; NaN where there is no head.
    """
    relief = _look_up(wrinkles.relief, points[..., 0], points[..., 1])
    with np.errstate(invalid='ignore'):
        front = np.nan_to_num(np.clip((points[..., 2] - 0.75) / 0.2, 0, 1))
    return np.asarray(relief * front[..., None], np.float32)


def _draw_line(
    rng: np.random.Generator,
    fold: Fold,
    line: Points,
    sign: int,
    height: NDArray[np.float32],
    near: NDArray[np.float32],
) -> None:
    """Draw one line into the relief (dm) and its reach (0-1), both float32 [800, 600]."""
    points = _smooth(np.array(line) + rng.normal(0, 0.006, (len(line), 2))) * (sign, 1)
    pixels = np.stack([(points[:, 0] - _LEFT) * _SCALE, (_TOP - points[:, 1]) * _SCALE], axis=1)
    low = np.maximum(pixels.min(axis=0).astype(int) - _MARGIN_PX, 0)
    high = pixels.max(axis=0).astype(int) + _MARGIN_PX
    window = np.s_[low[1] : high[1], low[0] : high[0]]
    pen = np.full(height[window].shape, 255, np.uint8)
    fixed = np.round((pixels - low) * 16).astype(np.int32)
    cv2.polylines(pen, [fixed[:, None]], False, 0, 1, cv2.LINE_8, 4)
    away = cv2.distanceTransform(pen, cv2.DIST_L2, 5) / _SCALE

    across = away / (fold.width * rng.uniform(0.8, 1.25))
    # A furrow between two low ridges: the skin is pushed aside, not taken away.
    profile = np.exp(-0.5 * across**2) - 0.35 * np.exp(-0.5 * ((across - 2.4) / 0.9) ** 2)
    profile *= -np.float32(fold.depth * rng.uniform(0.6, 1.2))
    rows, columns = np.indices(profile.shape, np.float32)
    for x, y in (pixels - low)[[0, -1]]:
        # A line runs out at its ends, but for those where both sides of the face meet.
        if abs((x + low[0]) / _SCALE + _LEFT) > 0.02:
            profile *= 1 - np.exp(-(((columns - x) ** 2 + (rows - y) ** 2) / _TAPER_PX**2))
    # Where lines meet, the deeper one shows.
    height[window] = np.where(np.abs(profile) > np.abs(height[window]), profile, height[window])
    # A line acts a little beyond where it is drawn, so that its weight does not end inside it.
    reach = np.clip(1.6 - away * _SCALE / _REACH_PX, 0, 1)
    near[window] = np.maximum(near[window], reach)


def _smooth(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a curve through 2 to 4 points: a polynomial of the length along them."""
    along = np.linspace(0, 1, len(points))
    fine = np.linspace(0, 1, 24)
    degree = min(len(points) - 1, 2)
    return np.stack(
        [np.polyval(np.polyfit(along, points[:, k], degree), fine) for k in range(2)], axis=1
    )


def _look_up(
    canvas: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return a canvas, [800, 600] or [800, 600, 3], at points of the template; 0 beside it.

    Args:
        canvas: float32.
        x: float32 [...], dm; NaN is beside it.
        y: float32, like x.
    """
    columns = np.nan_to_num((x - _LEFT) * _SCALE, nan=-9).astype(np.float32)
    rows = np.nan_to_num((_TOP - y) * _SCALE, nan=-9).astype(np.float32)
    # OpenCV knows pictures only.
    flat = (len(x), -1)
    out = cv2.remap(canvas, columns.reshape(flat), rows.reshape(flat), cv2.INTER_LINEAR)
    return np.asarray(out, np.float32).reshape(*x.shape, *canvas.shape[2:])
