"""How the picture of a face changes with what moves, rendered once per scene."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.atomic import atomic_target
from microexpr_ros.events.kernel import kernel
from microexpr_ros.synthesis.person.channels import CHANNELS
from microexpr_ros.synthesis.person.face import load
from microexpr_ros.synthesis.person.rig import place_head
from microexpr_ros.synthesis.world import renderer
from microexpr_ros.synthesis.world.labels import LANDMARKS
from microexpr_ros.synthesis.world.motion import Instant
from microexpr_ros.synthesis.world.scene import Scene

# Knots are half a pixel of movement apart where micro-expressions are, two pixels beyond. Between
# two knots the logarithm of radiance runs in a straight line.
_FINE_PX: Final = 0.5
_COARSE_PX: Final = 2.0
_FINE_UP_TO: Final = 0.4
_LEAST_FINE: Final = 5
_LEAST_COARSE: Final = 2

# No sensor sees a change of the logarithm below this.
_VISIBLE: Final = 2e-3
_DARKEST_LUX: Final = 1e-3

# Small enough for the pose's flow to be its derivative, large enough for single precision.
_POSE_STEP: Final = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class AppearanceChange:
    """What one movement does to the logarithm of the face's radiance.

    Attributes:
        knots: float32 [K], values of the movement's channel, increasing from 0 to 1.
        delta: float32 [K, height, width], change of the patch at each knot; 0 at the first.
        row: first row of the patch in the picture.
        column: first column of it.
        reach_px: farthest that the movement displaces a point of the face at value 1, px.
    """

    knots: NDArray[np.float32]
    delta: NDArray[np.float32]
    row: int
    column: int
    reach_px: float


@dataclass(frozen=True, slots=True, eq=False)
class AppearanceBasis:
    """The picture of a scene as a function of what moves.

    Attributes:
        rest: float32 [height, width], logarithm of radiance (lux) of the face at rest.
        background: float32 [height, width], logarithm of the background's radiance.
        face: float32 [height, width], share of each pixel that shows the head, 0-1.
        left: float32 [height, width], share of the head there that is the subject's left, 0-1.
        flow: float32 [6, 2, height, width], displacement of what each pixel shows, in columns
            and rows, by 1 rad or 1 dm of each coordinate of the head's pose.
        changes: one for each unit of facs.CODES, both sides together; then one for each direction
            of gaze, both eyes together: the first four channels of face units of gaze.
        landmarks: float32 [68, 2], column and row of labels.LANDMARKS at rest, px.
    """

    rest: NDArray[np.float32]
    background: NDArray[np.float32]
    face: NDArray[np.float32]
    left: NDArray[np.float32]
    flow: NDArray[np.float32]
    changes: tuple[AppearanceChange, ...]
    landmarks: NDArray[np.float32]


def measure_basis(scene: Scene) -> AppearanceBasis:
    """Render a scene at rest and under each movement: some 200 pictures, two seconds.

    Changes of two movements at once are added: true where they change different pixels, and
    nearly so where both are small.
    """
    rig, camera = scene.person.rig, scene.camera
    rest = _log_radiance(scene, np.zeros(CHANNELS, np.float32))
    displacements = rig.basis.reshape(CHANNELS, -1, 3)
    reach_px = np.linalg.norm(displacements, axis=2).max(axis=1)
    reach_px *= camera.focal_px / camera.distance

    changes = []
    for channels in _movements():
        reach = float(reach_px[channels].max())
        knots = _choose_knots(reach)
        pictures = [rest]
        for knot in knots[1:]:
            values = np.zeros(CHANNELS, np.float32)
            values[channels] = knot
            pictures.append(_log_radiance(scene, values))
        changes.append(_crop(knots, np.stack(pictures) - rest, reach))

    screen = _project(scene, np.zeros(6))
    flows = []
    for coordinate in range(6):
        pose = np.zeros(6)
        pose[coordinate] = _POSE_STEP
        flows.append((_project(scene, pose) - screen)[:, :2] / _POSE_STEP)
    one = np.ones((len(screen), 1), np.float32)
    side = 0.5 * (1 + np.tanh(load().vertices[:, :1] / 0.08))
    attributes = np.concatenate([one, side, *flows], axis=1).astype(np.float32)
    pixels = _rasterize(screen, scene.surface.triangles, attributes, *rest.shape)
    flow = pixels[..., 2:].transpose(2, 0, 1).reshape(6, 2, *rest.shape)
    return AppearanceBasis(
        rest,
        _logarithm(scene.background[..., 0]),
        np.ascontiguousarray(pixels[..., 0]),
        np.ascontiguousarray(pixels[..., 1]),
        np.ascontiguousarray(flow),
        tuple(changes),
        screen[np.array(LANDMARKS), :2],
    )


def write_basis(path: Path, basis: AppearanceBasis) -> None:
    """Write a basis, in half precision: 1 to 12 MB."""
    arrays = {name: getattr(basis, name) for name in _PICTURES}
    for number, change in enumerate(basis.changes):
        arrays[f'delta_{number}'] = change.delta
    content: dict[str, Any] = {name: array.astype(np.float16) for name, array in arrays.items()}
    for number, change in enumerate(basis.changes):
        content[f'knots_{number}'] = change.knots
    content['places'] = [(change.row, change.column, change.reach_px) for change in basis.changes]
    content['landmarks'] = basis.landmarks
    with atomic_target(path, replace=True) as hidden, hidden.open('wb') as file:
        np.savez(file, **content)


def read_basis(path: Path) -> AppearanceBasis:
    """Read what `write_basis` wrote."""
    with np.load(path) as arrays:
        changes = tuple(
            AppearanceChange(
                arrays[f'knots_{number}'],
                arrays[f'delta_{number}'].astype(np.float32),
                int(row),
                int(column),
                float(reach_px),
            )
            for number, (row, column, reach_px) in enumerate(arrays['places'])
        )
        pictures = {name: arrays[name].astype(np.float32) for name in _PICTURES}
        return AppearanceBasis(**pictures, changes=changes, landmarks=arrays['landmarks'])


_PICTURES: Final = tuple(
    field.name for field in fields(AppearanceBasis) if field.name not in ('changes', 'landmarks')
)


def _movements() -> list[list[int]]:
    """Return the channels that are rendered together: both sides of a unit, both eyes."""
    first_gaze = 2 * len(facs.CODES)
    # The left eye looks out to the subject's left where the right one looks in.
    eyes = ((0, 5), (1, 4), (2, 6), (3, 7))
    units = [[2 * unit, 2 * unit + 1] for unit in range(len(facs.CODES))]
    return [*units, *([first_gaze + eye for eye in pair] for pair in eyes)]


def _log_radiance(scene: Scene, channels: NDArray[np.float32]) -> NDArray[np.float32]:
    return _logarithm(scene.radiance(Instant(0, channels, np.zeros(6), np.zeros(2))))


def _logarithm(radiance: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.log(np.maximum(radiance, _DARKEST_LUX)), np.float32)


def _project(scene: Scene, pose: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return column, row and nearness of the vertices of a face at rest in a pose."""
    rig = scene.person.rig
    vertices = place_head(rig.rest, rig, scene.turn, pose)
    return renderer.project(vertices, scene.camera, np.array([0, 0, 1], np.float32))


