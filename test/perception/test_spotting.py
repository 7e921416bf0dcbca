import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexpr_ros.facs import CODES
from microexpr_ros.perception.action_units import Status
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.spotting import MICRO_NS, Spotter, SpottingConfiguration

STEP_NS = 10_000_000
MS = 1_000_000


def bump(onset_ms, apex_ms, offset_ms, peak, slices=200):
    t = (np.arange(slices) + 1) * 10
    return np.interp(t, [onset_ms, apex_ms, offset_ms], [0, peak, 0]).astype(np.float32)


def traces(slices=200, **units):
    out = np.zeros((slices, 18), np.float32)
    for name, trace in units.items():
        out[:, CODES.index(int(name[2:]))] = trace
    return out


def spot(intensity, status=Status.OK, configuration=None):
    spotter = Spotter(Presence.uncalibrated(0.3), configuration)
    state, found = spotter.initial_state(), []
    for k, row in enumerate(intensity):
        now = status[k] if isinstance(status, list) else status
        expressions, state = spotter.step((k + 1) * STEP_NS, row, now, state)
        found += expressions
    return found


def test_one_movement_is_found_where_it_is():
    (found,) = spot(traces(au12=bump(500, 700, 900, 0.8)))
    assert found.codes == (12,)
    assert found.apex_ns == 700 * MS
    # Rest is below 0.6 * 0.3 = 0.18, which the ramps cross at 545 and 855 ms; a fall below
    # 0.35 * 0.8 = 0.28, at 830 ms, ends it before that.
    assert found.onset_ns == 540 * MS
    assert found.offset_ns in (830 * MS, 840 * MS)
    assert found.peak == pytest.approx(0.8)
    assert found.micro


def test_long_movement_is_not_micro():
    (found,) = spot(traces(au12=bump(200, 700, 1400, 0.8)))
    assert found.offset_ns - found.onset_ns >= MICRO_NS
    assert not found.micro


def test_rest_gives_nothing():
    assert spot(traces(au4=bump(500, 700, 900, 0.29))) == []


def test_units_that_move_together_are_one_expression():
    found = spot(traces(au6=bump(520, 720, 900, 0.5), au12=bump(500, 700, 950, 0.8)))
    assert [e.codes for e in found] == [(6, 12)]
    assert found[0].peak == pytest.approx(0.8)
    assert found[0].apex_ns == 700 * MS


def test_units_that_move_apart_are_two():
    found = spot(traces(au4=bump(300, 400, 600, 0.6), au12=bump(900, 1000, 1200, 0.8)))
    assert [e.codes for e in found] == [(4,), (12,)]


def test_overlapping_units_with_other_onsets_are_two():
    found = spot(traces(au4=bump(300, 700, 1100, 0.6), au12=bump(650, 750, 900, 0.8)))
    assert sorted(e.codes for e in found) == [(4,), (12,)]


def test_blink_stays_alone():
    found = spot(traces(au4=bump(500, 700, 900, 0.6), au45=bump(510, 600, 750, 0.9)))
    assert sorted(e.codes for e in found) == [(4,), (45,)]


def test_same_unit_twice():
    twice = np.maximum(bump(300, 400, 500, 0.7), bump(800, 900, 1000, 0.5))
    assert [e.apex_ns // MS for e in spot(traces(au1=twice))] == [400, 900]


def test_fall_without_rest_is_not_counted_again():
    t = (np.arange(200) + 1) * 10
    # Falls far below its peak, but stays over the threshold.
    trace = np.interp(t, [300, 400, 500, 1500], [0, 0.95, 0.31, 0.31]).astype(np.float32)
    assert len(spot(traces(au1=trace))) == 1


def test_endless_movement_is_given_out():
    found = spot(
        traces(au25=np.full(200, 0.9, np.float32)),
        configuration=SpottingConfiguration(longest_ns=1_000_000_000),
    )
    assert len(found) == 1
    assert not found[0].micro


def test_lost_face_forgets_what_goes_on():
    status = [Status.OK] * 65 + [Status.NO_FACE] + [Status.OK] * 134
    found = spot(traces(au12=bump(500, 700, 900, 0.8)), status)
    assert all(e.onset_ns > 660 * MS for e in found)


def test_confidence_falls_with_untrusted_slices():
    trace = traces(au12=bump(500, 700, 900, 0.8))
    (sure,) = spot(trace)
    (unsure,) = spot(trace, [Status.OK] * 70 + [Status.HEAD_MOVING] * 130)
    assert sure.confidence == pytest.approx(0.8, abs=1e-3)
    assert 0 < unsure.confidence < sure.confidence


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31))
def test_whatever_comes_expressions_are_ordered(seed):
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.08, (150, 18)), axis=0)
    for found in spot(np.clip(np.abs(walk), 0, 1).astype(np.float32)):
        assert found.onset_ns <= found.apex_ns <= found.offset_ns
        assert found.codes == tuple(sorted(set(found.codes)))
        assert 0 <= found.confidence <= 1
        assert 0.3 <= found.peak <= 1
