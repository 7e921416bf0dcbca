import numpy as np
import pytest

from microexpr_ros.learning.evaluation.resampling import bootstrap, confidence_interval


def test_interval_of_a_share_is_that_of_the_binomial():
    # One clip per person: the bootstrap's interval is the usual one of a share.
    right = np.arange(400) % 4 == 0
    low, high = confidence_interval(
        bootstrap(np.arange(400), lambda rows: float(right[rows].mean()), 4000)
    )
    spread = 1.96 * np.sqrt(0.25 * 0.75 / 400)
    assert low == pytest.approx(0.25 - spread, abs=0.006)
    assert high == pytest.approx(0.25 + spread, abs=0.006)


def test_clips_of_one_person_count_as_one():
    # Ten persons, all clips of each alike: a thousand clips say no more than ten.
    identities = np.repeat(np.arange(10), 100)
    right = identities < 5
    low, high = confidence_interval(bootstrap(identities, lambda rows: float(right[rows].mean())))
    assert low <= 0.2
    assert high >= 0.8


def test_every_draw_has_as_many_persons():
    identities = np.array([7, 7, 9])
    sizes = bootstrap(identities, lambda rows: float(len(rows)), 50)
    assert set(sizes) == {2, 3, 4}


def test_equal_seeds_draw_equal_persons():
    identities = np.arange(20) // 2
    first, again, other = (
        bootstrap(identities, lambda rows: float(rows.sum()), 20, seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_interval_leaves_out_what_is_unknown():
    assert confidence_interval(np.array([1.0, np.nan, 1.0])) == (1.0, 1.0)
    assert np.isnan(confidence_interval(np.array([np.nan]))).all()


def test_one_person_says_nothing_of_others():
    assert np.isnan(confidence_interval(bootstrap(np.zeros(5), lambda rows: 1.0))).all()
