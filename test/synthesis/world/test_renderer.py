from dataclasses import replace

import numpy as np
import pytest
from fake_clips import needs_face

from microexpr_ros.synthesis.person import face
from microexpr_ros.synthesis.person.channels import CHANNELS
from microexpr_ros.synthesis.person.person import make_person
from microexpr_ros.synthesis.person.template import FACE_CENTRE, FACE_HEIGHT
from microexpr_ros.synthesis.person.texture import build_texture
from microexpr_ros.synthesis.world import renderer
from microexpr_ros.synthesis.world.light import ROOM_LIGHTS, SHIFTED_LIGHTS, Lamp
from microexpr_ros.synthesis.world.motion import Instant, single
from microexpr_ros.synthesis.world.renderer import Head, PinholeCamera, Surface
from microexpr_ros.synthesis.world.scene import build_scene
from microexpr_ros.synthesis.world.timing import render_times

BIG = np.array([[-9, -9, 0], [9, -9, 0], [9, 9, 0], [-9, 9, 0]], np.float32)
SQUARE = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
STILL = np.zeros(2, np.float32)
CAMERA = PinholeCamera(16, 12, 80.0, 10.0, (8.0, 6.0))


FLAT = build_texture(np.zeros((16, 16, 3), np.float32))


def plane(vertices=BIG, lamps=1, relief=FLAT):
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)[SQUARE]
    return Surface(
        SQUARE,
        uv,
        np.full(2, face.Material.MOUTH, np.uint8),
        np.ones(len(vertices), np.float32),
        np.ones((len(vertices), lamps), np.float32),
        np.zeros(len(vertices), np.float32),
        relief,
    )


def head(vertices, weight=0.0):
    return Head(vertices, np.full(len(vertices), weight, np.float32), np.eye(3))


def grey(value=0.5, size=16):
    return build_texture(np.full((size, size, 1), value, np.float32))


def draw(
    vertices,
    lamps,
    ambient=0.0,
    texture=None,
    shake_px=STILL,
    background=0.0,
    relief=FLAT,
    weight=0.0,
):
    back = np.full((CAMERA.height, CAMERA.width, 1), background, np.float32)
    picture = renderer.render(
        plane(vertices, len(lamps), relief),
        texture or grey(),
        head(vertices, weight),
        shake_px,
        CAMERA,
        lamps,
        ambient,
        back,
    )
    return picture[..., 0]


def test_a_plane_that_faces_the_lamp_shows_albedo_times_illuminance():
    picture = draw(BIG, (Lamp((0, 0, 1), 100.0),), ambient=20.0)
    np.testing.assert_allclose(picture, 0.5 * 120, rtol=1e-5)


def test_lambert_falls_with_the_cosine():
    lamp = Lamp((0, np.sin(np.pi / 3), np.cos(np.pi / 3)), 100.0)
    # Wrapped: (cos 60 deg + 0.15) / 1.15.
    np.testing.assert_allclose(draw(BIG, (lamp,)), 0.5 * 100 * 0.65 / 1.15, rtol=1e-4)


def test_a_plane_that_faces_away_is_not_drawn():
    lamp = (Lamp((0, 0, 1), 100.0),)
    np.testing.assert_allclose(draw(BIG[::-1].copy(), lamp, background=7.0), 7.0)


def test_up_is_up_and_the_subjects_left_is_at_the_right():
    corner = BIG.copy()
    corner[:, 0] = np.where(BIG[:, 0] < 0, 0.0, 9)
    corner[:, 1] = np.where(BIG[:, 1] < 0, 0.0, 9)
    picture = draw(corner, (Lamp((0, 0, 1), 100.0),))
    assert picture[:6, 8:].min() == pytest.approx(50)
    assert picture[:, :8].max() == 0
    assert picture[6:].max() == 0


def test_an_edge_covers_pixels_in_quarters():
    levels = []
    for moved_px in np.linspace(0, 1, 9):
        edge = BIG.copy()
        edge[:, 0] = np.where(BIG[:, 0] < 0, 0.0, 9)
        shake_px = np.array([moved_px, 0], np.float32)
        levels.append(draw(edge, (Lamp((0, 0, 1), 100.0),), shake_px=shake_px)[6, 8] / 50)
    assert levels[0] == pytest.approx(1)
    assert levels[-1] == pytest.approx(0)
    assert {round(4 * level) for level in levels} == {0, 1, 2, 3, 4}
    assert (np.diff(levels) <= 1e-6).all()


def test_the_nearer_surface_hides_the_other():
    both = np.concatenate([BIG, BIG * 0.3 + [0, 0, 1]]).astype(np.float32)
    one = plane()
    surface = Surface(
        np.concatenate([SQUARE, SQUARE + 4]),
        np.concatenate([one.uv, one.uv]),
        np.full(4, face.Material.MOUTH, np.uint8),
        np.repeat(np.array([0.2, 1.0], np.float32), 4),
        np.ones((8, 0), np.float32),
        np.zeros(8, np.float32),
        FLAT,
    )
    back = np.zeros((CAMERA.height, CAMERA.width, 1), np.float32)
    picture = renderer.render(surface, grey(), head(both), STILL, CAMERA, (), 100.0, back)
    np.testing.assert_allclose(picture, 50, rtol=1e-5)