def _choose_knots(reach_px: float) -> NDArray[np.float32]:
    fine = max(int(np.ceil(_FINE_UP_TO * reach_px / _FINE_PX)), _LEAST_FINE)
    coarse = max(int(np.ceil((1 - _FINE_UP_TO) * reach_px / _COARSE_PX)), _LEAST_COARSE)
    low = np.linspace(0, _FINE_UP_TO, fine + 1)
    return np.concatenate([low, np.linspace(_FINE_UP_TO, 1, coarse + 1)[1:]]).astype(np.float32)


def _crop(
    knots: NDArray[np.float32], delta: NDArray[np.float32], reach_px: float
) -> AppearanceChange:
    """Keep the smallest patch that holds every visible change."""
    seen = np.abs(delta).max(axis=0) > _VISIBLE
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if len(rows) == 0:
        return AppearanceChange(knots, delta[:, :1, :1].copy(), 0, 0, reach_px)
    inside = delta[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return AppearanceChange(
        knots, np.ascontiguousarray(inside), int(rows[0]), int(columns[0]), reach_px
    )


@kernel
def _rasterize(
    screen: NDArray[np.float32],
    triangles: NDArray[np.int32],
    attributes: NDArray[np.float32],
    height: int,
    width: int,
) -> NDArray[np.float32]:
    """Return attributes of the nearest surface at the middle of each pixel, float32 [H, W, A]."""
    out = np.zeros((height, width, attributes.shape[1]), np.float32)
    nearest = np.zeros((height, width), np.float32)
    for f in range(len(triangles)):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        a, b, c = screen[i], screen[j], screen[k]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        # Rows grow downwards, so a triangle that faces the camera has a negative area.
        if area > -1e-7:
            continue
        x0 = max(int(np.floor(min(a[0], b[0], c[0]) - 0.5)), 0)
        x1 = min(int(np.ceil(max(a[0], b[0], c[0]) + 0.5)), width)
        y0 = max(int(np.floor(min(a[1], b[1], c[1]) - 0.5)), 0)
        y1 = min(int(np.ceil(max(a[1], b[1], c[1]) + 0.5)), height)
        for y in range(y0, y1):
            for x in range(x0, x1):
                px, py = x + 0.5, y + 0.5
                wa = ((b[0] - px) * (c[1] - py) - (b[1] - py) * (c[0] - px)) / area
                wb = ((c[0] - px) * (a[1] - py) - (c[1] - py) * (a[0] - px)) / area
                wc = 1 - wa - wb
                if wa < 0 or wb < 0 or wc < 0:
                    continue
                z = wa * a[2] + wb * b[2] + wc * c[2]
                if z > nearest[y, x]:
                    nearest[y, x] = z
                    for n in range(attributes.shape[1]):
                        value = wa * attributes[i, n] + wb * attributes[j, n]
                        out[y, x, n] = value + wc * attributes[k, n]
    return out
