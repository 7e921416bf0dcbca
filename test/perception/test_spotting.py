from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexpr_ros.facs import CODES, ExpressionKind
from microexpr_ros.perception.classifier import Status
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.spotting import Spotter, SpottingConfiguration
from microexpr_ros.synthesis.world.labels import movements
from microexpr_ros.synthesis.world.motion_sampling import sample_calm, sample_clip

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


def spot(intensity, status=Status.OK, configuration=None, threshold=0.3, peak=None, sides=None):
    presence = replace(
        Presence.uncalibrated(threshold),
        peak=np.full(18, threshold if peak is None else peak, np.float32),
    )
    spotter = Spotter(presence, configuration)
    state, found = spotter.initial_state(), []
    for k, row in enumerate(intensity):
        now = status[k] if isinstance(status, list) else status
        both = None if sides is None else sides[k]
        expressions, state = spotter.step((k + 1) * STEP_NS, row, now, state, both)
        found += expressions
    return found + list(spotter.finish(state))


def test_one_movement_is_found_where_it_is():
    (found,) = spot(traces(au12=bump(500, 700, 900, 0.8)))
    assert found.codes == (12,)
    assert found.apex_ns == 700 * MS
    # Rest is below 0.35 * 0.3 = 0.105, where the ramp is until 520 ms; it reaches 0.15 in the
    # slice that ends at 540 ms. A straight line begins 0.35 / 0.15 of those 20 ms earlier.
    assert found.onset_ns == pytest.approx((520 - 20 * 0.35 / 0.15) * MS, abs=1)
    # A fall below 0.35 * 0.8 = 0.28, at 830 ms, ends it before it is back at rest.
    assert found.offset_ns in (830 * MS, 840 * MS)
    assert found.peak == pytest.approx(0.8)
    assert found.micro


def spot_by_evidence(intensity, evidence, limit=0.5):
    presence = replace(Presence.uncalibrated(0.3), decision=np.full(len(CODES), limit, np.float32))
    spotter = Spotter(presence)
    state, found = spotter.initial_state(), []
    for k, (row, decisive) in enumerate(zip(intensity, evidence, strict=True)):
        expressions, state = spotter.step(
            (k + 1) * STEP_NS, row, Status.OK, state, evidence=decisive
        )
        found += expressions
    return found + list(spotter.finish(state))


@pytest.mark.parametrize(('peak', 'count'), [(0.6, 1), (0.4, 0)])
def test_an_expression_needs_evidence(peak, count):
    moving = traces(au12=bump(500, 700, 900, 0.8))
    assert len(spot_by_evidence(moving, traces(au12=bump(450, 650, 850, peak)))) == count


def test_the_evidence_may_be_for_a_unit_that_hardly_moves():
    moving = traces(au12=bump(500, 700, 900, 0.8), au6=bump(500, 700, 900, 0.1))
    (found,) = spot_by_evidence(moving, traces(au6=bump(500, 700, 900, 0.9)))
    assert found.codes == (12,)


def test_evidence_before_a_movement_does_not_count_for_it():
    moving = traces(au12=bump(1200, 1400, 1600, 0.8))
    assert spot_by_evidence(moving, traces(au12=bump(300, 500, 700, 0.9))) == []


@pytest.mark.parametrize('codes', [(45,), (25,), (26,), (17, 26)])
def test_blinks_and_an_opening_mouth_need_no_evidence(codes):
    moving = traces(**{f'au{code}': bump(500, 600, 750, 0.8) for code in codes})
    (found,) = spot_by_evidence(moving, np.zeros_like(moving))
    assert found.codes == codes


@pytest.mark.parametrize('codes', [(17,), (12, 26), (4, 45)])
def test_what_looks_like_part_of_speech_or_a_blink_needs_evidence(codes):
    moving = traces(**{f'au{code}': bump(500, 600, 750, 0.8) for code in codes})
    found = spot_by_evidence(moving, np.zeros_like(moving))
    assert [e.codes for e in found] == [(45,)] * (45 in codes)


def test_long_movement_is_not_micro():
    (found,) = spot(traces(au12=bump(200, 700, 1400, 0.8)))
    assert found.offset_ns - found.onset_ns >= 500 * MS
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


def test_what_begins_while_others_move_belongs_to_them():
    (found,) = spot(traces(au4=bump(300, 700, 1100, 0.6), au12=bump(800, 950, 1200, 0.8)))
    assert found.codes == (4, 12)
    assert found.apex_ns == 950 * MS
    assert found.onset_ns < 330 * MS
    assert found.offset_ns > 1100 * MS


