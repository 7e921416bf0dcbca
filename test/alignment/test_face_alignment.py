from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.alignment.face_alignment import (
    BOX,
    align,
    align_centres,
    measure_off_centre,
    place_landmarks,
)
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.landmarks import EYE_DISTANCE, PLACES

regions = st.builds(
    AlignedRegion,
    st.floats(-100, 1400),
    st.floats(-100, 900),
    st.floats(20, 700),
    st.floats(-3, 3),
)


@given(region=regions)
def test_landmarks_at_their_places_give_back_the_region(region):
    found = align(region.to_pixels(PLACES))
    assert found.x == pytest.approx(region.x, abs=1e-6)
    assert found.y == pytest.approx(region.y, abs=1e-6)
    assert found.side == pytest.approx(region.side)
    assert found.roll == pytest.approx(region.roll)


@given(region=regions, seed=st.integers(0, 99))
def test_no_other_region_shows_disturbed_landmarks_nearer_to_their_places(region, seed):
    rng = np.random.default_rng(seed)
    points = region.to_pixels(PLACES + rng.normal(0, 0.02, PLACES.shape))
    best = align(points)

    def error_px(candidate):
        return np.linalg.norm(candidate.to_pixels(PLACES) - points)

    for _ in range(8):
        x, y, side = rng.normal(0, 0.02 * region.side, 3)
        other = AlignedRegion(
            best.x + x, best.y + y, best.side + side, best.roll + rng.normal(0, 0.05)
        )
        assert error_px(best) <= error_px(other) + 1e-6


def test_a_head_that_leans_to_its_left_turns_the_region_with_the_picture():
    # The subject's left eye, on the right of the picture, is lower.
    points = AlignedRegion(100, 100, 80).to_pixels(PLACES)
    turned = np.array([[0.0, -1.0], [1.0, 0.0]]) @ (points - 100).T
    assert align(turned.T + 100).roll == pytest.approx(np.pi / 2)


def test_the_eyes_are_as_far_apart_as_it_says():
    assert PLACES[1, 0] - PLACES[0, 0] == pytest.approx(EYE_DISTANCE)


@pytest.mark.parametrize('value', [3.0, np.nan, np.inf])
def test_landmarks_that_span_no_face_are_refused(value):
    with pytest.raises(ValueError, match=r'span no face|not finite'):
        align(np.full((5, 2), value))


def test_a_box_gives_a_region_around_its_centre():
    region = align(place_landmarks(np.array([[100.0, 50.0], [170.0, 150.0]])))
    assert (region.x, region.y, region.roll) == pytest.approx((135, 100, 0))
    assert region.side == pytest.approx(BOX * 100)


@pytest.mark.parametrize(
    'corners', [[[0, 50], [9, 50]], [[0, 60], [9, 50]], [[0, 1], [9, np.nan]]]
)
def test_a_box_without_height_is_refused(corners):
    with pytest.raises(ValueError, match='no height'):
        place_landmarks(np.array(corners, float))


@given(many=st.lists(regions, min_size=1, max_size=4))
def test_centres_are_those_of_the_regions(many):
    landmarks = np.stack([region.to_pixels(PLACES) for region in many])
    expected = [(region.x, region.y) for region in map(align, landmarks)]
    np.testing.assert_allclose(align_centres(landmarks), expected, atol=1e-6)


def test_a_face_is_off_centre_by_how_far_it_has_moved_along_the_region():
    region = AlignedRegion(100, 80, 64, np.pi / 2)
    landmarks = region.to_pixels(PLACES + np.array([0.25, -0.125]))
    assert measure_off_centre(region, landmarks) == pytest.approx((0.25, -0.125))
    assert measure_off_centre(region, None) == (0, 0)
    # A rectangle is fixed, and says nothing of where a face should be.
    assert measure_off_centre(Region(0, 0, 64, 48), landmarks) == (0, 0)
