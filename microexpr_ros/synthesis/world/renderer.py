"""A small rasteriser in linear light: what an ideal sensor would measure of the face.

Four samples per pixel on a rotated grid, a z-buffer per sample, trilinear texture look-ups
whose level is frozen at rest (a level that changed with the expression would make the skin
flicker, and flicker makes events), Lambert light with occlusion at the vertices, relief that
bends the light on wrinkles, and sharp highlights on eyes and teeth alone. Values are radiance
in lux: illuminance times albedo.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    return np.asarray(
        _draw(
            screen,
            surface.triangles,
            surface.uv,
            surface.material,
            diffuse,
            gloss,
            bend,
            normals,
            surface.level,
            directions,
            lux,
            surface.relief.texels,
            texture.texels,
            texture.sizes,
            background,
            _SAMPLE_X,
            _SAMPLE_Y,
        ),
        np.float32,
    )


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


@njit(nogil=True, cache=True, fastmath=True)
def _draw(
    screen: NDArray[np.float32],
    triangles: NDArray[np.int32],
    uv: NDArray[np.float32],
    material: NDArray[np.uint8],
    diffuse: NDArray[np.float32],
    gloss: NDArray[np.float32],
    bend: NDArray[np.float32],
    normals: NDArray[np.float32],
    level: NDArray[np.float32],
    lamp: NDArray[np.float32],
    lux: NDArray[np.float32],
    relief: NDArray[np.float32],
    texels: NDArray[np.float32],
    sizes: NDArray[np.int64],
    background: NDArray[np.float32],
    sample_x: NDArray[np.float32],
    sample_y: NDArray[np.float32],
) -> NDArray[np.float32]:
    height, width, channels = background.shape
    nearest = np.zeros((height, width, 4), np.float32)
    owner = np.full((height, width, 4), -1, np.int32)
    planes = np.empty((len(triangles), 6), np.float32)
    zero, one = np.float32(0), np.float32(1)
    for f in range(len(triangles)):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay, bx, by = screen[i, 0], screen[i, 1], screen[j, 0], screen[j, 1]
        cx, cy = screen[k, 0], screen[k, 1]
        # Rows grow downwards, so a triangle that faces the camera has a negative area here.
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        lash = material[f] == _LASH
        if area > np.float32(-1e-7) and not (lash and area > np.float32(1e-7)):
            continue
        x0 = max(int(np.floor(min(ax, bx, cx) - np.float32(0.875))), 0)
        x1 = min(int(np.ceil(max(ax, bx, cx))), width)
        y0 = max(int(np.floor(min(ay, by, cy) - np.float32(0.875))), 0)
        y1 = min(int(np.ceil(max(ay, by, cy))), height)
        if x0 >= x1 or y0 >= y1:
            continue
        inverse = one / area
        # Barycentric weights of corners a and b are planes over the picture; they start at the
        # corner c, near the triangle, which keeps single precision exact enough.
        pax, pay = (by - cy) * inverse, (cx - bx) * inverse
        pbx, pby = (cy - ay) * inverse, (ax - cx) * inverse
        planes[f, 0], planes[f, 1] = pax, pay
        planes[f, 2], planes[f, 3] = pbx, pby
        planes[f, 4], planes[f, 5] = cx, cy
        za, zb, zc = screen[i, 2], screen[j, 2], screen[k, 2]
        # Lashes are hair with gaps: they cover two of the four samples.
        step = 2 if lash else 1
        for y in range(y0, y1):
            for s in range(0, 4, step):
                dy = np.float32(y) + sample_y[s] - cy
                dx = np.float32(x0) + sample_x[s] - cx
                a = pax * dx + pay * dy
                b = pbx * dx + pby * dy
                for x in range(x0, x1):
                    c = one - a - b
                    if a >= zero and b >= zero and c >= zero:
                        z = a * za + b * zb + c * zc
                        if z > nearest[y, x, s]:
                            nearest[y, x, s] = z
                            owner[y, x, s] = f
                    a += pax
                    b += pbx
    out = np.empty((height, width, channels), np.float32)
    quarter = np.float32(0.25)
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                out[y, x, c] = zero
            for s in range(4):
                f = owner[y, x, s]
                if f < 0:
                    for c in range(channels):
                        out[y, x, c] += quarter * background[y, x, c]
                    continue
                # Samples of one triangle are shaded once, in their middle.
                first = True
                for r in range(s):
                    if owner[y, x, r] == f:
                        first = False
                if not first:
                    continue
                sx, sy, hits = zero, zero, zero
                for r in range(s, 4):
                    if owner[y, x, r] == f:
                        sx += sample_x[r]
                        sy += sample_y[r]
                        hits += one
                dx = np.float32(x) + sx / hits - planes[f, 4]
                dy = np.float32(y) + sy / hits - planes[f, 5]
                weight = quarter * hits
                wa = planes[f, 0] * dx + planes[f, 1] * dy
                wb = planes[f, 2] * dx + planes[f, 3] * dy
                wc = one - wa - wb
                i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
                light = wa * diffuse[i] + wb * diffuse[j] + wc * diffuse[k]
                kind = material[f]
                shine = zero
                if kind in (_EYE, _TEETH):
                    shine = _wet(normals, i, j, k, wa, wb, wc, lamp, lux)
                elif kind in (_SKIN, _NECK):
                    shine = wa * gloss[i] + wb * gloss[j] + wc * gloss[k]
                u = wa * uv[f, 0, 0] + wb * uv[f, 1, 0] + wc * uv[f, 2, 0]
                v = wa * uv[f, 0, 1] + wb * uv[f, 1, 1] + wc * uv[f, 2, 1]
                lod = wa * level[i] + wb * level[j] + wc * level[k]
                fine = int(lod)
                blend = lod - np.float32(fine)
                # Where nothing is wrinkled, nothing bends the light.
                if bend[i, 2] + bend[j, 2] + bend[k, 2] < 0:
                    bent = light
                    for m in range(2):
                        share = one - blend if m == 0 else blend
                        at, columns, fx, fy = _texel(sizes, fine + m, u, v)
                        for c in range(3):
                            change = wa * bend[i, c] + wb * bend[j, c] + wc * bend[k, c]
                            bent += share * change * _between(relief, c, at, columns, fx, fy)
                    light = max(bent, np.float32(0.2) * light)
                for m in range(2):
                    share = weight * light * (one - blend if m == 0 else blend)
                    at, columns, fx, fy = _texel(sizes, fine + m, u, v)
                    for c in range(channels):
                        out[y, x, c] += share * _between(texels, c, at, columns, fx, fy)
                for c in range(channels):
                    out[y, x, c] += weight * shine
    return out


@njit(nogil=True, cache=True, fastmath=True, inline='always')
def _texel(
    sizes: NDArray[np.int64], level: int, u: float, v: float
) -> tuple[int, int, np.float32, np.float32]:
    """Return a texel, the columns of its level, and how far (u, v) is towards its neighbours."""
    zero, half = np.float32(0), np.float32(0.5)
    offset, rows, columns = sizes[level, 0], sizes[level, 1], sizes[level, 2]
    tx = u * np.float32(columns) - half
    ty = v * np.float32(rows) - half
    tx = min(max(tx, zero), np.float32(columns) - np.float32(1.01))
    ty = min(max(ty, zero), np.float32(rows) - np.float32(1.01))
    ix, iy = int(tx), int(ty)
    fx, fy = np.float32(tx - np.float32(ix)), np.float32(ty - np.float32(iy))
    return offset + iy * columns + ix, columns, fx, fy


@njit(nogil=True, cache=True, fastmath=True, inline='always')
def _between(
    texels: NDArray[np.float32],
    channel: int,
    at: int,
    columns: int,
    fx: np.float32,
    fy: np.float32,
) -> np.float32:
    """Return the bilinear value of a channel between four texels."""
    one = np.float32(1)
    top = texels[at, channel] * (one - fx) + texels[at + 1, channel] * fx
    low = texels[at + columns, channel] * (one - fx) + texels[at + columns + 1, channel] * fx
    return np.float32(top * (one - fy) + low * fy)


@njit(nogil=True, cache=True, fastmath=True)
def _wet(
    normals: NDArray[np.float32],
    i: int,
    j: int,
    k: int,
    wa: float,
    wb: float,
    wc: float,
    lamp: NDArray[np.float32],
    lux: NDArray[np.float32],
) -> np.float32:
    """Blinn-Phong of a wet surface, whose highlight is smaller than a triangle."""
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
