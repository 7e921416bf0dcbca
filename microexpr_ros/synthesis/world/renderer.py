"""A small rasteriser in linear light: what an ideal sensor would measure of the face.

Four samples per pixel on a rotated grid, a z-buffer per sample, trilinear texture look-ups
whose level is frozen at rest (a level that changed with the expression would make the skin
flicker, and flicker makes events), Lambert light with occlusion at the vertices, relief that
bends the light on wrinkles, and sharp highlights on eyes and teeth alone. Values are radiance
in lux: illuminance times albedo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from microexpr_ros.events.kernel import kernel
from microexpr_ros.synthesis.person.face import FaceModel, Material
from microexpr_ros.synthesis.person.occlusion import inside_mouth, vertex_normals, visible_share
from microexpr_ros.synthesis.person.texture import Texture
from microexpr_ros.synthesis.world.light import Lamp

# Kernels know plain numbers only.
_SKIN, _NECK = int(Material.SKIN), int(Material.NECK)
_EYE, _TEETH, _LASH = int(Material.EYE), int(Material.TEETH), int(Material.LASH)

# Share of its light that the bottom of a furrow of full weight loses.
_FURROW_SHADE = 0.6

# Rotated grid: four different rows and columns, so that a moving edge changes a pixel in four
# steps whichever way it moves.
_SAMPLE_X = np.array([0.375, 0.875, 0.125, 0.625], np.float32)
_SAMPLE_Y = np.array([0.125, 0.375, 0.625, 0.875], np.float32)

_Corners: TypeAlias = tuple[np.float32, np.float32, np.float32, np.float32, np.float32, np.float32]
"""Column and row of each corner of a triangle in the picture, px."""


@dataclass(frozen=True, slots=True)
class PinholeCamera:
    """A pinhole camera on the face's axis, looking at a region of a sensor.

    Attributes:
        width: columns of the picture, px.
        height: rows of the picture, px.
        focal_px: focal length, px.
        distance: from the camera to the point it looks at, dm.
        centre: (column, row) at which that point appears, px.
    """

    width: int
    height: int
    focal_px: float
    distance: float
    centre: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Head:
    """A head at an instant.

    Attributes:
        vertices: float32 [V, 3], expression and pose applied, dm.
        wrinkles: float32 [V], weight of the relief.
        rotation: float64 [3, 3], from the template's axes to the head's.
    """

    vertices: NDArray[np.float32]
    wrinkles: NDArray[np.float32]
    rotation: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Surface:
    """What does not change while the face moves.

    Attributes:
        triangles: int32 [F, 3].
        uv: float32 [F, 3, 2], texture coordinates of the corners, 0-1.
        material: uint8 [F].
        ambient: float32 [V], share of the surroundings that a vertex sees, 0-1.
        shadow: float32 [V, lamps], share of each lamp that a vertex sees, 0-1.
        level: float32 [V], mip level at rest.
        relief: three channels of the same sizes as the albedo's: slope of the skin towards the
            template's x and y, and 0-1 how much of the surroundings a furrow hides, at weight 1.
    """

    triangles: NDArray[np.int32]
    uv: NDArray[np.float32]
    material: NDArray[np.uint8]
    ambient: NDArray[np.float32]
    shadow: NDArray[np.float32]
    level: NDArray[np.float32]
    relief: Texture


def prepare(
    model: FaceModel,
    rest: NDArray[np.float32],
    ambient: NDArray[np.float32],
    lamps: tuple[Lamp, ...],
    camera: PinholeCamera,
    relief: Texture,
) -> Surface:
    """Measure shadows and mip levels of a head at rest.

    Args:
        model: Gives triangles, texture coordinates and materials.
        rest: float32 [V, 3], vertices of the head as the camera sees it, dm.
        ambient: float32 [V], what `occlusion.ambient_occlusion` returned.
        lamps: The lamps that cast shadows.
        camera: The camera for which mip levels are chosen.
        relief: Of the sizes that the albedo will have.
    """
    shadow = np.ones((len(rest), len(lamps)), np.float32)
    for index, lamp in enumerate(lamps):
        shadow[:, index] = visible_share(
            rest, model.triangles, model.material, np.array(lamp.direction)
        )
    # Lips that are closed at rest would leave an open mouth in the dark.
    inner = inside_mouth(model)
    shadow[inner] = ambient[inner, None]
    scale = camera.focal_px / camera.distance
    level = _levels(rest, model.triangles, model.uv, *relief.sizes[0, 1:])
    # Half a level finer than one texel per pixel: several samples share a pixel.
    mip_level = np.log2(np.maximum(level / scale, 1e-3)) - 0.5
    top = len(relief.sizes) - 1.001
    return Surface(
        model.triangles,
        model.uv,
        model.material,
        ambient,
        shadow,
        np.clip(mip_level, 0, top).astype(np.float32),
        relief,
    )


def render(
    surface: Surface,
    texture: Texture,
    head: Head,
    shake_px: NDArray[np.float32],
    camera: PinholeCamera,
    lamps: tuple[Lamp, ...],
    ambient_lux: float,
    background: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Render the face in front of a background.

    Args:
        surface: What `prepare` measured.
        texture: Albedo with C channels.
        head: The head as it is now.
        shake_px: float32 [2], by which the picture is moved along columns and rows, px.
        camera: Where the picture is taken from.
        lamps: The lamps that `prepare` knew, in its order.
        ambient_lux: Illuminance by the surroundings.
        background: float32 [height, width, C], radiance where there is no face, lux.

    Returns:
        float32 [height, width, C], radiance, lux.
    """
    normals = vertex_normals(head.vertices, surface.triangles)
    directions = np.array([lamp.direction for lamp in lamps], np.float32).reshape(-1, 3)
    lux = np.array([lamp.lux for lamp in lamps], np.float32)
    diffuse, gloss, bend = _light(normals, surface, head, directions, lux, ambient_lux)
    screen = project(head.vertices, camera, shake_px)
    box = _box(screen, camera)
    owner = _rasterize(screen, surface.triangles, surface.material, box)
    attributes = np.column_stack([diffuse, gloss, surface.level, bend])
    planes = _planes(screen, surface.triangles, surface.material, surface.uv, attributes)
    out = background.copy()
    _shade(
        out,
        owner,
        box,
        screen,
        surface.triangles,
        surface.material,
        planes,
        normals,
        directions,
        lux,
        surface.relief.texels,
        texture.texels,
        texture.sizes,
    )
    return out