def test_a_unit_that_moves_again_while_another_does_is_named_once():
    twice = np.maximum(bump(400, 500, 600, 0.9), bump(700, 800, 900, 0.5))
    (found,) = spot(traces(au1=twice, au4=bump(300, 650, 1000, 0.6)))
    assert found.codes == (1, 4)
    assert found.confidence == pytest.approx((0.9 + 0.6) / 2, abs=1e-3)


def test_what_stays_below_its_peak_is_no_expression():
    small = bump(500, 700, 900, 0.5)
    assert spot(traces(au1=small), peak=0.6) == []
    (found,) = spot(traces(au1=small, au12=bump(500, 700, 900, 0.8)), peak=0.6)
    assert found.codes == (12,)


def test_blink_stays_alone():
    found = spot(traces(au4=bump(500, 700, 900, 0.6), au45=bump(510, 600, 750, 0.9)))
    assert sorted(e.codes for e in found) == [(4,), (45,)]


def test_a_blink_may_be_shorter_than_other_movements():
    short, shorter = bump(500, 560, 650, 0.9), bump(500, 530, 590, 0.9)
    (found,) = spot(traces(au45=short))
    assert found.kind is ExpressionKind.BLINK
    assert 100 * MS <= found.offset_ns - found.onset_ns < 150 * MS
    assert spot(traces(au12=short)) == []
    assert spot(traces(au45=shorter)) == []
    # Lids that hardly move.
    weak = bump(500, 560, 650, 0.25)
    assert spot(traces(au45=weak), threshold=0.08) == []


