import numpy as np
import pytest
from face_takes import make_take
from scripted_faces import ScriptedTracker

from microexpr_ros.alignment.faces import Face
from microexpr_ros.alignment.head_motion import HeadMotion
from microexpr_ros.learning.evaluation.head_moving import (
    AROUND,
    SETTLED,
    MeasuredMoment,
    measure_moments,
    score_head_moving,
    score_moments,
)
from microexpr_ros.perception.head_limits import HeadLimits

STILL = HeadMotion(0, 0, 0, 0, 0, 0)
FAST = HeadMotion(2, 0, 0, 0, 0, 0)
TURNING = HeadMotion(0.7, 0, 0, 0, 0.4, 0)


def track(take, number=0):
    return ScriptedTracker(lambda at: [Face(number, take.landmarks[0, at], 0.05)])


def test_shares_are_of_what_truly_sways_and_turns():
    pairs = [(STILL, STILL), (STILL, FAST), (TURNING, FAST), (FAST, STILL), (TURNING, FAST)]
    moments = [MeasuredMoment(true, measured) for true, measured in pairs]
    found = score_moments(moments, HeadLimits())
    assert (found.sway_s, found.sway_flagged) == (pytest.approx(0.02), 0.5)
    # One that is fast and does not turn is neither.
    assert (found.turning_s, found.turning_flagged) == (pytest.approx(0.02), 1.0)


def test_without_moments_the_shares_are_not_known():
    found = score_moments([], HeadLimits())
    assert (found.sway_s, found.turning_s) == (0, 0)
    assert np.isnan([found.sway_flagged, found.turning_flagged]).all()


def test_a_face_counts_once_it_has_been_followed_for_a_second():
    take = make_take(slices=150, speed=4.0)
    moments = list(measure_moments(take, track(take)))
    assert len(moments) == 150 - AROUND - SETTLED
    # 1 px in a slice of 10 ms, where the eyes are 25 px apart.
    for one in moments:
        assert one.true.x == pytest.approx(100 / 25, rel=0.01)
        assert one.measured.x == pytest.approx(one.true.x, rel=0.01)


def test_a_face_at_another_place_does_not_count():
    take = make_take(slices=150)
    aside = take.landmarks[0] + (100, 0)
    tracker = ScriptedTracker(lambda at: [Face(0, aside[at].astype(np.float32), 0.05)])
    assert list(measure_moments(take, tracker)) == []


def test_takes_are_scored():
    found = score_head_moving([make_take(slices=150, speed=0.1)], track)
    assert found.sway_s == pytest.approx(0.45)
    assert found.sway_flagged == 0
    assert found.turning_s == 0
