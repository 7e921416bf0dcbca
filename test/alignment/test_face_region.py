import numpy as np
import pytest

from microexpr_ros.alignment.face_alignment import align
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
        faces = tracker.update(counts, 0.01)
    return faces


@pytest.mark.parametrize('noise', [0, 1500])
@pytest.mark.parametrize(('x', 'y', 'width'), [(300, 220, 200), (420, 160, 140)])
def test_the_face_is_between_crown_and_chin(noise, x, y, width):
    tracker = FaceRegionTracker(HEIGHT, WIDTH)
    [face] = run(
        tracker, np.random.default_rng(0), 1, centre_x=x, centre_y=y, width=width, noise=noise
    )
    region = align(face.landmarks)
    assert abs(region.x - x) < 0.1 * width
    # Eyes are half way between the crown and the chin.
    assert abs(face.landmarks[:2, 1].mean() - y) < 0.15 * width
    assert region.roll == pytest.approx(0, abs=1e-6)
    assert 1.0 * width < region.side < 1.35 * width


def test_noise_alone_is_no_face():
    tracker = FaceRegionTracker(HEIGHT, WIDTH)
    random = np.random.default_rng(0)
    for _ in range(300):
        counts = random.poisson(0.5, (2, *tracker.shape)).astype(np.uint8)
        assert not tracker.update(counts, 0.01)


def test_the_head_is_followed_and_given_up():
    tracker = FaceRegionTracker(HEIGHT, WIDTH)
    random = np.random.default_rng(0)
    [first] = run(tracker, random, 1, centre_x=200, centre_y=220, width=160, noise=0)
    [moved] = run(tracker, random, 3, centre_x=400, centre_y=220, width=160, noise=0)
    assert moved.number == first.number
    assert abs(align(moved.landmarks).x - 400) < 25
    for _ in range(1100):
        faces = tracker.update(np.zeros((2, *tracker.shape), np.uint8), 0.01)
    assert not faces
    [again] = run(tracker, random, 1, centre_x=400, centre_y=220, width=160, noise=0)
    assert again.number == first.number + 1


def test_a_mouth_does_not_move_the_face():
    tracker = FaceRegionTracker(HEIGHT, WIDTH)
    random = np.random.default_rng(0)
    [before] = run(tracker, random, 1, centre_x=300, centre_y=220, width=200, noise=0)
    for _ in range(300):
        counts = np.zeros((2, *tracker.shape), np.uint8)
        counts[:, 28:30, 28:33] = 9
        [face] = tracker.update(counts, 0.01)
    np.testing.assert_array_equal(face.landmarks, before.landmarks)
