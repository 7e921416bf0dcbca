"""At which times a scene is rendered: as often as its motion and its light need it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.synthesis.person.template import PIVOT

if TYPE_CHECKING:
    from microexpr_ros.synthesis.world.motion import Motion
    from microexpr_ros.synthesis.world.scene import Scene

STEP_PX: Final = 0.4
"""Farthest that anything moves between two rendered samples, px. Box-filtered edges change a
pixel in proportion to their shift below one pixel, so a straight line between samples is true
there."""

_LONGEST_STEP_NS: Final = 40_000_000
_GRID_NS: Final = 4_000_000


def render_times(
    scene: Scene,
    motion: Motion,
    start_ns: int = 0,
    end_ns: int | None = None,
    step_px: float = STEP_PX,
    with_light: bool = True,
) -> NDArray[np.int64]:
    """Return times, int64 ns, between which nothing in the picture moves over `step_px`.

    The times begin with `start_ns`, end with `end_ns` (the motion's duration if it is not
    given), are whole microseconds in between, and, unless `with_light` is off, as close as the
    scene's light needs them.
    """
    end_ns = motion.duration_ns if end_ns is None else end_ns
    grid = np.arange(start_ns, end_ns + _GRID_NS, _GRID_NS, dtype=np.int64)
    rig = scene.person.rig
    few = np.arange(0, len(rig.rest), 13)
    basis = rig.basis.reshape(len(rig.basis), -1, 3)[:, few].reshape(len(rig.basis), -1)
    moved = (motion.channels(grid) @ basis).reshape(len(grid), len(few), 3)
    pose = motion.pose(grid)
    # Small angles: the turn moves a point by angle x lever.
    lever = rig.rest[few] - PIVOT
    turned = np.cross(pose[:, None, :3], lever[None]) * rig.neck[few][:, None]
    path = moved + turned + pose[:, None, 3:] * rig.neck[few][:, None]
    scale = scene.camera.focal_px / scene.camera.distance
    picture = path[..., :2] * scale + (motion.shake(grid) * scene.camera.width)[:, None]
    steps = np.linalg.norm(np.diff(picture, axis=0), axis=2).max(axis=1)
    # Nearing the camera changes the scale; half a face away from the axis it counts this much.
    steps += np.abs(np.diff(pose[:, 5])) / scene.camera.distance * scene.camera.height / 2
    progress = np.concatenate([[0], np.cumsum(steps / step_px + _GRID_NS / _LONGEST_STEP_NS)])
    count = int(np.ceil(progress[-1]))
    times = np.interp(np.linspace(0, progress[-1], count + 1), progress, grid)
    whole = times.astype(np.int64) // 1000 * 1000
    ends = np.array([start_ns, end_ns], np.int64)
    parts = [ends, np.clip(whole, *ends)]
    if with_light and scene.light.longest_step_ns is not None:
        parts.append(np.arange(start_ns, end_ns, scene.light.longest_step_ns))
    return np.unique(np.concatenate(parts))
