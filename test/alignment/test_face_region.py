import numpy as np
import pytest

from microexpr_ros.alignment.face_region import FaceRegionTracker
from microexpr_ros.events.events import Events
from microexpr_ros.events.grid import accumulate
from microexpr_ros.events.region import Region

HEIGHT, WIDTH = 480, 640


def head(random, centre_x, centre_y, width, noise):
    """Draw events on the outline of a head (an ellipse), and noise everywhere."""
    angle = random.uniform(0, 2 * np.pi, 4000)
    x = centre_x + 0.5 * width * np.cos(angle) + random.normal(0, 1, 4000)
    y = centre_y + 0.625 * width * np.sin(angle) + random.normal(0, 1, 4000)
    x = np.concatenate([x, random.uniform(0, WIDTH, noise)])
    y = np.concatenate([y, random.uniform(0, HEIGHT, noise)])
    inside = (x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT)
    x, y = x[inside].astype(np.uint16), y[inside].astype(np.uint16)
    return Events(np.zeros(len(x), np.int64), x, y, np.ones(len(x), np.uint8))


def run(tracker, random, seconds, **kwargs):
    for _ in range(int(seconds * 100)):
        counts = np.zeros((2, *tracker.shape), np.uint8)
        accumulate(head(random, **kwargs), Region(0, 0, WIDTH, HEIGHT), counts)
        tracker.update(counts, 0.01)


@pytest.mark.parametrize('noise', [0, 1500])
@pytest.mark.parametrize(('x', 'y', 'width'), [(300, 220, 200), (420, 160, 140)])
def test_the_head_is_boxed(noise, x, y, width):
    tracker = FaceRegionTracker(HEIGHT, WIDTH)
    run(tracker, np.random.default_rng(0), 1, centre_x=x, centre_y=y, width=width, noise=noise)
    region = tracker.region
    assert region is not None
    assert abs(region.x + region.width / 2 - x) < 0.1 * width
    assert abs(region.y + region.height / 2 - y) < 0.15 * width
    assert region.width == region.height
    assert 1.1 * width < region.width < 1.5 * width


def test_noise_alone_is_no_face():
    tracker = FaceRegionTracker(HEIGHT, WIDTH)
    random = np.random.default_rng(0)
    for _ in range(300):
        counts = random.poisson(0.5, (2, *tracker.shape)).astype(np.uint8)
        assert tracker.update(counts, 0.01) is None


def test_the_head_is_followed_and_given_up():
    tracker = FaceRegionTracker(HEIGHT, WIDTH)
    random = np.random.default_rng(0)
    run(tracker, random, 1, centre_x=200, centre_y=220, width=160, noise=0)
    run(tracker, random, 3, centre_x=400, centre_y=220, width=160, noise=0)
    assert abs(tracker.region.x + tracker.region.width / 2 - 400) < 25
    for _ in range(1100):
        tracker.update(np.zeros((2, *tracker.shape), np.uint8), 0.01)
    assert tracker.region is None


def test_a_mouth_does_not_move_the_region():
    tracker = FaceRegionTracker(HEIGHT, WIDTH)
    random = np.random.default_rng(0)
    run(tracker, random, 1, centre_x=300, centre_y=220, width=200, noise=0)
    before = tracker.region
    for _ in range(300):
        counts = np.zeros((2, *tracker.shape), np.uint8)
        counts[:, 28:30, 28:33] = 9
        tracker.update(counts, 0.01)
    assert tracker.region == before
