from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from microexpr_ros.errors import MicroexprError
from microexpr_ros.facs import CODES
from microexpr_ros.perception.classifier import BLIND, ActionUnitEstimate, Status
from microexpr_ros.perception.neutral import HIGHEST_BASELINE, Neutral, measure_neutral
from microexpr_ros.perception.presence import Presence

intensities = arrays(np.float32, (18, 2), elements=st.floats(0, 1, width=32))
baselines = arrays(np.float32, (18, 2), elements=st.floats(0, 0.875, width=32))
PRESENCE = Presence.uncalibrated(0.3)


def estimate(intensity, status=Status.OK, number=0):
    sides = np.broadcast_to(np.float32(intensity), (18, 2))
    return ActionUnitEstimate(number, status, sides, sides[:, 0], sides[:, 0] >= 0.3)


def test_median_while_ok_is_the_baseline():
    values = [0.1, 0.2, 0.9, 0.2, 0.3]
    moving = [estimate(1.0, Status.HEAD_MOVING)] * 3
    neutral = measure_neutral([*map(estimate, values), *moving])
    np.testing.assert_array_equal(neutral.baseline, np.full((18, 2), 0.2, np.float32))
    assert str(neutral).startswith('AU1 0.20, AU2 0.20')


def test_one_unit_at_rest_leaves_the_others_alone():
    baseline = np.zeros((18, 2), np.float32)
    baseline[CODES.index(12)] = 0.25
    shown = Neutral(baseline).apply(estimate(0.4), PRESENCE, np.zeros(18, bool))
    # (0.4 - 0.25) / 0.75 is under the threshold of 0.3.
    assert shown.intensity[CODES.index(12)] == pytest.approx(0.2)
    assert not shown.active[CODES.index(12)]
    assert shown.active.sum() == 17
    assert shown.intensity[0] == np.float32(0.4)


def test_an_uneven_face_at_rest_that_moves_evenly_is_shown_even():
    crooked = np.zeros((18, 2), np.float32)
    crooked[CODES.index(12)] = 0.2, 0.1
    neutral = measure_neutral([estimate(crooked)] * 4)
    assert str(neutral) == 'AU12 0.20'
    # Both sides use half of the range that is left to them.
    moved = estimate(crooked + 0.5 * (1 - crooked))
    shown = neutral.apply(moved, PRESENCE, np.zeros(18, bool))
    np.testing.assert_allclose(shown.sides, 0.5, atol=1e-6)


@given(baselines, intensities)
def test_one_stays_one_rest_is_zero_and_order_is_kept(baseline, intensity):
    neutral = Neutral(baseline)
    np.testing.assert_allclose(neutral.subtract(np.ones((18, 2), np.float32)), 1)
    np.testing.assert_array_equal(neutral.subtract(baseline), 0)
    shown = neutral.subtract(intensity)
    assert np.all((shown >= 0) & (shown <= 1))
    assert np.all(shown <= intensity + 1e-6)
    assert np.all(neutral.subtract(np.minimum(intensity + 0.1, 1)) >= shown)


@given(intensities)
def test_of_an_unknown_face_nothing_is_taken_away(intensity):
    np.testing.assert_array_equal(Neutral.unknown().subtract(intensity), intensity)
    assert str(Neutral.unknown()) == 'all units at 0'


@given(baselines, intensities, arrays(np.bool_, 18), st.sampled_from(Status))
def test_presence_and_intensity_agree_in_the_baselined_estimate_too(
    baseline, intensity, before, status
):
    confidence = intensity[:, 0]
    raw = ActionUnitEstimate(7, status, intensity, confidence, confidence >= 0.3)
    shown = Neutral(baseline).apply(raw, PRESENCE, before)
    np.testing.assert_array_equal(shown.active, PRESENCE.active(shown.intensity, before))
    assert np.all((shown.confidence == 0) == (status in BLIND))
    assert (shown.end_ns, shown.status) == (7, status)


def test_evidence_is_kept():
    evidence = np.linspace(0, 1, 18, dtype=np.float32)
    raw = replace(estimate(0.4), evidence=evidence)
    shown = Neutral.unknown().apply(raw, PRESENCE, np.zeros(18, bool))
    np.testing.assert_array_equal(shown.evidence, evidence)


def test_a_unit_that_is_full_at_rest_keeps_some_room():
    neutral = measure_neutral([estimate(1.0)] * 4)
    np.testing.assert_array_equal(neutral.baseline, np.float32(HIGHEST_BASELINE))
    assert np.isfinite(neutral.subtract(np.ones((18, 2), np.float32))).all()


@pytest.mark.parametrize(
    ('status', 'reason'),
    [
        (Status.NO_FACE, 'no face was found'),
        (Status.HEAD_MOVING, 'the head moved'),
        (Status.TOO_FEW_EVENTS, 'too few events'),
        (Status.WARMING_UP, 'the face was new'),
    ],
)
def test_too_few_slices_that_count_are_refused_with_the_commonest_reason(status, reason):
    others = [estimate(0.5, status)] * 6 + [estimate(0.5, Status.NO_FACE)]
    with pytest.raises(MicroexprError, match=rf'4 of 11 slices can be used: {reason}'):
        measure_neutral([*[estimate(0.2)] * 4, *others])


def test_half_of_the_slices_is_enough():
    others = [estimate(0.5, Status.HEAD_MOVING)] * 4
    assert measure_neutral([*[estimate(0.2)] * 4, *others]).baseline[0, 0] == np.float32(0.2)


def test_no_slices_are_refused():
    with pytest.raises(MicroexprError, match='no slices came'):
        measure_neutral([])
