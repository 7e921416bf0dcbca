"""What of its surroundings a head at rest sees, and what throws shadows on what."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.kernel import kernel
from microexpr_ros.synthesis.person.face import FaceModel, Material

_LAMP_SPREAD: Final = 0.09
"""Radius of a lamp as seen from the face, rad."""


def ambient_occlusion(
    rest: NDArray[np.float32], triangles: NDArray[np.int32], material: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return the share of its surroundings that each vertex sees, float32 [V], 0-1."""
    normals = vertex_normals(rest, triangles)
    solid = triangles[material != Material.LASH]
    ambient = np.zeros(len(rest), np.float32)
    total = np.zeros(len(rest), np.float32)
    for direction in _sphere(48):
        cosine = np.maximum(normals @ direction, 0).astype(np.float32)
        ambient += cosine * _visible_from(rest, normals, solid, direction)
        total += cosine
    # Skin passes a little light on to where no sky is seen.
    return np.asarray(0.06 + 0.94 * ambient / np.maximum(total, 1e-6), np.float32)


def visible_share(
    rest: NDArray[np.float32],
    triangles: NDArray[np.int32],
    material: NDArray[np.uint8],
    direction: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Return the share of a distant lamp that each vertex sees, float32 [V], 0-1."""
    normals = vertex_normals(rest, triangles)
    solid = triangles[material != Material.LASH]
    # Several directions around the lamp's stand for its size: a soft edge.
    shares = [_visible_from(rest, normals, solid, one) for one in _cone(direction, _LAMP_SPREAD)]
    return np.asarray(np.mean(shares, axis=0), np.float32)


def inside_mouth(model: FaceModel) -> NDArray[np.int32]:
    """Return the vertices that only an open mouth shows, int32 [N]."""
    inner = np.isin(model.material, (Material.TEETH, Material.TONGUE, Material.MOUTH))
    skin = np.unique(model.triangles[model.material == Material.SKIN])
    return np.setdiff1d(model.triangles[inner], skin)


def vertex_normals(
    vertices: NDArray[np.float32], triangles: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Return unit normals, float32 [V, 3], weighted by the area of the triangles around."""
    return np.asarray(_normals(vertices, triangles), np.float32)


def _sphere(count: int) -> NDArray[np.float32]:
    """Return unit vectors, float32 [count, 3], spread evenly by the golden angle."""
    index = np.arange(count) + 0.5
    height = 1 - 2 * index / count
    angle = index * np.pi * (3 - np.sqrt(5))
    radius = np.sqrt(1 - height**2)
    stacked = np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], axis=1)
    return stacked.astype(np.float32)


def _cone(axis: NDArray[np.float64], spread: float) -> list[NDArray[np.float32]]:
    helper = np.array([0.0, 1.0, 0.0]) if abs(axis[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    side = np.cross(axis, helper)
    side /= np.linalg.norm(side)
    up = np.cross(side, axis)
    angles = np.arange(4) * np.pi / 2
    around = [axis + spread * (np.cos(a) * side + np.sin(a) * up) for a in angles]
    return [(d / np.linalg.norm(d)).astype(np.float32) for d in [axis, *around]]


_SHADOW_SIZE = 144


def _visible_from(
    vertices: NDArray[np.float32],
    normals: NDArray[np.float32],
    triangles: NDArray[np.int32],
    direction: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return 0-1 per vertex: whether light from a far direction reaches it."""
    helper = np.array([0, 1, 0]) if abs(direction[1]) < 0.9 else np.array([1, 0, 0])
    side = np.cross(helper, direction)
    side /= np.linalg.norm(side)
    up = np.cross(direction, side)
    # Lift the points off the surface by 2 mm against shadows of their own triangles.
    lifted = vertices + 0.02 * normals
    scale = _SHADOW_SIZE / 4.8
    frame = np.stack([side, up, direction]).astype(np.float32)
    origin = (vertices.min(axis=0) + vertices.max(axis=0)) / 2

    def to_map(points: NDArray[np.float32]) -> NDArray[np.float32]:
        flat = (points - origin) @ frame.T
        flat[:, :2] = flat[:, :2] * scale + _SHADOW_SIZE / 2
        return np.ascontiguousarray(flat)

    depth = _depth_map(to_map(vertices), triangles, _SHADOW_SIZE)
    return np.asarray(_compare(depth, to_map(lifted), np.float32(0.03)), np.float32)


@kernel
def _normals(vertices: NDArray[np.float32], triangles: NDArray[np.int32]) -> NDArray[np.float32]:
    out = np.zeros_like(vertices)
    for f in range(len(triangles)):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ux = vertices[b, 0] - vertices[a, 0]
        uy = vertices[b, 1] - vertices[a, 1]
        uz = vertices[b, 2] - vertices[a, 2]
        vx = vertices[c, 0] - vertices[a, 0]
        vy = vertices[c, 1] - vertices[a, 1]
        vz = vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for i in (a, b, c):
            out[i, 0] += nx
            out[i, 1] += ny
            out[i, 2] += nz
    for i in range(len(out)):
        length = np.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2)
        if length > 0:
            out[i] /= length
    return out


@kernel
def _depth_map(
    points: NDArray[np.float32], triangles: NDArray[np.int32], size: int
) -> NDArray[np.float32]:
    depth = np.full((size, size), -1e9, np.float32)
    for f in range(len(triangles)):
        a, b, c = points[triangles[f, 0]], points[triangles[f, 1]], points[triangles[f, 2]]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if abs(area) < 1e-9:
            continue
        x0 = max(int(np.floor(min(a[0], b[0], c[0]) - 0.5)), 0)
        x1 = min(int(np.ceil(max(a[0], b[0], c[0]) + 0.5)), size)
        y0 = max(int(np.floor(min(a[1], b[1], c[1]) - 0.5)), 0)
        y1 = min(int(np.ceil(max(a[1], b[1], c[1]) + 0.5)), size)
        for y in range(y0, y1):
            for x in range(x0, x1):
                px, py = x + 0.5, y + 0.5
                wa = ((b[0] - px) * (c[1] - py) - (b[1] - py) * (c[0] - px)) / area
                wb = ((c[0] - px) * (a[1] - py) - (c[1] - py) * (a[0] - px)) / area
                wc = 1 - wa - wb
                if wa >= 0 and wb >= 0 and wc >= 0:
                    z = wa * a[2] + wb * b[2] + wc * c[2]
                    if z > depth[y, x]:
                        depth[y, x] = z
    return depth


@kernel
def _compare(
    depth: NDArray[np.float32], points: NDArray[np.float32], bias: np.float32
) -> NDArray[np.float32]:
    size = len(depth)
    out = np.ones(len(points), np.float32)
    for i in range(len(points)):
        # Bilinear share of the four nearest cells that do not stand in the way.
        fx, fy = points[i, 0] - 0.5, points[i, 1] - 0.5
        x, y = int(np.floor(fx)), int(np.floor(fy))
        if x < 0 or y < 0 or x + 1 >= size or y + 1 >= size:
            continue
        sx, sy = fx - x, fy - y
        z = points[i, 2] + bias
        out[i] = (
            (1 - sx) * (1 - sy) * (depth[y, x] <= z)
            + sx * (1 - sy) * (depth[y, x + 1] <= z)
            + (1 - sx) * sy * (depth[y + 1, x] <= z)
            + sx * sy * (depth[y + 1, x + 1] <= z)
        )
    return out