def test_same_unit_twice():
    twice = np.maximum(bump(300, 400, 500, 0.7), bump(800, 900, 1000, 0.5))
    assert [e.apex_ns // MS for e in spot(traces(au1=twice))] == [400, 900]


def test_fall_without_rest_is_not_counted_again():
    t = (np.arange(200) + 1) * 10
    # Falls far below its peak, but does not come to rest.
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
    (unsure,) = spot(trace, [Status.OK] * 75 + [Status.HEAD_MOVING] * 125)
    assert sure.confidence == pytest.approx(0.8, abs=1e-3)
    assert 0 < unsure.confidence < sure.confidence


def test_what_seems_to_move_with_the_head_is_not_given_out():
    trace = traces(au12=bump(500, 700, 900, 0.8))
    assert spot(trace, [Status.OK] * 55 + [Status.HEAD_MOVING] * 145) == []


def minimum_jerk(onset_ms, duration_ms, peak, lag_ms=0, noise=0.0, seed=0, slices=120):
    """Up and down as faces move (Flash and Hogan, 1985), behind a low-pass, with noise."""
    t = (np.arange(slices) + 1) * 10
    up, down = (
        np.clip((t - onset_ms - start) / (duration_ms / 2), 0, 1) for start in (0, duration_ms / 2)
    )
    ideal = peak * sum(sign * (10 - 15 * x + 6 * x**2) * x**3 for x, sign in ((up, 1), (down, -1)))
    keep = np.exp(-10 / lag_ms) if lag_ms else 0.0
    trace, value = np.zeros(slices, np.float32), 0.0
    for k, target in enumerate(ideal):
        trace[k] = value = keep * value + (1 - keep) * target
    return np.abs(trace + np.random.default_rng(seed).normal(0, noise, slices)).astype(np.float32)


@settings(max_examples=60)
@given(
    onset_ms=st.floats(300, 320),
    duration_ms=st.floats(200, 500),
    peak=st.floats(0.15, 0.35),
    lag_ms=st.sampled_from([0, 20]),
    seed=st.integers(0, 2**31),
)
def test_micro_movements_are_found_near_where_they_are(onset_ms, duration_ms, peak, lag_ms, seed):
    trace = minimum_jerk(onset_ms, duration_ms, peak, lag_ms, noise=0.004, seed=seed)
    (found,) = spot(traces(120, au4=trace), threshold=0.08)
    assert found.micro
    # Slow at first, a movement is under the noise for a while.
    assert -45 <= found.onset_ns / MS - onset_ms <= 0.12 * duration_ms + lag_ms + 20
    assert abs(found.apex_ns / MS - onset_ms - duration_ms / 2) <= 60 + lag_ms
    assert 0 <= onset_ms + duration_ms + lag_ms + 20 - found.offset_ns / MS <= 0.4 * duration_ms
    both = min(found.offset_ns / MS, onset_ms + duration_ms) - max(found.onset_ns / MS, onset_ms)
    either = max(found.offset_ns / MS, onset_ms + duration_ms) - min(found.onset_ns / MS, onset_ms)
    assert both / either >= 0.5


def test_most_of_the_smallest_and_shortest_movements_are_found():
    found = sum(
        len(spot(traces(120, au4=minimum_jerk(300, duration, peak)), threshold=0.05)) == 1
        for duration in (100, 200, 300, 400, 500)
        for peak in (0.05, 0.1, 0.2, 0.35)
    )
    # Those of amplitude 0.05 only just reach the threshold between two slices, and those of
    # 100 ms are over before they count.
    assert found >= 15


def test_presence_knows_of_a_movement_as_soon_as_its_threshold_is_passed():
    """The delay is the movement's own: nothing is waited for but the end of the slice."""
    presence = Presence.uncalibrated(0.08)
    for peak in (0.1, 0.2, 0.35):
        active, known_ms = np.zeros(18, bool), []
        for k, value in enumerate(minimum_jerk(300, 300, peak), 1):
            active = presence.active(np.full(18, value), active)
            known_ms += [10 * k] * bool(active.any())
        x = np.linspace(0, 1, 10_001)
        passed = x[np.argmax(peak * (10 - 15 * x + 6 * x**2) * x**3 >= 0.08)]
        assert 0 <= known_ms[0] - (300 + 150 * passed) < 10.1


def test_onset_is_not_before_the_movement_before_has_ended():
    t = (np.arange(200) + 1) * 10
    trace = np.interp(t, [300, 400, 500, 520, 600, 700], [0, 0.9, 0.1, 0.1, 0.9, 0])
    first, second = spot(traces(au1=trace.astype(np.float32)))
    assert first.offset_ns <= second.onset_ns <= 520 * MS


def test_what_is_active_from_the_start_has_its_onset_there():
    trace = np.where(np.arange(200) < 30, 0.5, 0).astype(np.float32)
    (found,) = spot(traces(au1=trace))
    assert (found.onset_ns, found.offset_ns) == (STEP_NS, 31 * STEP_NS)


def test_a_flicker_is_no_movement():
    trace = np.zeros(200, np.float32)
    trace[50:53] = 0.5
    assert spot(traces(au1=trace)) == []
    (found,) = spot(traces(au1=trace), configuration=SpottingConfiguration(shortest_ns=0))
    assert found.apex_ns == 51 * STEP_NS


@settings(max_examples=10)
@given(st.integers(0, 2**31))
def test_noise_at_a_third_of_the_threshold_raises_no_alarm(seed):
    rng = np.random.default_rng(seed)
    assert spot(np.abs(rng.normal(0, 0.02, (500, 18))).clip(0, 1).astype(np.float32)) == []
    slow = np.abs(np.cumsum(rng.normal(0, 0.002, (500, 18)), axis=0)).clip(0, 0.29)
    assert spot(slow.astype(np.float32)) == []


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


def kinds(found):
    return [expression.kind.name for expression in found]


def syllables(*apexes_ms, unit='au25', slices=300):
    trace = np.max([bump(a - 90, a, a + 100, 0.6, slices) for a in apexes_ms], axis=0)
    return traces(slices, **{unit: trace})


def test_a_blink_is_both_lids_for_less_than_half_a_second():
    short, long = bump(500, 600, 750, 0.9), bump(500, 800, 1300, 0.9)
    assert kinds(spot(traces(au45=short))) == ['BLINK']
    # FACS: eyes that stay closed for longer are unit 43.
    assert kinds(spot(traces(au45=long))) == ['EXPRESSION']
    assert kinds(spot(traces(au4=short, au45=short))) == ['EXPRESSION', 'BLINK']


@pytest.mark.parametrize(('share', 'kind'), [(0.4, 'EXPRESSION'), (0.6, 'BLINK'), (1.0, 'BLINK')])
def test_one_lid_is_no_blink(share, kind):
    trace = traces(au45=bump(500, 600, 750, 0.9))
    sides = np.stack([share * trace, trace], axis=2)
    assert kinds(spot(trace, sides=sides)) == [kind]
    assert kinds(spot(trace, sides=sides[:, :, ::-1])) == [kind]


@pytest.mark.parametrize('unit', ['au25', 'au26'])
def test_three_syllables_in_a_row_are_speech(unit):
    assert kinds(spot(syllables(400, 650, 900, unit=unit))) == ['SPEECH'] * 3
    assert kinds(spot(syllables(400, 650, unit=unit))) == ['EXPRESSION'] * 2
    # After too long a pause, a row begins anew.
    assert kinds(spot(syllables(400, 650, 1200, 1450, unit=unit))) == ['EXPRESSION'] * 4


def test_other_units_do_not_repeat_as_speech_does():
    assert kinds(spot(syllables(400, 650, 900, unit='au12'))) == ['EXPRESSION'] * 3
    assert kinds(spot(syllables(400, 650, 900, unit='au18'))) == ['EXPRESSION'] * 3


def test_an_expression_while_somebody_talks_is_one():
    talk = syllables(400, 650, 900, 1150, 1400)
    talk[:, CODES.index(12)] = bump(820, 900, 990, 0.8, 300)
    talk[:, CODES.index(18)] = bump(320, 400, 490, 0.5, 300)
    found = spot(talk)
    assert [e.codes for e in found if e.kind is ExpressionKind.EXPRESSION] == [(12, 25)]
    assert len(found) == 5


def test_syllables_that_run_together_are_speech():
    jaw = bump(300, 800, 1500, 0.5, 300)
    talk = syllables(400, 650, 900)
    talk[:, CODES.index(26)] = jaw
    assert kinds(spot(talk)) == ['SPEECH']


def test_a_long_opening_of_the_mouth_is_no_syllable():
    wide = np.maximum(bump(300, 500, 900, 0.6, 400), bump(1000, 1200, 1600, 0.6, 400))
    wide = np.maximum(wide, bump(1700, 1900, 2300, 0.6, 400))
    assert kinds(spot(traces(400, au26=wide))) == ['EXPRESSION'] * 3


def when_reported(intensity):
    presence = Presence.uncalibrated(0.3)
    spotter, reported = Spotter(presence), []
    state = spotter.initial_state()
    for k, row in enumerate(intensity):
        found, state = spotter.step((k + 1) * STEP_NS, row, Status.OK, state)
        reported += [((k + 1) * 10, e) for e in found]
    return reported


def test_only_what_may_be_speech_is_held_back():
    ((late_ms, mouth),) = when_reported(syllables(400))
    ((at_once_ms, smile),) = when_reported(syllables(400, unit='au12'))
    assert at_once_ms == smile.offset_ns / MS
    # The longest pause and the longest syllable.
    assert 650 < late_ms - mouth.offset_ns / MS <= 660
    reported = when_reported(syllables(400, 650, 900, 1150))
    third_ms = reported[2][1].offset_ns / MS
    assert [at for at, _ in reported[:3]] == [third_ms] * 3
    assert reported[3][0] == reported[3][1].offset_ns / MS


def test_what_is_held_back_is_reported_when_the_face_is_lost():
    trace = syllables(400, slices=60)
    presence, status = Presence.uncalibrated(0.3), [Status.OK] * 55 + [Status.NO_FACE] * 5
    spotter, reported = Spotter(presence), []
    state = spotter.initial_state()
    for k, row in enumerate(trace):
        found, state = spotter.step((k + 1) * STEP_NS, row, status[k], state)
        reported += [(k, e.kind) for e in found]
    assert reported == [(55, ExpressionKind.EXPRESSION)]
    assert spotter.finish(state) == ()


def spot_truth(motion):
    """Spot in the true intensities of a synthetic take, and half a second of rest after it."""
    times = np.arange(STEP_NS, motion.duration_ns + 500 * MS, STEP_NS)
    sides = motion.sides(times)
    return spot(sides.max(axis=2), threshold=0.05, sides=sides)


@pytest.mark.parametrize(('calm', 'kind'), [('talk', 'SPEECH'), ('blink', 'BLINK')])
def test_the_kinds_of_synthetic_people_who_talk_and_blink(calm, kind):
    motions = [sample_calm(np.random.default_rng(seed), 3000 * MS, calm) for seed in range(60)]
    found = [name for motion in motions for name in kinds(spot_truth(motion))]
    assert len(found) > 100
    assert found.count(kind) >= 0.98 * len(found)
    assert {move.kind.name for motion in motions for move in movements(motion)} == {kind}


def test_the_kinds_of_synthetic_expressions():
    motions = [sample_clip(np.random.default_rng(seed), 1200 * MS) for seed in range(400)]
    silent = [m for m in motions if 'talk' not in m.distractors]
    found = [expression for motion in silent for expression in spot_truth(motion)]
    assert len(found) > 300
    for expression in found:
        blinks = expression.codes == (45,)
        assert expression.kind.name == ('BLINK' if blinks else 'EXPRESSION')
    assert {m.kind.name for motion in silent for m in movements(motion)} == {'BLINK', 'EXPRESSION'}