def owners_by_weights(screen, triangles, box):
    """Return what `_rasterize` does, by the barycentric weights of every sample."""
    left, top, right, bottom = box
    y, x = np.mgrid[top:bottom, left:right]
    owner = np.full((4, bottom - top, right - left), -1)
    nearest = np.zeros(owner.shape)
    samples = zip(renderer._SAMPLE_X, renderer._SAMPLE_Y, strict=True)
    for s, (sample_x, sample_y) in enumerate(samples):
        for f, corners in enumerate(triangles):
            a, b, c = screen[corners].astype(np.float64)
            weights = np.linalg.solve(
                np.vstack([np.column_stack([a, b, c])[:2], np.ones(3)]),
                np.stack([x + sample_x, y + sample_y, np.ones(x.shape)]).reshape(3, -1),
            )
            nearness = (np.array([a[2], b[2], c[2]]) @ weights).reshape(x.shape)
            # None of the samples is as close to an edge as the overlap is wide.
            inside = (weights.min(axis=0) >= 0).reshape(x.shape) & (nearness > nearest[s])
            owner[s][inside], nearest[s][inside] = f, nearness[inside]
    return owner


def test_every_sample_sees_the_nearest_triangle_that_covers_it():
    rng = np.random.default_rng(3)
    screen = rng.uniform([-4, -4, 0.1], [20, 16, 0.2], (60, 3)).astype(np.float32)
    # Half of them have edges along rows and columns.
    screen[1:30:3, 0], screen[2:30:3, 1] = screen[0:30:3, 0], screen[0:30:3, 1]
    triangles = np.arange(60, dtype=np.int32).reshape(-1, 3)
    a, b, c = (screen[triangles[:, n], :2] for n in range(3))
    behind = np.array([renderer._area((*p, *q, *r)) for p, q, r in zip(a, b, c, strict=True)]) > 0
    triangles[behind] = triangles[behind][:, ::-1]
    box = renderer._box(screen, CAMERA)
    assert box == (0, 0, CAMERA.width, CAMERA.height)
    owner = renderer._rasterize(screen, triangles, np.zeros(20, np.uint8), box)
    np.testing.assert_array_equal(owner, owners_by_weights(screen, triangles, box))
    assert len(np.unique(owner)) > 10


# Triangles of a five thousandth and a three hundredth of a pixel, beside a column of samples and
# on it.
THIN = [
    np.array([[8.375 + at, 6], [8.375 + at + width, 4], [8.375 + at + width, 9]])
    for width in (2e-4, 3e-3)
    for at in np.linspace(-2 * width, 2 * width, 101)
]


def thin_surface(corners, behind=0.0):
    """Return a surface and its vertices: a thin triangle that is lit and coarse at one corner.

    That corner is farther away, but where the others are seen.
    """
    vertices = np.column_stack([(corners[:, 0] - 8) / 8, (6 - corners[:, 1]) / 8, np.zeros(3)])
    vertices[0] *= (10 + behind) / 10
    vertices[0, 2] = -behind
    one = plane()
    surface = Surface(
        np.array([[0, 2, 1]], np.int32),
        one.uv[:1],
        np.full(1, face.Material.MOUTH, np.uint8),
        np.array([1, 0, 0], np.float32),
        np.ones((3, 0), np.float32),
        np.array([len(grey().sizes) - 1.001, 0, 0], np.float32),
        FLAT,
    )
    return surface, vertices.astype(np.float32)


def test_a_triangle_thinner_than_rounding_shows_no_more_than_its_corners():
    back = np.full((CAMERA.height, CAMERA.width, 1), 7.0, np.float32)
    seen = 0
    for corners in THIN:
        surface, vertices = thin_surface(corners)
        parts = surface, grey(), head(vertices), STILL, CAMERA, (), 100.0, back
        picture = renderer.render(*parts)
        # One of four samples of a pixel lies in that column.
        assert picture.min() >= 0.75 * 7 - 1e-3
        assert picture.max() <= 0.75 * 7 + 0.25 * 50 + 1e-3
        seen += (picture != 7).any()
    assert 0 < seen < len(THIN)


def test_a_thin_triangle_is_not_seen_through_what_is_before_it():
    for corners in THIN:
        thin, behind = thin_surface(corners, behind=4.5)
        behind *= np.float32(1.05)
        behind[:, 2] -= 0.5
        surface = Surface(
            np.concatenate([SQUARE, thin.triangles + 4]),
            np.concatenate([plane().uv, thin.uv]),
            np.full(3, face.Material.MOUTH, np.uint8),
            np.repeat(np.array([1.0, 0.0], np.float32), (4, 3)),
            np.ones((7, 0), np.float32),
            np.zeros(7, np.float32),
            FLAT,
        )
        both = np.concatenate([BIG, behind])
        back = np.zeros((CAMERA.height, CAMERA.width, 1), np.float32)
        picture = renderer.render(surface, grey(), head(both), STILL, CAMERA, (), 100.0, back)
        np.testing.assert_allclose(picture, 50, rtol=1e-5)


