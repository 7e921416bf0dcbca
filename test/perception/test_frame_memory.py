import cv2
import numpy as np
import pytest

from microexpr_ros.perception.reconstruction.frame_memory import FrameAverage, FrameMemory
from microexpr_ros.perception.reconstruction.integration import (
    DELAYS,
    ContrastThresholds,
    late_density,
    late_shares,
    to_log,
    to_picture,
)

STILL = np.zeros((128, 128), np.float32)
NO_EVENTS = np.zeros((2, 128, 128), np.float32)


def portrait():
    rng = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(rng.standard_normal((128, 128)), (0, 0), 4)
    return np.clip(128 + 40 * smooth / smooth.std(), 30, 225).astype(np.float32)


def noisy(picture, rng, sigma=8.0):
    return np.clip(np.rint(picture + rng.normal(0, sigma, picture.shape)), 0, 255).astype(np.uint8)


def error_of(average, picture):
    return float(np.sqrt(np.square(255 * average.picture - picture).mean()))


def average_of(frames, changes):
    average = FrameAverage.start(frames[0])
    for frame, change in zip(frames[1:], changes, strict=True):
        average = average.add(frame, change)
    return average


def test_the_noise_of_a_still_face_averages_out():
    rng, picture = np.random.default_rng(1), portrait()
    average = average_of([noisy(picture, rng) for _ in range(20)], [STILL] * 19)
    assert error_of(average, picture) < 8.0 / 2.5
    # It knows how well: neither does it trust itself too much, nor forget what it has.
    assert error_of(average, picture) < 2 * 255 * float(average.deviation.mean())
    assert np.sqrt(average.noise) * 255 == pytest.approx(8.0, rel=0.15)


def test_what_events_change_is_carried_along():
    rng, picture = np.random.default_rng(1), portrait()
    change = STILL.copy()
    change[40:80, 40:80] = 0.4
    after = 255 * to_picture(to_log(picture.astype(np.uint8)) + change)
    frames = [noisy(picture, rng) for _ in range(10)] + [noisy(after, rng)]
    average = average_of(frames, [STILL] * 9 + [change])
    inside = slice(44, 76), slice(44, 76)
    off = np.abs(255 * average.picture - after)[inside].mean()
    assert off < np.abs(frames[-1] - after)[inside].mean() / 1.5


def test_what_no_event_told_is_taken_from_the_frame():
    rng, picture = np.random.default_rng(1), portrait()
    after = picture.copy()
    after[40:80, 40:80] += 60
    frames = [noisy(picture, rng) for _ in range(10)] + [noisy(after, rng)]
    average = average_of(frames, [STILL] * 10)
    inside = slice(44, 76), slice(44, 76)
    assert np.abs(255 * average.picture - after)[inside].mean() < 10
    # Elsewhere it is still known from all.
    assert np.abs(255 * average.picture - after)[90:, 90:].mean() < 4


def test_it_follows_the_exposure():
    rng, picture = np.random.default_rng(1), portrait()
    brighter = 255 * to_picture(to_log(picture.astype(np.uint8)) + np.float32(np.log(2) / 3))
    frames = [noisy(picture, rng) for _ in range(10)] + [noisy(brighter, rng)]
    average = average_of(frames, [STILL] * 10)
    assert error_of(average, brighter) < 5


def test_a_frame_shows_the_middle_of_its_exposure():
    """Steady events that it does not show are those of its delay."""
    steady = [np.ones((2, 4, 4), np.float32)] * 6
    for delay in DELAYS:
        assert late_density(steady, delay)[0, 0, 0] == pytest.approx(delay, abs=0.06)
    assert not late_shares(0).any()
    # What is not known of the time before the first slice is left out.
    assert late_density(steady[:1], 1.6)[0, 0, 0] == pytest.approx(1 - 0.5 / 3.2)


def exposed_frames(delay_slices, rng):
    """Yield frames of 3 slices of a square that brightens and darkens, and their events."""
    where = np.zeros((128, 128), np.float32)
    where[30:90, 30:90] = 1
    base = to_log(portrait().astype(np.uint8))
    signs = np.repeat(rng.choice([-1, 1], 40), 7)
    level = np.cumsum(signs) * 0.05
    level -= level.mean()
    for slice_, sign in enumerate(signs):
        density = NO_EVENTS.copy()
        density[1 if sign > 0 else 0] = 0.2 * where
        frame = None
        if slice_ % 3 == 2 and slice_ > 6:
            # Between slices the level runs in a straight line.
            at = np.interp(slice_ - delay_slices, np.arange(len(level)), level)
            frame = np.rint(255 * to_picture(base + np.float32(at) * where)).astype(np.uint8)
        yield density, frame


@pytest.mark.parametrize('delay', [0.0, 1.6])
def test_thresholds_and_delay_are_found_from_pairs(delay):
    memory, recent, since, slices = None, [], NO_EVENTS, 0
    for density, frame in exposed_frames(delay, np.random.default_rng(3)):
        recent = [*recent[-4:], density]
        since, slices = since + density, slices + 1
        if frame is None:
            continue
        if memory is None:
            memory = FrameMemory.start(frame, recent, ContrastThresholds())
        else:
            memory = memory.add(frame, recent, since, slices)
        since, slices = NO_EVENTS, 0
    assert memory.thresholds.delay == delay
    # 0.05 of log light for 0.2 events.
    assert memory.thresholds.on == pytest.approx(0.25, abs=0.02)
    assert memory.thresholds.off == pytest.approx(0.25, abs=0.02)
