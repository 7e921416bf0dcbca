"""What moves in front of the cameras, at any time: Action Units, gaze, the head, the camera."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.synthesis.person.channels import CHANNELS

TOGETHER_NS: Final = 30_000_000
"""Units that begin within this of each other are one movement."""


@dataclass(frozen=True, slots=True)
class UnitActivation:
    """One unit's rise and fall.

    Attributes:
        code: FACS code.
        onset_ns, apex_ns, release_ns, offset_ns: begin, full, begin of the fall, end.
        amplitude: intensity at the apex, 0-1.
        left: share of it on the subject's left, 0-1; the stronger side has 1.
        right: share of it on the subject's right, 0-1.
    """

    code: int
    onset_ns: int
    apex_ns: int
    release_ns: int
    offset_ns: int
    amplitude: float
    left: float = 1.0
    right: float = 1.0

    def level(self, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the intensity, float64 [N], at times t_ns: minimum-jerk rise and fall."""
        times = self.onset_ns, self.apex_ns, self.release_ns, self.offset_ns
        return self.amplitude * _rise_and_fall(t_ns, *times)


@dataclass(frozen=True, slots=True)
class Wave:
    """A slow, smooth wander: a sum of sines.

    Attributes:
        amplitude: float64 [K].
        hz: float64 [K].
        phase: float64 [K], rad.
    """

    amplitude: NDArray[np.float64]
    hz: NDArray[np.float64]
    phase: NDArray[np.float64]

    def level(self, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the value, float64 [N], at times t_ns."""
        seconds = np.asarray(t_ns, np.float64)[:, None] * 1e-9
        waves = self.amplitude * np.sin(2 * np.pi * self.hz * seconds + self.phase)
        return np.asarray(waves.sum(axis=1), np.float64)


REST: Final = Wave(np.zeros(1), np.zeros(1), np.zeros(1))


@dataclass(frozen=True, slots=True)
class Gaze:
    """A saccade: from t_ns on the eyes look elsewhere.

    Attributes:
        t_ns: when it begins.
        duration_ns: how long it takes.
        horizontal: to the subject's left, -1 to 1 of the face unit's range.
        vertical: up, likewise.
    """

    t_ns: int
    duration_ns: int
    horizontal: float
    vertical: float


@dataclass(frozen=True, slots=True)
class HeadTurn:
    """The head turns about one axis, or moves along it, and back if the clip lasts.

    Attributes:
        axis: 0, 1 or 2: about x (nodding), y (shaking) or z (tilting); 3, 4 or 5: along x, y, z.
        onset_ns, apex_ns, release_ns, offset_ns: begin, full, begin of the return, end.
        angle: at its height, rad; dm along an axis.
    """

    axis: int
    onset_ns: int
    apex_ns: int
    release_ns: int
    offset_ns: int
    angle: float

    def level(self, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the angle, float64 [N], at times t_ns, rad."""
        times = self.onset_ns, self.apex_ns, self.release_ns, self.offset_ns
        return self.angle * _rise_and_fall(t_ns, *times)


@dataclass(frozen=True, slots=True, eq=False)
class Instant:
    """A motion at one instant.

    Attributes:
        t_ns: time since the motion began.
        channels: float32 [CHANNELS], values of the rig's channels, 0-1.
        pose: float64 [6], rotation (rad) and translation (dm) of the head from rest.
        shake: float64 [2], by which the camera's shaking moves the picture, of its width.
    """

    t_ns: int
    channels: NDArray[np.float32]
    pose: NDArray[np.float64]
    shake: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Motion:
    """Everything that moves in a clip, at any time.

    Attributes:
        duration_ns: length of the clip.
        activations: the units' movements.
        gaze: saccades in order of time.
        head: six waves: rotation about x, y, z (rad), translation along x, y, z (dm).
        turns: nods and turns, added to the head's waves.
        camera: two waves: how its shaking moves the picture along columns and rows, of its width.
        dominant: FACS code of the main unit, 0 for none.
        onset_ns, apex_ns, offset_ns: of the main unit, 0 for none.
        amplitude: intensity of the main unit at its apex.
        distractors: names of other movements, see `dataset.clip.TakeMetadata`.
    """

    duration_ns: int
    activations: tuple[UnitActivation, ...]
    gaze: tuple[Gaze, ...]
    head: tuple[Wave, ...]
    turns: tuple[HeadTurn, ...]
    camera: tuple[Wave, ...]
    dominant: int = 0
    onset_ns: int = 0
    apex_ns: int = 0
    offset_ns: int = 0
    amplitude: float = 0.0
    distractors: tuple[str, ...] = ()

    def channels(self, t_ns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the values of a rig's channels, float32 [N, CHANNELS], 0-1."""
        out = np.zeros((len(t_ns), CHANNELS))
        for activation in self.activations:
            level = activation.level(t_ns)
            at = 2 * facs.CODES.index(activation.code)
            # Two movements of one muscle do not add up: the stronger one shows.
            out[:, at] = np.maximum(out[:, at], activation.left * level)
            out[:, at + 1] = np.maximum(out[:, at + 1], activation.right * level)
        horizontal, vertical = np.zeros(len(t_ns)), np.zeros(len(t_ns))
        for saccade in self.gaze:
            share = _minimum_jerk((t_ns - saccade.t_ns) / saccade.duration_ns)
            horizontal += (saccade.horizontal - horizontal) * share
            vertical += (saccade.vertical - vertical) * share
        out[:, -8] = out[:, -3] = np.maximum(-horizontal, 0)
        out[:, -7] = out[:, -4] = np.maximum(horizontal, 0)
        out[:, -6] = out[:, -2] = np.maximum(vertical, 0)
        out[:, -5] = out[:, -1] = np.maximum(-vertical, 0)
        return out.astype(np.float32)

    def sides(self, t_ns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the units' intensities, float32 [N, 18, 2]: subject's left and right, 0-1."""
        channels = self.channels(t_ns)[:, : 2 * len(facs.CODES)]
        return np.asarray(np.clip(channels.reshape(len(t_ns), -1, 2), 0, 1), np.float32)

    def intensity(self, t_ns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the units' intensities, float32 [N, 18]: the stronger side, 0-1."""
        return np.asarray(self.sides(t_ns).max(axis=2), np.float32)

    def pose(self, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return head rotation (rad) and translation (dm), float64 [N, 6]."""
        out = np.stack([wave.level(t_ns) for wave in self.head], axis=1)
        for turn in self.turns:
            out[:, turn.axis] += turn.level(t_ns)
        return out

    def shake(self, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how far the camera's shaking moves the picture, float64 [N, 2], of its width."""
        return np.stack([wave.level(t_ns) for wave in self.camera], axis=1)

    def instants(self, t_ns: NDArray[np.int64]) -> list[Instant]:
        """Return everything that moves, at each of the times t_ns, int64 [N]."""
        times = np.asarray(t_ns, np.int64)
        rows = zip(
            times.tolist(), self.channels(times), self.pose(times), self.shake(times), strict=True
        )
        return [Instant(*row) for row in rows]


def single(code: int, amplitude: float, rise_ns: int) -> Motion:
    """Return one unit's rise from rest, with nothing else that moves."""
    activation = UnitActivation(code, 0, rise_ns, 2 * rise_ns, 3 * rise_ns, amplitude)
    times = 0, rise_ns, 3 * rise_ns
    rest = (REST,) * 6, (), (REST,) * 2
    return Motion(rise_ns, (activation,), (), *rest, code, *times, amplitude)


def delayed(activation: UnitActivation, by_ns: int) -> UnitActivation:
    """Return the same movement at a later time."""
    return replace(
        activation,
        onset_ns=activation.onset_ns + by_ns,
        apex_ns=activation.apex_ns + by_ns,
        release_ns=activation.release_ns + by_ns,
        offset_ns=activation.offset_ns + by_ns,
    )


def _rise_and_fall(
    t_ns: NDArray[np.int64], start_ns: int, full_ns: int, release_ns: int, end_ns: int
) -> NDArray[np.float64]:
    """Return 0 to 1 and back to 0, float64 [N]."""
    rise = _minimum_jerk((t_ns - start_ns) / max(full_ns - start_ns, 1))
    fall = _minimum_jerk((t_ns - release_ns) / max(end_ns - release_ns, 1))
    return np.asarray(rise * (1 - fall), np.float64)


def _minimum_jerk(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the minimum-jerk path from 0 to 1 (Flash and Hogan 1985)."""
    x = np.clip(x, 0, 1)
    return np.asarray(x**3 * (10 - 15 * x + 6 * x * x), np.float64)
