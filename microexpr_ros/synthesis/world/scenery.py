"""What is around the faces on a whole sensor: a wall, shoulders, things that pass by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.synthesis.world.motion import Wave
from microexpr_ros.synthesis.world.motion_sampling import sample_wave

_TEXTURE: Final = 256
"""Rows and columns of the texture of a wall and of a thing."""


@dataclass(frozen=True, slots=True)
class Path:
    """How a thing moves: evenly, and by a wander around that.

    Attributes:
        start: column and row at time 0, as shares of the picture's width.
        velocity: per second, likewise.
        wander: two waves, along columns and rows, likewise.
        angle: at time 0, rad.
        spin: rad / s.
    """

    start: tuple[float, float]
    velocity: tuple[float, float]
    wander: tuple[Wave, Wave]
    angle: float = 0.0
    spin: float = 0.0

    def at(self, t_ns: int) -> tuple[float, float, float]:
        """Return column, row and angle at a time."""
        t_s = t_ns * 1e-9
        x, y = (
            start + speed * t_s + float(wave.level(np.array([t_ns]))[0])
            for start, speed, wave in zip(self.start, self.velocity, self.wander, strict=True)
        )
        return x, y, self.angle + self.spin * t_s


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """A flat thing with a texture.

    Attributes:
        texture: float32 [R, C], radiance, lux.
        cover: float32 [R, C], 0-1, how much of what is behind it hides.
        size: width of the texture, as a share of the picture's width.
        path: of its centre.
    """

    texture: NDArray[np.float32]
    cover: NDArray[np.float32]
    size: float
    path: Path

    def draw(self, picture: NDArray[np.float32], t_ns: int, shake: NDArray[np.float64]) -> None:
        """Draw it into a picture, in place.

        Args:
            picture: float32 [height, width], radiance, lux.
            t_ns: Time.
            shake: float64 [2], by which the camera's shaking moves the picture, of its width.
        """
        height, width = picture.shape
        x, y, angle = self.path.at(t_ns)
        rows, columns = self.texture.shape
        scale = self.size * width / columns
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = (np.array([x, y]) + shake) * width
        # Only the part of the picture in which it is, as most things are small.
        reach = np.abs(turn) @ (columns / 2, rows / 2) + 1
        left, top = np.maximum(np.floor(centre - reach), 0).astype(int)
        right, bottom = np.minimum(np.ceil(centre + reach), (width, height)).astype(int)
        if left >= right or top >= bottom:
            return
        within = centre - (left, top)
        matrix = np.column_stack([turn, within - turn @ (columns / 2, rows / 2)])
        size = int(right - left), int(bottom - top)
        cover = cv2.warpAffine(self.cover, matrix, size)
        texture = cv2.warpAffine(self.texture, matrix, size, borderMode=cv2.BORDER_REPLICATE)
        part = picture[top:bottom, left:right]
        part += cover * (texture - part)


@dataclass(frozen=True, slots=True, eq=False)
class Scenery:
    """What is around the faces.

    Attributes:
        wall: float32 [_TEXTURE, _TEXTURE], radiance, lux; it goes on periodically.
        scale: width of the wall's texture, as a share of the picture's width.
        path: of the wall.
        behind: what is drawn in front of the wall, behind the heads.
        before: what is drawn in front of the heads.
    """

    wall: NDArray[np.float32]
    scale: float
    path: Path
    behind: tuple[Thing, ...]
    before: tuple[Thing, ...]

    @property
    def speed(self) -> float:
        """Greatest speed of anything in it, shares of the picture's width per second."""
        paths = self.path, *(thing.path for thing in (*self.behind, *self.before))
        return max(_speed(path) for path in paths)

    def background(
        self, height: int, width: int, t_ns: int, shake: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Return what is behind the heads at a time, float32 [height, width], radiance, lux."""
        x, y, angle = self.path.at(t_ns)
        scale = self.scale * width / _TEXTURE
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = np.column_stack([turn, (np.array([x, y]) + shake) * width])
        picture = cv2.warpAffine(
            self.wall, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
        for thing in self.behind:
            thing.draw(picture, t_ns, shake)
        return np.asarray(picture, np.float32)

    def cover(self, picture: NDArray[np.float32], t_ns: int, shake: NDArray[np.float64]) -> None:
        """Draw what passes in front of the heads, in place."""
        for thing in self.before:
            thing.draw(picture, t_ns, shake)


def _speed(path: Path) -> float:
    waves = sum(float((2 * np.pi * wave.hz * wave.amplitude).sum()) for wave in path.wander)
    return float(np.hypot(*path.velocity)) + waves + 0.15 * abs(path.spin)


def sample_scenery(
    rng: np.random.Generator,
    level: float,
    aspect: float,
    shoulders: tuple[Thing, ...],
    moves: float,
) -> Scenery:
    """Sample a wall and things that pass by.

    Args:
        rng: Random numbers.
        level: Radiance of a white wall, lux.
        aspect: Height of the picture over its width.
        shoulders: Of the persons, behind their heads.
        moves: Chance that the wall moves, and that things pass by.
    """
    velocity, wander = (0.0, 0.0), 0.0
    if rng.random() < 0.6 * moves:
        velocity = _velocity(rng, 0.02, 0.4)
        wander = float(rng.uniform(0, 0.03))
    path = Path(
        (float(rng.random()), float(rng.random())),
        velocity,
        (sample_wave(rng, wander, 0.3, 2), sample_wave(rng, wander, 0.3, 2)),
        float(rng.uniform(-np.pi, np.pi)),
    )
    behind, before = [], []
    for _ in range(int(rng.integers(1, 5)) if rng.random() < moves else 0):
        (behind if rng.random() < 0.65 else before).append(_sample_thing(rng, level, aspect))
    wall = level * _texture(rng) * float(np.exp(rng.uniform(np.log(0.1), 0)))
    scale = float(np.exp(rng.uniform(np.log(0.6), np.log(2.5))))
    return Scenery(wall, scale, path, (*behind, *shoulders), tuple(before))


def sample_shoulders(
    rng: np.random.Generator, level: float, face: tuple[float, float, float]
) -> Thing:
    """Sample the shoulders below a head.

    Args:
        rng: Random numbers.
        level: Radiance of a white shirt, lux.
        face: Column and row of the face's centre, and its height from chin to hairline, as
            shares of the picture's width.
    """
    x, y, height = face
    cover = np.zeros((_TEXTURE, _TEXTURE), np.uint8)
    half, slope = int(rng.uniform(0.34, 0.48) * _TEXTURE), int(rng.uniform(20, 50))
    middle = _TEXTURE // 2
    neck = int(rng.uniform(0.07, 0.1) * _TEXTURE)
    outline = [
        (middle - neck, 4), (middle + neck, 4), (middle + half - 12, 4 + slope),
        (middle + half, 24 + slope), (middle + half + 8, _TEXTURE), (middle - half - 8, _TEXTURE),
        (middle - half, 24 + slope), (middle - half + 12, 4 + slope),
    ]  # fmt: skip
    cv2.fillPoly(cover, [np.array(outline)], 255)
    size = height * float(rng.uniform(2.6, 3.4))
    drop = height * float(rng.uniform(0.5, 0.65)) + size / 2
    sway = float(rng.uniform(0, 0.02)) * height
    path = Path(
        (x, y + drop),
        (0, 0),
        (sample_wave(rng, sway, 0.15, 1), sample_wave(rng, 0.3 * sway, 0.15, 1)),
    )
    shade = level * float(np.exp(rng.uniform(np.log(0.05), np.log(0.8))))
    soft = cv2.GaussianBlur(cover, (0, 0), 1.5).astype(np.float32) / 255
    return Thing(shade * _texture(rng), soft, size, path)


def _sample_thing(rng: np.random.Generator, level: float, aspect: float) -> Thing:
    cover = np.zeros((_TEXTURE, _TEXTURE), np.uint8)
    middle = _TEXTURE // 2
    kind = rng.integers(3)
    axes = tuple(int(a) for a in rng.uniform(0.2, 0.48, 2) * _TEXTURE)
    if kind == 0:
        cv2.ellipse(cover, (middle, middle), axes, 0, 0, 360, 255, -1)
    elif kind == 1:
        cv2.rectangle(
            cover,
            (middle - axes[0], middle - axes[1]),
            (middle + axes[0], middle + axes[1]),
            255,
            -1,
        )
    else:
        corners = int(rng.integers(5, 12))
        angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
        radius = rng.uniform(0.15, 0.48, corners) * _TEXTURE
        points = middle + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
        cv2.fillPoly(cover, [points.astype(np.int32)], 255)
    velocity = _velocity(rng, 0.05, 0.8)
    # It crosses the middle part of the picture in the first seconds.
    place = np.array([rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9) * aspect])
    start = place - np.array(velocity) * rng.uniform(0, 2.5)
    wander = float(rng.uniform(0, 0.05))
    path = Path(
        (float(start[0]), float(start[1])),
        velocity,
        (sample_wave(rng, wander, 0.3, 2), sample_wave(rng, wander, 0.3, 2)),
        float(rng.uniform(-np.pi, np.pi)),
        float(rng.normal(0, 0.7)) if rng.random() < 0.5 else 0.0,
    )
    size = float(np.exp(rng.uniform(np.log(0.08), np.log(0.6))))
    shade = level * float(np.exp(rng.uniform(np.log(0.1), 0)))
    soft = cv2.GaussianBlur(cover, (0, 0), 1.0).astype(np.float32) / 255
    return Thing(shade * _texture(rng), soft, size, path)


def _velocity(rng: np.random.Generator, low: float, high: float) -> tuple[float, float]:
    speed, way = float(np.exp(rng.uniform(np.log(low), np.log(high)))), rng.uniform(0, 2 * np.pi)
    return float(speed * np.cos(way)), float(0.6 * speed * np.sin(way))


def _texture(rng: np.random.Generator) -> NDArray[np.float32]:
    """Sample a periodic texture, float32 [_TEXTURE, _TEXTURE], 0.03 to 1."""
    out = np.zeros((_TEXTURE, _TEXTURE))
    for cells in (2, 4, 8, 16, 32, 64):
        weight = rng.random() ** 3 * cells ** -rng.uniform(0, 0.7)
        pattern = rng.standard_normal((cells, cells)).astype(np.float32)
        wrapped = np.pad(pattern, 2, mode='wrap')
        size = _TEXTURE * (cells + 4) // cells
        large = cv2.resize(wrapped, (size, size), interpolation=cv2.INTER_CUBIC)
        margin = 2 * _TEXTURE // cells
        out += weight * large[margin : margin + _TEXTURE, margin : margin + _TEXTURE]
    if rng.random() < 0.35:
        # Stripes, frames, shelves: straight edges that are long.
        angle = int(rng.integers(1, 7)), int(rng.integers(0, 7))
        u, v = np.meshgrid(np.arange(_TEXTURE), np.arange(_TEXTURE))
        wave = np.sin(2 * np.pi * (angle[0] * u + angle[1] * v) / _TEXTURE)
        out += rng.uniform(0.2, 1.0) * np.sign(wave - rng.uniform(-0.8, 0.8))
    for _ in range(int(rng.integers(0, 8))):
        left, top = rng.integers(0, _TEXTURE, 2)
        across, down = rng.integers(8, 100, 2)
        out[top : top + down, left : left + across] += rng.normal(0, 0.7)
    spread = rng.uniform(0.0, 1.1) / max(float(out.std()), 1e-6)
    out = np.exp(spread * (out - out.mean()) * 0.7 - 0.7)
    return np.clip(out, 0.03, 1).astype(np.float32)
