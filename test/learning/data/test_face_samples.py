import numpy as np
import pytest
from face_takes import make_take

from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.learning.data.face_samples import PLACE, mark_places, sample_moments


def test_the_detector_is_shown_where_centre_size_and_roll_are():
    region = AlignedRegion(41.0, 82.0, 64.0, 0.2)
    places = mark_places([region])
    row, column = divmod(int(places[0].argmax()), places.shape[2])
    assert places[0, row, column] == 1
    assert (column + 0.5 + places[1, row, column]) * PLACE == pytest.approx(region.x)
    assert (row + 0.5 + places[2, row, column]) * PLACE == pytest.approx(region.y)
    assert np.exp(places[3, row, column]) * 4 * PLACE == pytest.approx(region.side)
    assert places[4, row, column] == pytest.approx(region.roll)
    assert not mark_places([]).any()


def test_moments_have_crops_of_faces_and_of_none():
    samples = sample_moments(make_take(120), np.random.default_rng(0), 12, 6)
    assert len(samples.pooled) == 12
    assert len(samples.crops) == 72
    assert set(samples.is_face) >= {0.0, 1.0}
    shown = samples.landmarks[samples.is_face == 1]
    assert 0.05 < np.abs(shown).mean() < 1
    assert not samples.landmarks[samples.is_face < 1].any()


def test_a_take_without_faces_has_none():
    samples = sample_moments(make_take(120, faces=0), np.random.default_rng(0), 4, 4)
    assert not samples.places.any()
    assert not (samples.is_face > 0).any()


def test_samples_depend_on_the_seed_alone():
    one, same, other = (
        sample_moments(make_take(60), np.random.default_rng(seed), 3, 3) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.crops, same.crops)
    assert np.abs(one.crops - other.crops).max() > 0
