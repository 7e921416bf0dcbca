"""What a face is painted with: procedural skins, or photographs in the mesh's UV map.

A procedural skin is painted in the template's own coordinates: every texel of the head's chart
knows which point of the face it covers, so brows, lips, stubble and hair are drawn where they
grow. Everything is linear albedo, in RGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.person import hair
from microexpr_ros.synthesis.person.face import (
    CHART_ASPECT,
    PATCH_COLUMNS,
    PATCHES,
    FaceModel,
    Material,
    chart_positions,
    cut_chart,
)
from microexpr_ros.synthesis.person.hair import Style
from microexpr_ros.synthesis.person.identity import Identity

LUMA: Final = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Linear RGB to luminance (ITU-R BT.709)."""

ROWS: Final = 1024

# The frontal canvas on which brows, beard and freckles are drawn: px per dm, and its corner.
_CANVAS_SCALE = 560.0
_CANVAS_LEFT, _CANVAS_TOP = -0.9, 8.6
_CANVAS_SIZE = (1008, 1400)

# Linear albedo from light to dark skin, after the spread of measured reflectance (Weyrich et
# al., Analysis of Human Faces using a Measurement-Based Skin Reflectance Model, 2006).
_TONES = np.array(
    [
        [0.62, 0.41, 0.32],
        [0.53, 0.32, 0.23],
        [0.43, 0.25, 0.16],
        [0.30, 0.16, 0.095],
        [0.17, 0.085, 0.05],
        [0.09, 0.05, 0.033],
    ],
    np.float32,
)
_HAIR = np.array(
    [[0.014, 0.011, 0.009], [0.035, 0.02, 0.012], [0.09, 0.05, 0.025], [0.24, 0.16, 0.08],
     [0.35, 0.33, 0.31]],
    np.float32,
)  # fmt: skip
_IRIS = np.array(
    [[0.045, 0.022, 0.012], [0.09, 0.05, 0.02], [0.11, 0.12, 0.06], [0.12, 0.18, 0.25]], np.float32
)


@dataclass(frozen=True, slots=True)
class Skin:
    """A painted head.

    Attributes:
        name: `procedural-<number>`, or the file's name and the number.
        atlas: float32 [1024, 768, 3], linear albedo.
    """

    name: str
    atlas: NDArray[np.float32]


def paint(
    model: FaceModel, identity: Identity, number: int, photograph: Path | None = None
) -> Skin:
    """Paint a person.

    Args:
        model: Gives the chart.
        identity: Tone, greying, beard and hairline go with sex, age and ancestry.
        number: The skin; the same number and identity give the same picture.
        photograph: A skin in the mesh's UV map (.jpg or .png) to use in place of paint.

    Raises:
        MicroexprError: The photograph cannot be read.
    """
    rng = np.random.default_rng([number, identity.number, 0x5C1])
    points = positions(model)
    if photograph is None:
        chart, tone = _paint_chart(model, points, identity, rng)
        name = f'procedural-{number}'
    else:
        chart, tone = _develop(points, photograph, rng)
        name = f'{photograph.stem}-{number}'
    colour = _hair_colour(identity, tone, rng)
    _paint_hair(model, chart, points, identity, (tone, colour), rng)
    chart = _fill(chart, np.isnan(points[..., 0]))
    atlas = np.empty((ROWS, CHART_ASPECT[1], 3), np.float32)
    atlas[:] = tone
    atlas[:, : CHART_ASPECT[0]] = chart
    _paint_patches(atlas, tone, colour, rng)
    return Skin(name, np.clip(atlas, 0.002, 0.95))


@lru_cache(maxsize=1)
def positions(model: FaceModel) -> NDArray[np.float32]:
    """Return the template position under each texel of the chart, float32 [1024, 560, 3], dm."""
    return chart_positions(model, ROWS)