def _light(
    normals: NDArray[np.float32],
    surface: Surface,
    head: Head,
    directions: NDArray[np.float32],
    lux: NDArray[np.float32],
    ambient_lux: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return of each vertex irradiance, skin gloss, and what relief does to the irradiance, lux.

    The last is float32 [V, 3]: the change by a slope of 1 towards the template's x and y, and
    by a furrow from which no surroundings are seen.
    """
    cosine = normals @ directions.T
    # Light that enters skin leaves it beyond the terminator: wrap it a little.
    wrapped = np.maximum((cosine + 0.15) / 1.15, 0)
    diffuse = ambient_lux * surface.ambient + (wrapped * surface.shadow) @ lux
    halfway = directions + np.array([0, 0, 1], np.float32)
    halfway /= np.linalg.norm(halfway, axis=1, keepdims=True) + 1e-9
    shine = np.maximum(normals @ halfway.T, 0) ** 24
    gloss = 0.05 * (shine * surface.shadow * (cosine > 0)) @ lux
    # A slope tilts the normal against itself; the irradiance follows by its gradient, of which
    # only the part along the surface counts.
    lit = np.clip((cosine + 0.15) / 0.3, 0, 1) * surface.shadow
    gradient = (lit * (lux / 1.15)) @ directions
    gradient -= (gradient * normals).sum(axis=1, keepdims=True) * normals
    bend = -np.column_stack([gradient @ head.rotation[:, :2], _FURROW_SHADE * diffuse])
    bend *= head.wrinkles[:, None]
    return diffuse.astype(np.float32), gloss.astype(np.float32), bend.astype(np.float32)


def project(
    vertices: NDArray[np.float32], camera: PinholeCamera, shake_px: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return column, row and nearness (growing towards the camera) of each vertex."""
    depth = camera.distance - vertices[:, 2]
    scale = camera.focal_px / depth
    out = np.empty_like(vertices)
    out[:, 0] = camera.centre[0] + shake_px[0] + vertices[:, 0] * scale
    out[:, 1] = camera.centre[1] + shake_px[1] - vertices[:, 1] * scale
    out[:, 2] = 1 / depth
    return out


@kernel
def _levels(
    vertices: NDArray[np.float32],
    triangles: NDArray[np.int32],
    uv: NDArray[np.float32],
    rows: int,
    columns: int,
) -> NDArray[np.float64]:
    """Return texels per dm around each vertex, float64 [V]: the mean of its triangles."""
    total = np.zeros(len(vertices), np.float32)
    count = np.zeros(len(vertices), np.float32)
    for f in range(len(triangles)):
        a, b, c = triangles[f]
        u = vertices[b] - vertices[a]
        v = vertices[c] - vertices[a]
        nx = u[1] * v[2] - u[2] * v[1]
        ny = u[2] * v[0] - u[0] * v[2]
        nz = u[0] * v[1] - u[1] * v[0]
        area = np.sqrt(nx * nx + ny * ny + nz * nz)
        s0, t0 = uv[f, 1, 0] - uv[f, 0, 0], uv[f, 1, 1] - uv[f, 0, 1]
        s1, t1 = uv[f, 2, 0] - uv[f, 0, 0], uv[f, 2, 1] - uv[f, 0, 1]
        texels = abs(s0 * t1 - s1 * t0) * rows * columns
        if area > 0:
            for i in (a, b, c):
                total[i] += np.sqrt(texels / area)
                count[i] += 1
    return total / np.maximum(count, 1)


def _box(screen: NDArray[np.float32], camera: PinholeCamera) -> tuple[int, int, int, int]:
    """Return the first column and row of the face in the picture, and the ones after the last."""
    left, top = np.floor(screen[:, :2].min(axis=0)).astype(int)
    right, bottom = np.ceil(screen[:, :2].max(axis=0)).astype(int)
    left, top = min(max(left, 0), camera.width), min(max(top, 0), camera.height)
    return left, top, max(min(right, camera.width), left), max(min(bottom, camera.height), top)


@njit(nogil=True, cache=True, fastmath=True)
def _rasterize(
    screen: NDArray[np.float32],
    triangles: NDArray[np.int32],
    material: NDArray[np.uint8],
    box: tuple[int, int, int, int],
) -> NDArray[np.int32]:
    """Return the triangle that each sample of each pixel of a box sees, [4, rows, columns].

    -1 where it sees none. The columns that a triangle covers are solved for row by row: most
    triangles are smaller than their bounding box by half, and than a pixel's row by far.
    """
    left, top, right, bottom = box
    height, width = bottom - top, right - left
    nearest = np.zeros((4, height, width), np.float32)
    owner = np.full((4, height, width), -1, np.int32)
    one = np.float32(1)
    # Neighbours share their edge, so that rounding leaves no gap between them.
    overlap = np.float32(1e-4)
    for f in range(len(triangles)):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        corners = _corners(screen, i, j, k)
        area = _area(corners)
        lash = material[f] == _LASH
        if not _is_seen(area, lash):
            continue
        ax, ay, bx, by, cx, cy = corners
        first = max(int(np.floor(min(ay, by, cy) - np.float32(0.875))) - top, 0)
        last = min(int(np.ceil(max(ay, by, cy))) - top, height)
        pax, pay, pbx, pby = _slopes(corners, area)
        za, zb, zc = screen[i, 2], screen[j, 2], screen[k, 2]
        zx, zy = pax * (za - zc) + pbx * (zb - zc), pay * (za - zc) + pby * (zb - zc)
        if _is_thin(corners, area):
            zx, zy, zc = np.float32(0), np.float32(0), (za + zb + zc) / np.float32(3)
        ra, rb, rc = _reciprocal(pax), _reciprocal(pbx), _reciprocal(-pax - pbx)
        # Lashes are hair with gaps: they cover two of the four samples.
        for s in range(0, 4, 2 if lash else 1):
            shift = _SAMPLE_X[s] + np.float32(left) - cx
            low = min(ax, bx, cx) - cx - shift
            high = max(ax, bx, cx) - cx - shift
            for y in range(first, last):
                dy = np.float32(y + top) + _SAMPLE_Y[s] - cy
                a, b = pay * dy, pby * dy
                from_a, to_a = _where_positive(a, ra, shift, low, high)
                from_b, to_b = _where_positive(b, rb, shift, low, high)
                from_c, to_c = _where_positive(one - a - b, rc, shift, low, high)
                x0 = max(int(np.ceil(max(from_a, from_b, from_c) - overlap)), 0)
                x1 = min(int(np.floor(min(to_a, to_b, to_c) + overlap)) + 1, width)
                z = zc + zy * dy + zx * (np.float32(x0) + shift)
                for x in range(x0, x1):
                    if z > nearest[s, y, x]:
                        nearest[s, y, x] = z
                        owner[s, y, x] = f
                    z += zx
    return owner


@njit(nogil=True, cache=True, fastmath=True, inline='always')
def _corners(screen: NDArray[np.float32], i: int, j: int, k: int) -> _Corners:
    """Return column and row of each corner of a triangle."""
    return screen[i, 0], screen[i, 1], screen[j, 0], screen[j, 1], screen[k, 0], screen[k, 1]


@njit(nogil=True, cache=True, fastmath=True, inline='always')
def _area(corners: _Corners) -> np.float32:
    """Return twice the area of a triangle; rows grow downwards, so it is negative in front."""
    ax, ay, bx, by, cx, cy = corners
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


@njit(nogil=True, cache=True, fastmath=True, inline='always')
def _slopes(
    corners: _Corners, area: np.float32
) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """Return by how much the barycentric weights of a and b grow along columns and rows.

    They are planes over the picture, which start at the corner c, near the triangle: that keeps
    single precision exact enough.
    """
    ax, ay, bx, by, cx, cy = corners
    inverse = np.float32(1) / area
    return (by - cy) * inverse, (cx - bx) * inverse, (cy - ay) * inverse, (ax - cx) * inverse


@njit(nogil=True, cache=True, fastmath=True, inline='always')
def _is_seen(area: np.float32, lash: bool) -> bool:
    """Return whether a triangle faces the camera; lashes are seen from both sides."""
    return bool(area <= np.float32(-1e-7)) or (lash and bool(area > np.float32(1e-7)))


@njit(nogil=True, cache=True, fastmath=True, inline='always')
def _is_thin(corners: _Corners, area: np.float32) -> bool:
    """Return whether a triangle is so thin that a rounding error leads far beyond its corners.

    Then it is given the mean of its corners.
    """
    ax, ay, bx, by, cx, cy = corners
    longest = max(
        (bx - ax) ** 2 + (by - ay) ** 2,
        (cx - bx) ** 2 + (cy - by) ** 2,
        (ax - cx) ** 2 + (ay - cy) ** 2,
    )
    return bool(area * area < np.float32(4e-6) * longest)


@njit(nogil=True, cache=True, fastmath=True, inline='always')
def _reciprocal(slope: np.float32) -> np.float32:
    """Return 1 / slope, a large number for a slope of 0."""
    return np.float32(1) / slope if slope != 0 else np.float32(1e30)


@njit(nogil=True, cache=True, fastmath=True, inline='always')
def _where_positive(
    value: np.float32, reciprocal: np.float32, shift: np.float32, low: np.float32, high: np.float32
) -> tuple[np.float32, np.float32]:
    """Return the part of low-high in which value + (x + shift) / reciprocal is not negative."""
    # Two columns outside are as good as far away, and no integer overflows.
    edge = min(max(-value * reciprocal - shift, low - np.float32(2)), high + np.float32(2))
    return (max(low, edge), high) if reciprocal > 0 else (low, min(high, edge))


# What is interpolated over a triangle, by its place in `_planes`.
_LIGHT, _GLOSS, _LEVEL, _SLOPE_X, _SLOPE_Y, _FURROW, _U, _V = range(8)


@njit(nogil=True, cache=True, fastmath=True)
def _planes(
    screen: NDArray[np.float32],
    triangles: NDArray[np.int32],
    material: NDArray[np.uint8],
    uv: NDArray[np.float32],
    attributes: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return what is interpolated over each triangle as planes over the picture, [F, 3, 8].

    Value at the third corner, slopes along columns and rows. Those of triangles that are not
    seen are not set.

    Args:
        screen: float32 [V, 3].
        triangles: int32 [F, 3].
        material: uint8 [F].
        uv: float32 [F, 3, 2].
        attributes: float32 [V, 6], of each vertex: what the names before _U say.
    """
    planes = np.empty((len(triangles), 3, 8), np.float32)
    for f in range(len(triangles)):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        corners = _corners(screen, i, j, k)
        area = _area(corners)
        if not _is_seen(area, material[f] == _LASH):
            continue
        pax, pay, pbx, pby = _slopes(corners, area)
        thin = _is_thin(corners, area)
        for n in range(8):
            if n < _U:
                a, b, c = attributes[i, n], attributes[j, n], attributes[k, n]
            else:
                a, b, c = uv[f, 0, n - _U], uv[f, 1, n - _U], uv[f, 2, n - _U]
            if thin:
                planes[f, 0, n] = (a + b + c) / np.float32(3)
                planes[f, 1:, n] = 0
            else:
                planes[f, 0, n] = c
                planes[f, 1, n] = pax * (a - c) + pbx * (b - c)
                planes[f, 2, n] = pay * (a - c) + pby * (b - c)
    return planes


@njit(nogil=True, cache=True, fastmath=True)
def _shade(
    out: NDArray[np.float32],
    owner: NDArray[np.int32],
    box: tuple[int, int, int, int],
    screen: NDArray[np.float32],
    triangles: NDArray[np.int32],
    material: NDArray[np.uint8],
    planes: NDArray[np.float32],
    normals: NDArray[np.float32],
    lamp: NDArray[np.float32],
    lux: NDArray[np.float32],
    relief: NDArray[np.float32],
    texels: NDArray[np.float32],
    sizes: NDArray[np.int64],
) -> None:
    """Paint the triangles that the samples see over the background, in place."""
    left, top, _, __ = box
    zero, one, quarter = np.float32(0), np.float32(1), np.float32(0.25)
    coarsest = np.float32(len(sizes) - 1.001)
    for row in range(owner.shape[1]):
        y = row + top
        for column in range(owner.shape[2]):
            x = column + left
            seen = (
                owner[0, row, column],
                owner[1, row, column],
                owner[2, row, column],
                owner[3, row, column],
            )
            if max(seen) < 0:
                continue
            free = zero
            for s in range(4):
                if seen[s] < 0:
                    free += quarter
            for c in range(out.shape[2]):
                out[y, x, c] *= free
            for s in range(4):
                f = seen[s]
                # Samples of one triangle are shaded once, in their middle.
                first = f >= 0
                for r in range(s):
                    first = first and seen[r] != f
                if not first:
                    continue
                sx, sy, hits = zero, zero, zero
                for r in range(s, 4):
                    if seen[r] == f:
                        sx += _SAMPLE_X[r]
                        sy += _SAMPLE_Y[r]
                        hits += one
                corner = triangles[f, 2]
                dx = np.float32(x) + sx / hits - screen[corner, 0]
                dy = np.float32(y) + sy / hits - screen[corner, 1]
                weight = quarter * hits
                light = _at(planes, f, _LIGHT, dx, dy)
                shine = zero
                if material[f] in (_EYE, _TEETH):
                    shine = _wet(screen, normals, triangles[f], dx, dy, lamp, lux)
                elif material[f] in (_SKIN, _NECK):
                    shine = _at(planes, f, _GLOSS, dx, dy)
                # Rounding may lead a little beyond the levels that there are.
                level = min(max(_at(planes, f, _LEVEL, dx, dy), zero), coarsest)
                fine = int(level)
                blend = level - np.float32(fine)
                u, v = _at(planes, f, _U, dx, dy), _at(planes, f, _V, dx, dy)
                near = _texel(sizes, fine, u, v)
                far = _texel(sizes, fine + 1, u, v)
                furrow = _at(planes, f, _FURROW, dx, dy)
                # Where nothing is wrinkled, nothing bends the light.
                if furrow < zero:
                    bent = light + furrow * _blended(relief, 2, near, far, blend)
                    bent += _at(planes, f, _SLOPE_X, dx, dy) * _blended(
                        relief, 0, near, far, blend
                    )
                    bent += _at(planes, f, _SLOPE_Y, dx, dy) * _blended(
                        relief, 1, near, far, blend
                    )
                    light = max(bent, np.float32(0.2) * light)
                for c in range(out.shape[2]):
                    albedo = _blended(texels, c, near, far, blend)
                    out[y, x, c] += weight * (light * albedo + shine)


@njit(nogil=True, cache=True, fastmath=True, inline='always')
def _at(
    planes: NDArray[np.float32], triangle: int, name: int, dx: np.float32, dy: np.float32
) -> np.float32:
    """Return what is interpolated over a triangle, (dx, dy) from its third corner."""
    value = planes[triangle, 0, name] + dx * planes[triangle, 1, name]
    return np.float32(value + dy * planes[triangle, 2, name])


@njit(nogil=True, cache=True, fastmath=True, inline='always')
def _texel(
    sizes: NDArray[np.int64], level: int, u: np.float32, v: np.float32
) -> tuple[np.uint32, np.uint32, np.float32, np.float32]:
    """Return a texel, the columns of its level, and how far (u, v) is towards its neighbours."""
    zero, half = np.float32(0), np.float32(0.5)
    offset, rows, columns = sizes[level, 0], sizes[level, 1], sizes[level, 2]
    tx = u * np.float32(columns) - half
    ty = v * np.float32(rows) - half
    tx = min(max(tx, zero), np.float32(columns) - np.float32(1.01))
    ty = min(max(ty, zero), np.float32(rows) - np.float32(1.01))
    ix, iy = np.int32(tx), np.int32(ty)
    fx, fy = np.float32(tx - np.float32(ix)), np.float32(ty - np.float32(iy))
    return np.uint32(offset + iy * columns + ix), np.uint32(columns), fx, fy


@njit(nogil=True, cache=True, fastmath=True, inline='always')
def _blended(
    texels: NDArray[np.float32],
    channel: int,
    near: tuple[np.uint32, np.uint32, np.float32, np.float32],
    far: tuple[np.uint32, np.uint32, np.float32, np.float32],
    blend: np.float32,
) -> np.float32:
    """Return the trilinear value of a channel between eight texels of two levels."""
    fine, coarse = _between(texels, channel, near), _between(texels, channel, far)
    return np.float32(fine + blend * (coarse - fine))


@njit(nogil=True, cache=True, fastmath=True, inline='always')
def _between(
    texels: NDArray[np.float32],
    channel: int,
    place: tuple[np.uint32, np.uint32, np.float32, np.float32],
) -> np.float32:
    """Return the bilinear value of a channel between four texels."""
    at, columns, fx, fy = place
    one, right = np.float32(1), np.uint32(1)
    top = texels[at, channel] * (one - fx) + texels[at + right, channel] * fx
    at += columns
    low = texels[at, channel] * (one - fx) + texels[at + right, channel] * fx
    return np.float32(top * (one - fy) + low * fy)


@njit(nogil=True, cache=True, fastmath=True)
def _wet(
    screen: NDArray[np.float32],
    normals: NDArray[np.float32],
    triangle: NDArray[np.int32],
    dx: np.float32,
    dy: np.float32,
    lamp: NDArray[np.float32],
    lux: NDArray[np.float32],
) -> np.float32:
    """Blinn-Phong of a wet surface, whose highlight is smaller than a triangle.

    (dx, dy) is from the third corner of the triangle.
    """
    i, j, k = triangle
    corners = _corners(screen, i, j, k)
    pax, pay, pbx, pby = _slopes(corners, _area(corners))
    wa, wb = pax * dx + pay * dy, pbx * dx + pby * dy
    wc = np.float32(1) - wa - wb
    nx = wa * normals[i, 0] + wb * normals[j, 0] + wc * normals[k, 0]
    ny = wa * normals[i, 1] + wb * normals[j, 1] + wc * normals[k, 1]
    nz = wa * normals[i, 2] + wb * normals[j, 2] + wc * normals[k, 2]
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
    total = np.float32(0)
    for n in range(len(lux)):
        hx, hy, hz = lamp[n, 0], lamp[n, 1], lamp[n, 2] + 1
        cosine = (nx * hx + ny * hy + nz * hz) / (
            length * np.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
        )
        if cosine > 0:
            total += lux[n] * 0.8 * cosine**160
    return np.float32(total)
