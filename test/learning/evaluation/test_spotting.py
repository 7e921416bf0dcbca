import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.facs import CODES
from microexpr_ros.learning.data.clips import make_sparse
from microexpr_ros.learning.evaluation.spotting import (
    count_detections,
    detection_delay_ms,
    intersection_over_union,
    is_false_alarm,
    match_spans,
    names_dominant,
    spot_clip,
)
from microexpr_ros.learning.prediction import Prediction
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.spotting import MicroExpression

MS = 1_000_000


@pytest.fixture
def frown(make_clip):
    # Truth: unit 4 from 100 to 300 ms, over 0.05 from slice 12 to 28.
    return make_sparse(make_clip(1, code=4))


@pytest.fixture
def calm(make_clip):
    return make_sparse(make_clip(0, code=0))


def detection(onset, offset, *codes):
    return MicroExpression(codes, onset * MS, onset * MS, offset * MS, 0.5, 0.5)


def test_overlap_by_hand():
    assert intersection_over_union((0, 100), (50, 150)) == pytest.approx(50 / 150)
    assert intersection_over_union((0, 100), (0, 50)) == 0.5
    assert intersection_over_union((0, 100), (100, 200)) == 0
    assert intersection_over_union((3, 3), (3, 3)) == 0


spans = st.tuples(st.integers(0, 50), st.integers(1, 50)).map(lambda s: (s[0], s[0] + s[1]))


@given(spans, spans)
def test_overlap_is_that_of_sets(a, b):
    first, second = (set(range(*span)) for span in (a, b))
    assert intersection_over_union(a, b) == pytest.approx(
        len(first & second) / len(first | second)
    )


@given(st.lists(spans, max_size=6), st.lists(spans, max_size=6))
def test_matches_are_one_to_one_and_overlap(found, true):
    pairs = match_spans(found, true)
    for side in (0, 1):
        assert len({pair[side] for pair in pairs}) == len(pairs)
    assert all(intersection_over_union(found[i], true[j]) >= 0.5 for i, j in pairs)


def test_the_better_of_two_detections_is_matched():
    assert match_spans([(0, 70), (0, 100)], [(0, 100)]) == [(1, 0)]


def test_outcomes_by_hand(frown, calm):
    good, bad = detection(100, 290, 4), detection(0, 80, 12)
    assert count_detections(frown, [good]).tolist() == [1, 0, 0]
    assert count_detections(frown, [good, bad]).tolist() == [1, 1, 0]
    assert count_detections(frown, [bad]).tolist() == [0, 1, 1]
    assert count_detections(frown, [good, good]).tolist() == [1, 1, 0]
    assert count_detections(frown, []).tolist() == [0, 0, 1]
    assert count_detections(calm, [bad]).tolist() == [0, 1, 0]
    assert count_detections(calm, []).tolist() == [0, 0, 0]


def test_units_do_not_matter_to_spotting_but_are_compared(frown):
    other = detection(100, 290, 12)
    assert count_detections(frown, [other]).tolist() == [1, 0, 0]
    assert not names_dominant(frown, [other])
    assert names_dominant(frown, [detection(100, 290, 4, 7)])
    assert not names_dominant(frown, [detection(100, 150, 4)])


def test_a_real_blink_counts_neither_way(make_clip):
    clip = make_clip(1, code=4)
    clip.sides[5:15, CODES.index(45)] = 1
    recording = make_sparse(clip)
    assert count_detections(recording, [detection(50, 150, 45)]).tolist() == [0, 0, 1]
    # Where the lids do not move, it is a mistake; with another unit, it is a detection.
    assert count_detections(recording, [detection(200, 260, 45)]).tolist() == [0, 1, 1]
    assert count_detections(recording, [detection(50, 150, 12)]).tolist() == [0, 1, 1]


def test_a_blink_that_is_the_expression_counts(make_clip):
    recording = make_sparse(make_clip(1, code=45))
    assert count_detections(recording, [detection(100, 290, 45)]).tolist() == [1, 0, 0]


def test_false_alarms_by_hand(frown):
    assert is_false_alarm(frown, detection(150, 250, 12))
    assert not is_false_alarm(frown, detection(150, 250, 4, 12))
    # Up to 110 ms the unit is not yet at 0.05.
    assert is_false_alarm(frown, detection(0, 100, 4))
    assert not is_false_alarm(frown, detection(0, 130, 4))


def test_delay_by_hand(frown):
    active = np.zeros((40, 18), bool)
    assert np.isnan(detection_delay_ms(frown, active))
    active[14:, CODES.index(4)] = True
    # Slice 14 ends at 150 ms, the onset is at 100.
    assert detection_delay_ms(frown, active) == 50
    active[:] = True
    assert np.isnan(detection_delay_ms(frown, active))
    active[:] = False
    active[31:] = True
    assert np.isnan(detection_delay_ms(frown, active))


def test_nothing_is_delayed_where_nothing_moves(calm):
    assert np.isnan(detection_delay_ms(calm, np.ones((40, 18), bool)))


def test_the_spotter_finds_the_true_intensities(frown):
    (found,) = spot_clip(Prediction(frown.clip.intensity), Presence.uncalibrated(0.1))
    assert found.codes == (4,)
    assert count_detections(frown, [found]).tolist() == [1, 0, 0]


def test_what_goes_on_at_the_end_of_a_clip_is_ended_there(frown):
    (found,) = spot_clip(Prediction(frown.clip.intensity[:22]), Presence.uncalibrated(0.1))
    assert found.offset_ns == 230 * MS