def on_atlas(chart: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put a chart, float32 [1024, 560, C], into an atlas, [1024, 768, C], that is 0 elsewhere."""
    return np.pad(chart, ((0, 0), (0, CHART_ASPECT[1] - CHART_ASPECT[0]), (0, 0)))


def _paint_chart(
    model: FaceModel,
    points: NDArray[np.float32],
    identity: Identity,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a chart with painted skin and lips, float32 [1024, 560, 3], and the skin's tone."""
    african, asian, _ = identity.ancestry
    # Darker ancestry, darker skin, with much overlap.
    place = np.clip(4.2 * african + 1.3 * asian + rng.normal(0.5, 0.7), 0, 4.99)
    tone = _mix(_TONES, place) * rng.normal(1, 0.04, 3).clip(0.9, 1.1).astype(np.float32)

    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    with np.errstate(invalid='ignore'):
        shade = _blobs(rng, 7) * 0.045 + _blobs(rng, 30) * 0.03 + _blobs(rng, 160) * 0.03
        pores = rng.standard_normal(x.shape, np.float32) * rng.uniform(0.015, 0.04)
        chart = tone * np.exp(shade + cv2.GaussianBlur(pores, (0, 0), 0.7) * 1.6)[..., None]
        red = 0.35 * _spot(x, y, 0.4, 6.95, 0.22) + 0.3 * _spot(np.abs(x), y, 0.0, 6.85, 0.12)
        red += 0.35 * _spot(np.abs(x), y, 0.42, 6.95, 0.2)
        red *= (z > 0.5) * rng.uniform(0.1, 0.6) * (1 - 0.6 * african)
        chart *= 1 - red[..., None] * np.array([0.05, 0.35, 0.3], np.float32)
        tired = _spot(np.abs(x), y, 0.28, 7.13, 0.1) * (z > 0.8) * rng.uniform(0.05, 0.3)
        chart *= 1 - tired[..., None] * np.array([0.7, 0.9, 0.8], np.float32)
        lids = _spot(np.abs(x), y, 0.31, 7.36, 0.09) * (z > 0.8) * rng.uniform(0.05, 0.25)
        chart *= 1 - lids[..., None]

        lips = cv2.GaussianBlur(model.chart_lips, (0, 0), 2.0)[..., None]
        lipstick = rng.random() < 0.3 * (1 - identity.male)
        ratio = (np.array([0.75, 0.25, 0.3]) if lipstick else np.array([0.82, 0.58, 0.62])).astype(
            np.float32
        )
        folds = 1 + 0.12 * _blobs(rng, 200)[..., None]
        chart = chart * (1 - lips) + lips * tone * ratio * folds
    return chart.astype(np.float32), tone


def _develop(
    points: NDArray[np.float32], photograph: Path, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the chart of a photograph with drawn exposure and colour, and the skin's tone."""
    linear = _photograph_chart(photograph) * rng.normal(1, 0.05, 3).clip(0.85, 1.1)
    grey = (linear @ LUMA)[..., None]
    # The photographs are more colourful than measured skin.
    linear = grey + rng.uniform(0.6, 0.85) * (linear - grey)
    chart = (linear * rng.uniform(0.75, 1.05)).astype(np.float32)
    pores = cv2.GaussianBlur(rng.standard_normal(chart.shape[:2], np.float32), (0, 0), 0.7)
    chart *= np.exp(0.03 * pores)[..., None]
    x, y, z = np.moveaxis(points, -1, 0)
    with np.errstate(invalid='ignore'):
        chin = (np.abs(x) < 0.4) & (y < 6.6) & (z > 0.6)
    return chart, np.median(chart[chin], axis=0).astype(np.float32)


def _hair_colour(
    identity: Identity, tone: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    african, asian, _ = identity.ancestry
    place = np.clip(rng.beta(1, 2.2) * 3 * (1 - african) * (1 - 0.8 * asian), 0, 3)
    # Light hair on dark skin is rare.
    colour = _mix(_HAIR, min(place, max(6 * float(tone @ LUMA) - 0.6, 0.0)))
    grey = float(np.clip((identity.age - 0.6) * 2.5 * rng.random(), 0, 0.8))
    return np.asarray((1 - grey) * colour + grey * _HAIR[4], np.float32)


def _paint_hair(
    model: FaceModel,
    chart: NDArray[np.float32],
    points: NDArray[np.float32],
    identity: Identity,
    tones: tuple[NDArray[np.float32], NDArray[np.float32]],
    rng: np.random.Generator,
) -> None:
    """Paint brows, beard, spots, and the hair or the cap over a chart, in place.

    Args:
        model: Knows where the lips are.
        chart: float32 [1024, 560, 3].
        points: float32 [1024, 560, 3], dm.
        identity: Whose.
        tones: of skin and hair.
        rng: Draws the strands.
    """
    tone, colour = tones
    x, y, z = np.moveaxis(points, -1, 0)
    lips = cv2.GaussianBlur(model.chart_lips, (0, 0), 2.0)[..., None]
    with np.errstate(invalid='ignore'):
        front = _look_up(_draw_canvas(rng, identity), x, y)
        front *= np.nan_to_num(np.clip((z - 0.75) / 0.2, 0, 1))[..., None]
        # Canvas channels: brow strands, stubble, freckles and moles.
        chart += front[..., 1:2] * (1 - lips) * (0.5 * tone + 0.5 * colour - chart)
        chart *= 1 - front[..., 2:3] * np.array([0.35, 0.5, 0.6], np.float32)
        # Brows turn grey later than the head.
        chart += front[..., 0:1] * (0.65 * np.minimum(colour, 0.5 * tone) - chart)
    worn = np.random.default_rng(identity.hair.seed)
    covered = hair.cover(identity.hair, points)
    if identity.hair.style is Style.CAP:
        angle = np.nan_to_num(np.arctan2(x, z - 0.2))
        ribs = 0.12 * np.sin(140 * angle) + 0.06 * _blobs(worn, 380)
        cloth = np.array(worn.uniform(0.02, 0.22, 3), np.float32) * np.exp(ribs)[..., None]
        chart += covered[..., None] * (cloth - chart)
        return
    strands = _blobs(worn, 380) * 0.35 + _blobs(worn, 90) * 0.25
    ragged = 0.25 * _blobs(worn, 240) * (covered > 0.02) * (covered < 0.98)
    # Between shaved hair the scalp shows.
    dense = 0.55 if identity.hair.style is Style.SHAVED else 1.0
    chart += (
        dense
        * np.clip(covered + ragged, 0, 1)[..., None]
        * (colour * np.exp(strands)[..., None] - chart)
    )


@lru_cache(maxsize=16)
def _photograph_chart(path: Path) -> NDArray[np.float32]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise MicroexprError(f'cannot read the skin {path}: give .jpg or .png images')
    chart = cut_chart(np.asarray(image[..., ::-1], np.uint8)).astype(np.float32) / 255
    # sRGB to linear, near enough for a picture whose camera is unknown; such pictures are
    # exposed brighter than skin reflects.
    return np.asarray(0.8 * chart**2.2, np.float32)


def list_photographs(folder: Path, split: str) -> tuple[Path, ...]:
    """Return the skins of a folder that belong to a split; no file is in two splits.

    Raises:
        MicroexprError: The folder holds fewer than three images.
    """
    paths = sorted(
        path for path in folder.glob('*') if path.suffix.lower() in ('.jpg', '.jpeg', '.png')
    )
    if len(paths) < 3:
        raise MicroexprError(
            f'--skin-dir {folder} holds {len(paths)} images (.jpg, .png): each of the three '
            'splits needs at least one'
        )
    # Of eight in a row, the sixth goes to val and the eighth to test; three make one each.
    part = {'val': len(paths) - 2, 'test': len(paths) - 1}
    special = {
        name: {index for index in range(len(paths)) if index % 8 == offset} or {part[name]}
        for name, offset in (('val', 5), ('test', 7))
    }
    if split in special:
        return tuple(paths[index] for index in sorted(special[split]))
    taken = special['val'] | special['test']
    return tuple(path for index, path in enumerate(paths) if index not in taken)


def _paint_patches(
    atlas: NDArray[np.float32],
    tone: NDArray[np.float32],
    colour: NDArray[np.float32],
    rng: np.random.Generator,
) -> None:
    """Paint what is not skin into its patches, in place."""
    left, right = PATCH_COLUMNS
    wide = right - left

    def patch(kind: Material) -> NDArray[np.float32]:
        top, bottom = PATCHES[kind]
        return atlas[top:bottom, CHART_ASPECT[0] :]

    atlas[PATCHES[Material.EYE][0] : PATCHES[Material.EYE][1], left:right] = _paint_eye(
        wide, tone, rng
    )
    enamel = np.array([0.55, 0.5, 0.4], np.float32) * np.float32(rng.uniform(0.7, 1.1))
    gaps = 0.75 + 0.25 * np.abs(np.sin(np.arange(patch(Material.TEETH).shape[1]) * np.pi / 13.7))
    patch(Material.TEETH)[:] = enamel * np.sqrt(gaps)[None, :, None].astype(np.float32)
    patch(Material.TONGUE)[:] = (0.32, 0.12, 0.11)
    patch(Material.LASH)[:] = np.minimum(colour, 0.03)
    patch(Material.MOUTH)[:] = (0.16, 0.05, 0.045)
    patch(Material.SOCKET)[:] = 0.7 * tone * np.array([1.0, 0.75, 0.7], np.float32)
    neck = patch(Material.NECK)
    clothes = np.array(rng.uniform(0.03, 0.5, 3), np.float32)
    rows = np.linspace(0, 1, len(neck), dtype=np.float32)[:, None, None]
    columns = np.linspace(-1, 1, neck.shape[1], dtype=np.float32)[None, :, None]
    # A round collar; above it the neck.
    edge = 0.62 + 0.25 * np.maximum(0.25 - np.abs(columns), 0)
    collar = np.clip((rows - edge) / 0.01, 0, 1)
    mottle = np.exp(0.05 * rng.standard_normal((*neck.shape[:2], 1), np.float32))
    neck[:] = mottle * (tone * 0.92 * (1 - collar) + clothes * collar)


def _paint_eye(
    size: int, tone: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    iris = _mix(_IRIS, np.clip(rng.beta(0.8, 1.2) * 3 * min(tone[0] * 2.2, 1), 0, 3))
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    dx, dy = columns - (size - 1) / 2, rows - (size - 1) / 2
    radius = np.hypot(dx, dy) / (size / 2 - 4)
    angle = np.arctan2(dy, dx)
    pupil, rim = rng.uniform(0.14, 0.22), 0.45
    fibres = sum(
        rng.uniform(-0.12, 0.12) * np.sin(k * angle + rng.uniform(0, 6.28))
        for k in range(9, 60, 5)
    )
    eye = np.empty((size, size, 3), np.float32)
    eye[:] = np.array([0.46, 0.42, 0.4]) * rng.uniform(0.8, 1.05)
    eye *= 1 - 0.5 * np.clip(radius - 0.5, 0, 0.5)[..., None]
    limbus = np.clip((radius - 0.37) / 0.08, 0, 1)
    colour = iris * (1.15 + np.asarray(fibres))[..., None] * (1 - 0.6 * limbus)[..., None]
    inside = np.clip((rim - radius) / 0.03, 0, 1)[..., None]
    eye += inside * (colour - eye)
    eye += np.clip((pupil - radius) / 0.02, 0, 1)[..., None] * (0.01 - eye)
    # The upper lid and its lashes shade the upper third.
    shade = np.clip((-dy / (size / 2) - 0.12) / 0.3, 0, 1)[..., None]
    return np.asarray(eye * (1 - 0.5 * shade), np.float32)


def _draw_canvas(rng: np.random.Generator, identity: Identity) -> NDArray[np.float32]:
    """Draw brow strands, stubble and spots on a frontal canvas, float32 [H, W, 3], 0-1."""
    width, height = _CANVAS_SIZE
    canvas = np.zeros((3, height, width), np.uint8)

    def to_px(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(
            [
                (points[..., 0] - _CANVAS_LEFT) * _CANVAS_SCALE,
                (_CANVAS_TOP - points[..., 1]) * _CANVAS_SCALE,
            ],
            axis=-1,
        )

    lift, arch = rng.normal(0, 0.012), rng.normal(0, 0.012)
    thick = rng.uniform(0.022, 0.045) * (0.8 + 0.35 * identity.male)
    tail = rng.uniform(0.5, 0.57)
    inner = rng.uniform(0.10, 0.15)
    count = int(rng.uniform(420, 760))
    for side in (-1, 1):
        s = rng.beta(1.0, 1.15, count)
        middle_x = inner + (tail - inner) * s
        middle_y = 7.475 + lift + (0.085 + arch) * np.sin(np.pi * np.clip(s, 0, 1) ** 1.5 * 0.9)
        middle_y -= 0.02 * s
        spread = thick * (1.05 - 0.75 * s**2)
        across = rng.uniform(-1, 1, count)
        start = np.stack([side * middle_x, middle_y + across * spread], axis=1)
        # Hairs stand up at the nose and lie along the brow further out.
        heading = np.deg2rad(75 - 85 * s**0.6 - 18 * across + rng.normal(0, 9, count))
        length = rng.uniform(0.04, 0.075, count)
        end = start + np.stack([side * length * np.cos(heading), length * np.sin(heading)], axis=1)
        strength = rng.uniform(120, 235, count)
        for a, b, value in zip(to_px(start), to_px(end), strength, strict=True):
            p, q = (int(a[0] * 16), int(a[1] * 16)), (int(b[0] * 16), int(b[1] * 16))
            cv2.line(canvas[0], p, q, float(value), 1, cv2.LINE_AA, 4)
    brows = canvas[0].astype(np.float32) / 255
    # The skin under dense hair is dark as well.
    brows = np.maximum(brows, 0.6 * cv2.GaussianBlur(brows, (0, 0), 5))
    brows *= rng.uniform(0.65, 1.0)

    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    x = columns / _CANVAS_SCALE + _CANVAS_LEFT
    y = _CANVAS_TOP - rows / _CANVAS_SCALE
    stubble = np.zeros_like(brows)
    if identity.male > 0.6 and rng.random() < 0.7:
        jaw = np.clip((6.78 + 0.35 * np.clip(np.abs(x) - 0.42, 0, 1) * 2 - y) / 0.1, 0, 1)
        cheek = np.clip((y - 7.0) / 0.1, 0, 1)
        zone = jaw * (1 - cheek)
        dots = (rng.random(zone.shape, np.float32) > 0.8).astype(np.float32)
        dots = cv2.GaussianBlur(dots, (0, 0), 0.8)
        stubble = zone * (0.15 + 1.2 * dots) * rng.uniform(0.05, 1.0)
        stubble = np.clip(cv2.GaussianBlur(stubble, (0, 0), 1.0), 0, 0.95)
    freckles = rng.random() < 0.25
    spots = int(rng.integers(60, 260)) if freckles else 0
    for _ in range(spots):
        at = (int(rng.normal(504, 170)), int(rng.normal(920, 110)))
        cv2.circle(canvas[2], at, int(rng.integers(1, 4)), float(rng.uniform(50, 150)), -1, 16)
    for _ in range(int(rng.poisson(2.5))):
        at = (int(rng.uniform(250, 760)), int(rng.uniform(350, 1300)))
        cv2.circle(canvas[2], at, int(rng.integers(3, 6)), float(rng.uniform(150, 250)), -1, 16)
    marks = cv2.GaussianBlur(canvas[2].astype(np.float32) / 255, (0, 0), 1.5)
    return np.stack([np.clip(brows, 0, 1), stubble, marks], axis=-1).astype(np.float32)


def _look_up(
    canvas: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]
) -> NDArray[np.float32]:
    columns = np.nan_to_num((x - _CANVAS_LEFT) * _CANVAS_SCALE, nan=-9).astype(np.float32)
    rows = np.nan_to_num((_CANVAS_TOP - y) * _CANVAS_SCALE, nan=-9).astype(np.float32)
    return np.asarray(cv2.remap(canvas, columns, rows, cv2.INTER_LINEAR), np.float32)


def _mix(table: NDArray[np.float32], place: float) -> NDArray[np.float32]:
    low = min(int(place), len(table) - 2)
    share = np.float32(place - low)
    return np.asarray((1 - share) * table[low] + share * table[low + 1], np.float32)


def _blobs(rng: np.random.Generator, cells: int) -> NDArray[np.float32]:
    """Return smooth noise over the chart, float32, standard deviation about 1."""
    size = (cells * CHART_ASPECT[0] // ROWS + 2, cells + 2)
    coarse = rng.standard_normal((size[1], size[0]), np.float32)
    chart = (CHART_ASPECT[0], ROWS)
    return np.asarray(cv2.resize(coarse, chart, interpolation=cv2.INTER_CUBIC), np.float32)


def _spot(
    x: NDArray[np.float32], y: NDArray[np.float32], at_x: float, at_y: float, size: float
) -> NDArray[np.float32]:
    return np.asarray(np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * size**2)), np.float32)


def _fill(chart: NDArray[np.float32], empty: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Spread the painted texels into the empty margin, so that mip levels do not bleed."""
    weight = (~empty).astype(np.float32)
    painted = np.where(empty[..., None], 0, chart).astype(np.float32)
    out = painted.copy()
    todo = empty
    for sigma in (2.0, 12.0, 80.0):
        scale = 1 if sigma < 10 else 8
        small = (CHART_ASPECT[0] // scale, ROWS // scale)
        area = cv2.INTER_AREA
        total = cv2.GaussianBlur(
            cv2.resize(weight, small, interpolation=area), (0, 0), sigma / scale
        )
        colour = cv2.GaussianBlur(
            cv2.resize(painted, small, interpolation=area), (0, 0), sigma / scale
        )
        total = cv2.resize(total, (CHART_ASPECT[0], ROWS))
        colour = cv2.resize(colour, (CHART_ASPECT[0], ROWS))
        found = todo & (total > 0.02)
        out[found] = colour[found] / total[found, None]
        todo = todo & ~found
    out[todo] = painted[~empty].mean(axis=0)
    return out
