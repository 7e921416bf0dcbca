"""Frames become events: when, where, and what a gap between frames does."""

import math
from dataclasses import replace

import numpy as np
import pytest

from microexpr_ros.events.events import Frame
from microexpr_ros.synthesis.sensors import video_sensor
from microexpr_ros.synthesis.sensors.frame_camera import encode
from microexpr_ros.synthesis.sensors.video_sensor import RADIANCE, VideoSensor, fit, to_grey

MS = 1_000_000


@pytest.fixture
def uniform(monkeypatch):
    """Pixels without noise that all have the same thresholds."""
    pixels = replace(video_sensor.PIXELS, threshold_sigma=0.0, leak_hz=0.0, shot_hz=0.0)
    monkeypatch.setattr(video_sensor, 'PIXELS', pixels)
    return pixels


def grey(value, size=(1, 1)):
    return np.full(size, value, np.uint8)


def test_radiance_is_the_inverse_of_the_curve_of_frames():
    np.testing.assert_array_equal(encode(RADIANCE / RADIANCE[255]), np.arange(256))
    assert to_grey(np.full((2, 3, 3), (255, 0, 0), np.uint8)).tolist() == [[76] * 3] * 2


def test_a_straight_rise_crosses_the_threshold_at_equal_distances(uniform):
    sensor = VideoSensor()
    assert len(sensor.see(Frame(0, grey(60)))) == 0
    events = sensor.see(Frame(33 * MS, grey(250)))
    rise = math.log(RADIANCE[250] / RADIANCE[60])
    every_ns = uniform.threshold_on / rise * 33 * MS
    assert events.p.all()
    # At the start, a pixel stands anywhere between its thresholds.
    assert 0 <= events.t[0] <= every_ns * (1 + uniform.threshold_off / uniform.threshold_on)
    assert len(events) == 1 + (33 * MS - events.t[0]) // every_ns
    np.testing.assert_allclose(np.diff(events.t), every_ns, atol=1000)


def test_events_are_those_of_a_straightforward_calculation(uniform):
    """Pixel by pixel, threshold by threshold."""
    rng = np.random.default_rng(3)
    pictures = rng.integers(40, 256, (6, 5, 7), np.uint8)
    times = np.array([0, 33, 66, 133, 150, 183]) * MS
    sensor = VideoSensor(seed=4)
    sensor.see(Frame(0, pictures[0]))
    levels = sensor._state.reference.copy()
    for before, after, start_ns, end_ns in zip(
        pictures[:-1], pictures[1:], times[:-1], times[1:], strict=True
    ):
        events = sensor.see(Frame(int(end_ns), after))
        found = sorted(zip(events.y, events.x, events.t.tolist(), events.p, strict=True))
        expected = []
        for (y, x), level in np.ndenumerate(levels):
            x0, x1 = (math.log(RADIANCE[picture[y, x]]) for picture in (before, after))
            while not level - uniform.threshold_off < x1 < level + uniform.threshold_on:
                is_on = x1 > level
                level += uniform.threshold_on if is_on else -uniform.threshold_off
                share = (level - x0) / (x1 - x0)
                expected.append((y, x, start_ns + share * (end_ns - start_ns), is_on))
            levels[y, x] = level
        expected.sort()
        assert len(found) == len(expected) > 0
        for got, wanted in zip(found, expected, strict=True):
            # Times are whole us, and thresholds in single precision.
            assert got[2] == pytest.approx(wanted[2], abs=1010)
            assert (*got[:2], got[3]) == (*wanted[:2], wanted[3])


def test_a_still_picture_makes_only_noise():
    sensor = VideoSensor()
    picture = np.random.default_rng(0).integers(60, 256, (100, 100, 3), np.uint8)
    count = sum(len(sensor.see(Frame(k * 33 * MS, picture))) for k in range(61))
    pixels = video_sensor.PIXELS
    # So that the camera is not taken for dead, some, and not many.
    assert 0.2 < count / 2 / 100**2 / (pixels.leak_hz + pixels.shot_hz) < 2


def test_a_still_picture_without_noise_makes_no_event(uniform):
    sensor = VideoSensor()
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    assert sum(len(sensor.see(Frame(k * 33 * MS, picture))) for k in range(30)) == 0


def test_steps_of_one_in_the_dark_make_few_events(uniform):
    sensor = VideoSensor()
    pictures = [grey(8 + k % 2, (20, 20)) for k in range(30)]
    assert sum(len(sensor.see(Frame(k * 33 * MS, p))) for k, p in enumerate(pictures)) < 40


def test_dropped_frames_are_bridged_and_long_gaps_are_not():
    sensor = VideoSensor()
    sensor.see(Frame(0, grey(60)))
    events = sensor.see(Frame(132 * MS, grey(250)))
    assert np.ptp(events.t) > 100 * MS
    assert len(sensor.see(Frame(132 * MS + video_sensor.MAX_GAP_NS + 1, grey(60)))) == 0
    assert sensor.gaps == 1
    assert len(sensor.see(Frame(700 * MS, grey(250)))) > 0


def test_a_step_back_in_time_begins_anew_and_the_same_time_is_ignored():
    sensor = VideoSensor()
    sensor.see(Frame(500 * MS, grey(60)))
    assert len(sensor.see(Frame(500 * MS, grey(250)))) == 0
    assert len(sensor.see(Frame(0, grey(250)))) == 0
    events = sensor.see(Frame(33 * MS, grey(60)))
    assert len(events) > 0
    assert not events.p.any()


def test_a_change_of_size_begins_anew():
    sensor = VideoSensor()
    sensor.see(Frame(0, grey(60, (2, 2))))
    assert len(sensor.see(Frame(33 * MS, grey(250, (3, 4))))) == 0
    assert sensor.gaps == 0
    assert sensor.see(Frame(66 * MS, grey(60, (3, 4)))).x.max() == 3


@pytest.mark.parametrize(
    ('given', 'fitted'),
    [((480, 640), (480, 640)), ((120, 160), (120, 160)), ((1280, 720), (480, 270))],
)
def test_large_pictures_are_scaled_down_in_their_proportions(given, fitted):
    assert fit(np.zeros(given, np.uint8)).shape == fitted
