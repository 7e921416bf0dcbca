"""HEAD_MOVING: a made head that sways, nods and turns, from its landmarks to the limits."""

import numpy as np
import pytest

from microexpr_ros.alignment.faces import Face
from microexpr_ros.alignment.head_motion import HeadMotion
from microexpr_ros.alignment.region_follower import RegionFollower
from microexpr_ros.landmarks import DEPTHS, EYE_DISTANCE, PLACES
from microexpr_ros.perception.head_limits import HeadLimits

SLICE_S = 0.01
EYES_PX = 60.0
HEAD = np.column_stack([(PLACES - PLACES[:2].mean(axis=0)) / EYE_DISTANCE, -DEPTHS])
"""Right, down and away from the camera, distances between the eyes; from between the eyes."""

NECK = np.array([0.0, 1.6, 1.6])
"""About what the head turns and nods: 10 cm below and behind the eyes."""


def look(turn=0.0, nod=0.0, x=0.0):
    """Return the landmarks of a head that is turned, nodded and moved aside, px."""
    c, s = np.cos(turn), np.sin(turn)
    about_y = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    c, s = np.cos(nod), np.sin(nod)
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    points = (HEAD - NECK) @ (about_x @ about_y).T + NECK
    return (points[:, :2] + (x, 0)) * EYES_PX + (320, 200)


def flagged(motion, sigma=0.045, seconds=1.0):
    """Return the share of time in which a movement exceeds the limits, once it is measured."""
    times = np.arange(0, seconds, SLICE_S)
    faces = [Face(0, look(**motion(t)).astype(np.float32), sigma) for t in times]
    follower, limits, found = RegionFollower(faces[0]), HeadLimits(), []
    for face in faces[1:]:
        follower.follow(face, SLICE_S)
        found.append(limits.are_exceeded(follower.motion))
    return float(np.mean(found[20:]))


@pytest.mark.parametrize('kind', ['turn', 'nod'])
@pytest.mark.parametrize('sigma', [0.015, 0.045])
def test_nods_and_turns_are_found(kind, sigma):
    for speed in (0.5, -0.5, 1.0):
        assert flagged(lambda t, speed=speed: {kind: speed * (t - 0.5)}, sigma) == 1


def test_a_sway_is_held_still_and_not_flagged():
    # 6 mm to each side at 0.5 Hz: at most 0.3 distances between the eyes per second.
    assert flagged(lambda t: {'x': 0.1 * np.sin(np.pi * t)}, seconds=4.0) == 0
    # With it, the head turns by a degree or two.
    sways = {'x': 0.06, 'turn': 0.03, 'nod': 0.02}
    found = flagged(
        lambda t: {name: size * np.sin(np.pi * t) for name, size in sways.items()}, seconds=4.0
    )
    assert found == 0


def test_a_head_at_rest_does_not_move():
    assert flagged(lambda t: {}) == 0


@pytest.mark.parametrize(
    ('speeds', 'is_exceeded'),
    [
        ({'x': 0.3, 'y': 0.4}, False),
        ({'x': 0.36, 'y': 0.48}, True),
        ({'scale': -0.59}, False),
        ({'scale': -0.61}, True),
        ({'roll': 0.61}, True),
        ({'turn': 0.8, 'nod': 0.8}, False),
        ({'turn': 0.9, 'nod': -0.9}, True),
    ],
)
def test_limits_by_hand(speeds, is_exceeded):
    still = dict.fromkeys(('x', 'y', 'scale', 'roll', 'turn', 'nod'), 0.0)
    assert HeadLimits().are_exceeded(HeadMotion(**still | speeds, sigma=0.05)) == is_exceeded


def test_the_limit_of_the_speed_grows_with_the_error():
    motion = HeadMotion(0.6, 0, 0, 0, 0, 0, sigma=0.05)
    assert HeadLimits().are_exceeded(motion)
    assert not HeadLimits(speed_noise=3.0).are_exceeded(motion)
