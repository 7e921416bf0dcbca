from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from microexpr_ros.perception.presence import HYSTERESIS, Presence, log_odds

intensities = arrays(np.float32, 18, elements=st.floats(0, 1, width=32))


def test_hysteresis_keeps_a_unit_until_it_is_well_below():
    presence = Presence.uncalibrated(0.5)
    trace = (0.4, 0.5, 0.4, 0.34, 0.4)
    active, seen = np.zeros(18, bool), []
    for value in trace:
        active = presence.active(np.full(18, value, np.float32), active)
        seen.append(bool(active[3]))
    assert seen == [False, True, True, False, False]


def test_probability_by_hand():
    ones = np.ones(18, np.float32)
    presence = Presence(0.5 * ones, 0.5 * ones, 2 * ones, 1 * ones)
    # logit(0.5) = 0, so the probability is that of the bias alone.
    assert presence.probability(0.5 * ones)[0] == pytest.approx(1 / (1 + np.exp(-1)))


@given(intensities)
def test_uncalibrated_probability_is_the_intensity(intensity):
    probability = Presence.uncalibrated().probability(intensity)
    np.testing.assert_allclose(probability, intensity, atol=2e-6)


@given(intensities, st.floats(0.05, 0.95))
def test_margin_tells_whether_a_peak_is_reached(intensity, peak):
    presence = replace(Presence.uncalibrated(0.5), peak=np.full(18, peak, np.float32))
    far = np.abs(intensity - peak) > 1e-4
    assert np.array_equal((presence.margin(intensity) > 0)[far], (intensity >= peak)[far])


@given(intensities, arrays(np.bool_, 18))
def test_what_was_active_stays_at_least_as_easily(intensity, before):
    presence = Presence.uncalibrated(0.5)
    fresh = presence.active(intensity, np.zeros(18, bool))
    assert np.all(presence.active(intensity, before) >= fresh)
    assert not presence.active(np.full(18, 0.5 * HYSTERESIS - 0.01, 'f4'), before).any()


def test_settings_round_trip():
    rng = np.random.default_rng(0)
    presence = Presence(*(rng.random(18).astype(np.float32) for _ in range(4)))
    again = Presence.from_settings(presence.to_settings())
    for name in ('threshold', 'peak', 'slope', 'bias'):
        np.testing.assert_array_equal(getattr(again, name), getattr(presence, name))


def test_log_odds_stay_finite():
    assert np.isfinite(log_odds(np.array([0.0, 1.0], np.float32))).all()


def test_wrong_number_of_units():
    with pytest.raises(ValueError, match='18 values'):
        replace(Presence.uncalibrated(), peak=np.ones(3, 'f4'))
