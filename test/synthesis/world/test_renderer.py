import importlib.util

import numpy as np
import pytest

from microexpr_ros.events.events import Events
from microexpr_ros.synthesis.person import face
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS, SensorParameters
from microexpr_ros.synthesis.world import renderer
from microexpr_ros.synthesis.world.renderer import Camera, Head, Lamp, Surface, mip

BIG = np.array([[-9, -9, 0], [9, -9, 0], [9, 9, 0], [-9, 9, 0]], np.float32)
SQUARE = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
REST = np.array([0, 0, 1], np.float32)
CAMERA = Camera(16, 12, 80.0, 10.0, (8.0, 6.0))


FLAT = mip(np.zeros((16, 16, 3), np.float32))


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
    return mip(np.full((size, size, 1), value, np.float32))


def draw(
    vertices, lamps, ambient=0.0, texture=None, view=REST, background=0.0, relief=FLAT, weight=0.0
):
    back = np.full((CAMERA.height, CAMERA.width, 1), background, np.float32)
    picture = renderer.render(
        plane(vertices, len(lamps), relief),
        texture or grey(),
        head(vertices, weight),
        view,
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
    for shift in np.linspace(0, 1, 9):
        edge = BIG.copy()
        edge[:, 0] = np.where(BIG[:, 0] < 0, 0.0, 9)
        view = np.array([shift, 0, 1], np.float32)
        levels.append(draw(edge, (Lamp((0, 0, 1), 100.0),), view=view)[6, 8] / 50)
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
    picture = renderer.render(surface, grey(), head(both), REST, CAMERA, (), 100.0, back)
    np.testing.assert_allclose(picture, 50, rtol=1e-5)


def relief(slope_x, slope_y, hidden):
    return mip(np.full((16, 16, 3), (slope_x, slope_y, hidden), np.float32))


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
    texture = mip(atlas)
    for offset, rows, columns in texture.sizes:
        level = texture.texels[offset : offset + rows * columns]
        np.testing.assert_allclose(level.mean(axis=0), atlas.mean(axis=(0, 1)), rtol=1e-4)
    assert tuple(texture.sizes[1, 1:]) == (32, 24)


needs_face = pytest.mark.skipif(
    importlib.util.find_spec('anny') is None, reason='the face model (anny) is not installed'
)


@pytest.fixture(scope='module')
def view():
    from microexpr_ros.synthesis.world import scene

    rng = np.random.default_rng(2)
    person = scene.make_person(2_000_000, 2_000_000)
    light = scene.draw_light(rng, 'bright')
    camera = Camera(120, 120, 120 * 0.8 / face.FACE_HEIGHT * 8, 8.0, (60.0, 60.0))
    return scene.build_scene(rng, person, light, camera, np.zeros(3), 0.3)


def noiseless():
    values = {name: getattr(SENSORS['davis346'], name) for name in SensorParameters.__slots__}
    return SensorParameters(**(values | {'leak_hz': 0.0, 'shot_hz': 0.0, 'hot_share': 0.0}))


@needs_face
def test_a_still_face_in_still_light_gives_only_noise_events(view):
    from microexpr_ros.synthesis.world import motion, scene

    still = motion.single(12, 0.0, 1_000_000_000)
    rng = np.random.default_rng(0)
    silent = list(scene.film(view, still, noiseless(), rng))
    assert sum(len(sample.events) for sample in silent) == 0
    parameters = SENSORS['davis346']
    noisy = list(scene.film(view, still, parameters, np.random.default_rng(0)))
    count = sum(len(sample.events) for sample in noisy)
    # Shot noise at most 20-fold in the dark, leak, and some hot pixels.
    rate = count / view.camera.width / view.camera.height
    assert 0 < rate < 20 * parameters.shot_hz + parameters.leak_hz + 0.02


@needs_face
def test_events_of_a_unit_lie_where_it_moves(view):
    from microexpr_ros.synthesis.world import motion, scene

    rows = {}
    for code in (2, 12):
        course = motion.single(code, 0.4, 200_000_000)
        samples = list(scene.film(view, course, noiseless(), np.random.default_rng(0)))
        events = Events.concatenate([sample.events for sample in samples])
        assert len(events) > 50
        rows[code] = np.median(events.y)
    # Brows above the middle of the face, the mouth below.
    assert rows[2] < 60 < rows[12]


@needs_face
def test_the_face_is_upright_with_eyes_darker_than_cheeks(view):
    picture = view.radiance(np.zeros(44, np.float32), np.zeros(6), np.zeros(2))

    def at(x, y):
        scale = view.camera.focal_px / view.camera.distance
        column, row = 60 + x * scale, 60 - (y - face.FACE_CENTRE[1]) * scale
        return picture[round(row) - 1 : round(row) + 2, round(column) - 1 : round(column) + 2]

    cheek = at(0.45, 6.95).mean()
    assert at(0.31, 7.284).min() < 0.5 * cheek
    assert at(-0.31, 7.284).min() < 0.5 * cheek
    # A still picture is the same picture, bit by bit.
    again = view.radiance(np.zeros(44, np.float32), np.zeros(6), np.zeros(2))
    np.testing.assert_array_equal(picture, again)


@needs_face
def test_samples_are_close_enough_for_straight_lines(view):
    from microexpr_ros.synthesis.world import motion, scene

    still = scene.sample_times(view, motion.single(12, 0.0, 400_000_000))
    small = scene.sample_times(view, motion.single(12, 0.2, 400_000_000))
    large = scene.sample_times(view, motion.single(12, 1.0, 400_000_000))
    assert len(still) < len(small) < len(large)
    for times in (still, small, large):
        assert times[0] == 0
        assert times[-1] == 400_000_000
        assert (np.diff(times) > 0).all()
        assert (times % 1000 == 0).all()
