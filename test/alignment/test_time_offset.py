"""The offset between frames and events, against a pattern that moves and the generator's truth."""

import cv2
import numpy as np
import pytest
from fake_clips import needs_face
from moving_faces import EPOCH_NS, make_face

from microexpr_ros.alignment.time_offset import EventRate, ExpectedEvents, measure_offset
from microexpr_ros.errors import MicroexprError

MS = 1_000_000
FRAME_NS = 33_333_333


class Pattern:
    """Stripes that are shifted; events when the light of a pixel changed by a fifth."""

    def __init__(self, speed, seconds=10.0, seed=0):
        random = np.random.default_rng(seed)
        self.stripes = random.uniform(0.2, 0.9, 400).astype(np.float32)
        self.time_ns = np.arange(0, round(seconds * 1e9), 2 * MS)
        self.shift = np.cumsum([speed(t / 1e9) * 2e-3 for t in self.time_ns.tolist()])

    def light(self, time_ns):
        at = 150 + np.interp(time_ns, self.time_ns, self.shift) + np.arange(64)
        return np.interp(at, np.arange(400), self.stripes)

    def events(self):
        rate = EventRate()
        seen = np.log(self.light(0))
        for time_ns in self.time_ns.tolist():
            light = np.log(self.light(time_ns))
            steps = np.trunc((light - seen) / 0.18)
            seen += 0.18 * steps
            rate.add(np.full(int(np.abs(steps).sum()), EPOCH_NS + time_ns))
        return rate

    def frames(self, offset_ns, first_ns=7 * MS):
        expected = ExpectedEvents()
        for time_ns in range(first_ns, int(self.time_ns[-1]), FRAME_NS):
            grey = np.uint8(255 * self.light(time_ns) ** (1 / 2.2) + 0.5)
            expected.add(EPOCH_NS + time_ns + offset_ns, np.tile(grey, (8, 1)))
        return expected


def now_and_then(t_s):
    """Pixels per second: jerks to and fro at no steady beat."""
    at_s = np.array([0.7, 1.9, 2.4, 4.1, 5.0, 6.8, 7.3, 9.1])
    speed = np.array([60, -50, 80, -70, 40, -60, 30, -40])
    return float((speed * np.exp(-(((t_s - at_s) / 0.1) ** 2))).sum())


@pytest.mark.parametrize('offset_ms', [0.0, 37.0, -120.0, 4.4, 1800.0, -1234.5])
def test_an_offset_is_found_more_finely_than_frames_come(offset_ms):
    pattern = Pattern(now_and_then)
    found = measure_offset(pattern.events(), pattern.frames(round(offset_ms * MS)))
    assert found.offset_ns / MS == pytest.approx(offset_ms, abs=2)
    assert found.sigma_ns < 10 * MS
    assert found.correlation > 0.9 > found.rival
    assert found.frames == pytest.approx(300, abs=60)


def test_clocks_that_are_hours_apart_need_a_guess():
    pattern, away_ns = Pattern(now_and_then), 7200 * 1000 * MS
    frames = pattern.frames(away_ns + 37 * MS)
    found = measure_offset(pattern.events(), frames, guess_ns=away_ns + 500 * MS)
    assert (found.offset_ns - away_ns) / MS == pytest.approx(37, abs=2)
    with pytest.raises(MicroexprError, match='fewer than 30 frames overlap the events'):
        measure_offset(pattern.events(), frames)


def test_an_offset_at_the_end_of_the_range_is_refused():
    pattern = Pattern(now_and_then)
    with pytest.raises(MicroexprError, match=r'search a wider range|do not move together'):
        measure_offset(pattern.events(), pattern.frames(500 * MS), range_ns=400 * MS)


def test_a_steady_beat_fits_several_offsets():
    pattern = Pattern(lambda t_s: 30 * np.sin(2 * np.pi * 2 * t_s))
    with pytest.raises(MicroexprError, match='several offsets fit alike'):
        measure_offset(pattern.events(), pattern.frames(0))


def test_noise_is_no_motion():
    random = np.random.default_rng(0)
    rate, expected = EventRate(), ExpectedEvents()
    rate.add(np.sort(random.integers(0, 6000 * MS, 20_000)))
    for number in range(180):
        grey = np.uint8(np.clip(random.normal(100, 4, (90, 120)), 0, 255))
        expected.add(number * FRAME_NS, grey)
    with pytest.raises(MicroexprError, match=r'do not move together .* wave'):
        measure_offset(rate, expected)


def test_a_still_picture_is_no_motion():
    rate, expected = EventRate(), ExpectedEvents()
    rate.add(np.arange(0, 6000 * MS, MS))
    for number in range(180):
        expected.add(number * FRAME_NS, np.full((9, 12), 100, np.uint8))
    with pytest.raises(MicroexprError, match='do not move together'):
        measure_offset(rate, expected)


def test_without_events_there_is_no_offset():
    with pytest.raises(MicroexprError, match='there are no events'):
        measure_offset(EventRate(), ExpectedEvents())


def test_what_an_ideal_sensor_sends_by_hand():
    expected = ExpectedEvents()
    # A step of the light by 3.4 times the contrast, half a step back, then the other way.
    for number, level in enumerate((100, 100, 140, 136, 100)):
        expected.add(number, np.full((2, 3), level, np.uint8))
    assert expected.numbers.tolist() == [0, 18, 0, 18]
    expected.add(3, np.full((2, 3), 255, np.uint8))
    assert expected.stamps_ns.tolist() == [0, 1, 2, 3, 4]


@needs_face
@pytest.mark.parametrize('light', ['bright', 'dim'])
@pytest.mark.parametrize('offset_ms', [37, -120])
def test_a_face_that_moves_is_enough(light, offset_ms):
    events, frames = make_face(light, offset_ms * MS, seed=4)
    rate, expected = EventRate(), ExpectedEvents()
    rate.add(EPOCH_NS + events.t)
    for stamp_ns, pixels in zip(frames.stamp_ns.tolist(), frames.pixels, strict=True):
        expected.add(EPOCH_NS + stamp_ns, cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    found = measure_offset(rate, expected)
    # Frames come each 33 ms, and have the noise that their light gives them.
    error_ms = abs(found.offset_ns / MS - offset_ms)
    assert error_ms < 33 / 2
    assert error_ms < 2 * found.sigma_ns / MS
    assert found.correlation > 0.8
