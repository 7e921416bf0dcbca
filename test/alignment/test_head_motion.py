from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.alignment.head_motion import measure_motion
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import DEPTHS, EYE_DISTANCE, PLACES

SIDE = 160
EYES_PX = EYE_DISTANCE * SIDE
FACE = AlignedRegion(300, 200, SIDE).to_pixels(PLACES)


def assert_motion(found, **expected):
    for name in ('x', 'y', 'scale', 'roll', 'turn', 'nod'):
        assert getattr(found, name) == pytest.approx(expected.get(name, 0), abs=1e-9), name


def test_a_face_that_is_moved_moves_along_columns_and_rows():
    found = measure_motion(FACE, np.full((5, 2), [EYES_PX, -2 * EYES_PX]))
    assert_motion(found, x=1, y=-2)


def test_a_face_that_comes_nearer_grows():
    # Twice as large in a second, about the mean of its landmarks.
    assert_motion(measure_motion(FACE, FACE - FACE.mean(axis=0)), scale=1)


def test_a_head_that_leans_to_its_left_rolls_with_the_picture():
    away = FACE - FACE.mean(axis=0)
    clockwise = np.stack([-away[:, 1], away[:, 0]], axis=1)
    assert_motion(measure_motion(FACE, 0.5 * clockwise), roll=0.5)


@pytest.mark.parametrize(('axis', 'name'), [(0, 'turn'), (1, 'nod')])
def test_what_is_in_front_of_the_eyes_moves_against_them_as_the_head_turns_or_nods(axis, name):
    velocities = np.zeros((5, 2))
    velocities[:, axis] = 2 * DEPTHS * EYES_PX
    assert_motion(measure_motion(FACE, velocities), **{name: 2})


@given(roll=st.floats(-3, 3), side=st.floats(20, 700), x=st.floats(-2, 2), nod=st.floats(-2, 2))
def test_speeds_do_not_depend_on_where_and_how_large_the_face_is(roll, side, x, nod):
    region = AlignedRegion(30, -40, side, roll)
    landmarks = region.to_pixels(PLACES)
    shares = EYE_DISTANCE * np.stack([np.full(5, x), nod * DEPTHS], axis=1)
    velocities = region.to_pixels(PLACES + shares) - landmarks
    assert_motion(measure_motion(landmarks, velocities), x=x, nod=nod)
