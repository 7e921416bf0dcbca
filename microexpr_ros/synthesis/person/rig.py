"""How a head moves: Action Units deform it, and the neck turns and shifts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.synthesis.person.channels import GAZE, UNITS
from microexpr_ros.synthesis.person.template import FACE_CENTRE, PIVOT

if TYPE_CHECKING:
    from microexpr_ros.synthesis.person.face import FaceModel
    from microexpr_ros.synthesis.person.identity import Identity


@dataclass(frozen=True, slots=True)
class Rig:
    """A person's face units, ready to be weighted.

    Attributes:
        rest: float32 [V, 3], the head at rest, dm.
        basis: float32 [C, V * 3], displacement of each channel at value 1. The channels are
            the left and the right half of each unit of facs.CODES (2 * 18), then GAZE.
        neck: float32 [V], how much a vertex follows the head's rotation, 0-1.
    """

    rest: NDArray[np.float32]
    basis: NDArray[np.float32]
    neck: NDArray[np.float32]

    def pose(self, channels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vertices, float32 [V, 3], for the values of the channels, float32 [C]."""
        active = np.flatnonzero(channels)
        moved = channels[active] @ self.basis[active]
        return self.rest + moved.reshape(self.rest.shape)


def build_rig(model: FaceModel, identity: Identity) -> Rig:
    """Return the face units of a person, Action Units split in left and right halves."""
    # Where a face unit has no sides, a soft cut at the nose gives it two.
    left = 0.5 * (1 + np.tanh(model.vertices[:, :1] / 0.08))
    rows = []
    for index, code in enumerate(facs.CODES):
        for side, half in (('Left', left), ('Right', 1 - left)):
            total = np.zeros_like(model.vertices)
            for unit, weight in UNITS[code].items():
                if unit == 'browInnerUp*':
                    total += weight * model.units['browInnerUp'] * half
                elif unit.endswith('*'):
                    total += weight * model.units[unit[:-1] + side]
                else:
                    total += weight * model.units[unit] * half
            rows.append(total * identity.mobility[index])
    rows += [model.units[unit] for unit in GAZE]
    neck = _smoothstep(5.55, 6.35, model.vertices[:, 1])
    basis = np.stack(rows).reshape(len(rows), -1).astype(np.float32)
    return Rig(identity.vertices, np.ascontiguousarray(basis), neck.astype(np.float32))


def place_head(
    vertices: NDArray[np.float32],
    rig: Rig,
    turn: NDArray[np.float64],
    pose: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Turn and shift the head on its neck, and put the face's centre at the origin.

    Args:
        vertices: float32 [V, 3], dm.
        rig: Says by `neck` [V] how far each vertex follows the head.
        turn: float64 [3], rotation of the head at rest, rad.
        pose: float64 [6], rotation (rad) and translation (dm) from there.
    """
    angles = turn + pose[:3]
    lever = vertices - PIVOT
    rotated = lever @ rotation(angles).T.astype(np.float32) + pose[3:].astype(np.float32)
    out = PIVOT + lever + rig.neck[:, None] * (rotated - lever)
    return np.asarray(out - np.array(FACE_CENTRE, np.float32), np.float32)


def rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix of rotations about z, then x, then y."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z, np.float64)


def _smoothstep(low: float, high: float, x: NDArray[np.float32]) -> NDArray[np.float32]:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
