"""What an event sensor and a frame camera see of a scene."""

from dataclasses import replace

import numpy as np
import pytest
from fake_clips import needs_face

from microexpr_ros.events.events import Events
from microexpr_ros.synthesis.person.person import make_person
from microexpr_ros.synthesis.person.template import FACE_HEIGHT
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS, SensorParameters
from microexpr_ros.synthesis.sensors.filming import RenderedFrames, film
from microexpr_ros.synthesis.sensors.frame_camera import FrameCamera, FrameClock
from microexpr_ros.synthesis.sensors.frame_taking import _find_moments, take_frames
from microexpr_ros.synthesis.world.light import ROOM_LIGHTS, SHIFTED_LIGHTS
from microexpr_ros.synthesis.world.motion import single
from microexpr_ros.synthesis.world.motion_sampling import sample_wave
from microexpr_ros.synthesis.world.renderer import PinholeCamera
from microexpr_ros.synthesis.world.scene import build_scene


@pytest.fixture(scope='module')
def scene():
    rng = np.random.default_rng(2)
    person = make_person(2_000_000, 2_000_000)
    light = ROOM_LIGHTS.sample(rng, 'bright')
    camera = PinholeCamera(120, 120, 120 * 0.8 / FACE_HEIGHT * 8, 8.0, (60.0, 60.0))
    return build_scene(rng, person, light, camera, np.zeros(3), 0.3)


def noiseless():
    values = {name: getattr(SENSORS['davis346'], name) for name in SensorParameters.__slots__}
    return SensorParameters(**(values | {'leak_hz': 0.0, 'shot_hz': 0.0, 'hot_share': 0.0}))


@needs_face
def test_a_still_face_in_still_light_gives_only_noise_events(scene):
    still = single(12, 0.0, 1_000_000_000)
    rng = np.random.default_rng(0)
    silent = list(film(scene, still, noiseless(), rng))
    assert sum(len(sample.events) for sample in silent) == 0
    parameters = SENSORS['davis346']
    noisy = list(film(scene, still, parameters, np.random.default_rng(0)))
    count = sum(len(sample.events) for sample in noisy)
    # Shot noise at most 20-fold in the dark, leak, and some hot pixels.
    rate = count / scene.camera.width / scene.camera.height
    assert 0 < rate < 20 * parameters.shot_hz + parameters.leak_hz + 0.02


@needs_face
def test_events_of_a_unit_lie_where_it_moves(scene):
    rows = {}
    for code in (2, 12):
        motion = single(code, 0.4, 200_000_000)
        samples = list(film(scene, motion, noiseless(), np.random.default_rng(0)))
        events = Events.concatenate([sample.events for sample in samples])
        assert len(events) > 50
        rows[code] = np.median(events.y)
    # Brows above the middle of the face, the mouth below.
    assert rows[2] < 60 < rows[12]


@needs_face
def test_only_a_moving_light_makes_events_on_a_face_at_rest():
    person = make_person(4_000_001, 4_000_001)
    camera = PinholeCamera(48, 48, 160.0, 8.0, (24, 24))
    rest = single(12, 0.0, 200_000_000)
    quiet = SensorParameters(leak_hz=0, shot_hz=0, hot_share=0)

    def film_under(light):
        rng = np.random.default_rng(0)
        scene = build_scene(rng, person, light, camera, np.zeros(3), 0.3)
        return Events.concatenate([sample.events for sample in film(scene, rest, quiet, rng)])

    light = SHIFTED_LIGHTS.sample(np.random.default_rng(3), 'moving')
    assert len(film_under(light.at(0))) == 0
    events = film_under(light)
    assert len(events) > 100
    assert (np.diff(events.t) >= 0).all()
    assert events.t[-1] < 200_000_000


@needs_face
def test_a_frame_camera_sees_a_moving_light_where_it_is():
    """From the picture of one lamp alone, known by its place at the middle of the exposure."""
    person = make_person(4_000_001, 4_000_001)
    camera = PinholeCamera(48, 48, 160.0, 8.0, (24, 24))
    rest = single(12, 0.0, 1_000_000_000)
    light = SHIFTED_LIGHTS.sample(np.random.default_rng(3), 'moving')
    rng = np.random.default_rng(0)
    scene = build_scene(rng, person, light, camera, np.zeros(3), 0.3)
    quiet = FrameCamera(exposure_ns=1_000_000, white_lux=400.0, full_well=1e9, read_noise=0.0)
    taken = take_frames(scene, rest, quiet, FrameClock(), rng)
    sides = taken.pixels[:, 12:36].astype(float)
    balance = sides[:, :, 24:].mean(axis=(1, 2, 3)) - sides[:, :, :24].mean(axis=(1, 2, 3))
    lamps = [light.at(int(t)).lamps for t in taken.stamp_ns]
    across = [sum(lamp.lux * lamp.direction[0] for lamp in one) for one in lamps]
    assert np.ptp(across) > 50
    assert np.corrcoef(balance, across)[0, 1] > 0.95


@needs_face
def test_an_exposure_is_rendered_as_often_as_what_moves_needs_it():
    rng = np.random.default_rng(0)
    camera = PinholeCamera(320, 240, 900.0, 8.0, (160, 120))
    person, steady = make_person(4_000_001, 4_000_001), ROOM_LIGHTS.sample(rng, 'bright')
    scene = build_scene(rng, person, steady, camera, np.zeros(3), 0.3)
    rest, wave = single(12, 0.0, 1_000_000_000), sample_wave(np.random.default_rng(1), 0.3, 2, 3)
    moves = replace(rest, head=(*rest.head[:3], wave, *rest.head[4:]))
    begin, end = 400_000_500, 433_000_700
    np.testing.assert_array_equal(_find_moments(scene, rest, begin, end), [begin, end])
    found = _find_moments(scene, moves, begin, end)
    assert (found[0], found[-1]) == (begin, end)
    px = moves.pose(found)[:, 3] * camera.focal_px / camera.distance
    assert 3 < len(found) <= 10
    assert np.abs(np.diff(px)).max() <= max(1.1, np.ptp(px) / 8)
    fast = replace(moves, head=tuple(sample_wave(rng, 2.0, 8, 10) for _ in range(6)))
    assert len(_find_moments(scene, fast, begin, end)) == 10
    # A lamp that moves is no reason: it takes a second from one side to the other.
    lamps = SHIFTED_LIGHTS.sample(np.random.default_rng(3), 'moving')
    assert lamps.longest_step_ns < end - begin
    assert len(_find_moments(replace(scene, light=lamps), rest, begin, end)) == 2


def test_pictures_between_samples_are_on_straight_lines():
    pictures = np.array([0, 10, 40], np.float32)[:, None, None] * np.ones((3, 2, 2), np.float32)
    rendered = RenderedFrames(np.array([0, 100, 200]), pictures)
    found = [rendered.at(t)[0, 0] for t in (-50, 0, 25, 100, 150, 200, 300)]
    np.testing.assert_allclose(found, [0, 0, 2.5, 10, 25, 40, 40])