def test_a_face_outside_the_picture_leaves_the_background():
    lamp = (Lamp((0, 0, 1), 100.0),)
    for away in (40.0, -40.0):
        shake_px = np.array([away * 9, away], np.float32)
        small = (BIG * 0.1).astype(np.float32)
        np.testing.assert_allclose(draw(small, lamp, shake_px=shake_px, background=7.0), 7.0)


def relief(slope_x, slope_y, hidden):
    return build_texture(np.full((16, 16, 3), (slope_x, slope_y, hidden), np.float32))


def test_relief_turns_the_surface_to_the_lamp_or_away():
    elevation = np.pi / 3
    lamp = (Lamp((0, np.cos(elevation), np.sin(elevation)), 100.0),)
    flat = draw(BIG, lamp)[6, 8]
    # A surface that falls towards a lamp above it faces it more. The gradient of the wrapped
    # cosine is (0, cos(elevation)) / 1.15 along the plane.
    for slope, weight in ((-0.1, 1.0), (0.1, 1.0), (-0.1, 0.5)):
        expected = flat - 0.5 * 100 * slope * weight * np.cos(elevation) / 1.15
        bent = draw(BIG, lamp, relief=relief(0, slope, 0), weight=weight)
        np.testing.assert_allclose(bent, expected, rtol=1e-4)
    across = draw(BIG, lamp, relief=relief(0.3, 0, 0), weight=1.0)
    np.testing.assert_allclose(across, flat, rtol=1e-5)


def test_a_furrow_is_darker_and_never_black():
    lamp = (Lamp((0, 0, 1), 100.0),)
    np.testing.assert_allclose(
        draw(BIG, lamp, relief=relief(0, 0, 0.5), weight=1.0), 50 * (1 - 0.5 * 0.6), rtol=1e-4
    )
    np.testing.assert_allclose(
        draw(BIG, lamp, relief=relief(0, 0, 1), weight=5.0), 50 * 0.2, rtol=1e-4
    )


def test_mip_levels_keep_the_mean():
    atlas = np.random.default_rng(0).random((64, 48, 2), np.float32)
    texture = build_texture(atlas)
    for offset, rows, columns in texture.sizes:
        level = texture.texels[offset : offset + rows * columns]
        np.testing.assert_allclose(level.mean(axis=0), atlas.mean(axis=(0, 1)), rtol=1e-4)
    assert tuple(texture.sizes[1, 1:]) == (32, 24)


@pytest.fixture(scope='module')
def scene():
    rng = np.random.default_rng(2)
    person = make_person(2_000_000, 2_000_000)
    light = ROOM_LIGHTS.sample(rng, 'bright')
    camera = PinholeCamera(120, 120, 120 * 0.8 / FACE_HEIGHT * 8, 8.0, (60.0, 60.0))
    return build_scene(rng, person, light, camera, np.zeros(3), 0.3)


@needs_face
def test_the_face_is_upright_with_eyes_darker_than_cheeks(scene):
    rest = Instant(0, np.zeros(CHANNELS, np.float32), np.zeros(6), np.zeros(2))
    picture = scene.radiance(rest)

    def at(x, y):
        scale = scene.camera.focal_px / scene.camera.distance
        column, row = 60 + x * scale, 60 - (y - FACE_CENTRE[1]) * scale
        return picture[round(row) - 1 : round(row) + 2, round(column) - 1 : round(column) + 2]

    cheek = at(0.45, 6.95).mean()
    assert at(0.31, 7.284).min() < 0.5 * cheek
    assert at(-0.31, 7.284).min() < 0.5 * cheek
    # A still picture is the same picture, bit by bit.
    np.testing.assert_array_equal(picture, scene.radiance(rest))


@needs_face
def test_samples_are_close_enough_for_straight_lines(scene):
    still = render_times(scene, single(12, 0.0, 400_000_000))
    small = render_times(scene, single(12, 0.2, 400_000_000))
    large = render_times(scene, single(12, 1.0, 400_000_000))
    assert len(still) < len(small) < len(large)
    for times in (still, small, large):
        assert times[0] == 0
        assert times[-1] == 400_000_000
        assert (np.diff(times) > 0).all()
        assert (times % 1000 == 0).all()


@needs_face
def test_a_moving_light_is_sampled_closely_enough_wherever_a_film_begins(scene):
    light = SHIFTED_LIGHTS.sample(np.random.default_rng(3), 'moving')
    times = render_times(replace(scene, light=light), single(12, 0.0, 400_000_000), 100_000_000)
    assert (times[0], times[-1]) == (100_000_000, 400_000_000)
    assert np.diff(times).max() <= 8_000_000
