from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.alignment.slices import (
    MAX_BACK_NS,
    MAX_GAP_NS,
    SliceCounter,
    SliceCutter,
    blank_slice,
    follows,
)
from microexpr_ros.events.events import Events


def at(times):
    zeros = np.zeros(len(times), np.uint16)
    return Events(np.array(times, np.int64), zeros, zeros, zeros.astype(np.uint8))


def cuts(iterator):
    return [(cut.events.t.tolist(), cut.ended_ns) for cut in iterator]


def test_an_event_on_the_border_belongs_to_the_next_slice():
    assert cuts(SliceCutter(10).push(at([9, 10]))) == [([9], 10), ([10], None)]


def test_no_events_cut_nothing():
    assert cuts(SliceCutter(10).push(Events.empty())) == []


def test_silence_is_cut_into_empty_slices():
    cutter = SliceCutter(10)
    assert cuts(cutter.push(at([5]))) == [([5], None)]
    assert cuts(cutter.advance(9)) == []
    assert cuts(cutter.advance(31)) == [([], 10), ([], 20), ([], 30)]


def test_time_of_another_clock_is_not_believed():
    cutter = SliceCutter(10)
    list(cutter.push(at([5])))
    assert cuts(cutter.advance(MAX_GAP_NS + 100)) == []
    assert cuts(cutter.push(at([12]))) == [([], 10), ([12], None)]


def test_events_of_an_ended_slice_are_dropped_and_counted():
    cutter = SliceCutter(10)
    list(cutter.push(at([5])))
    list(cutter.advance(20))
    assert cuts(cutter.push(at([18, 19, 21]))) == [([21], None)]
    assert cutter.late == 2
    assert cuts(cutter.push(at([3]))) == []
    assert cutter.late == 3


@pytest.mark.parametrize('jump', [MAX_GAP_NS + 20, -MAX_BACK_NS - 20])
def test_a_jump_starts_anew(jump):
    cutter = SliceCutter(10)
    start = 2 * MAX_GAP_NS
    list(cutter.push(at([start])))
    assert cuts(cutter.push(at([start + jump + 5]))) == [([start + jump + 5], None)]
    assert cutter.restarts == 1


def test_a_slice_needs_a_length():
    with pytest.raises(ValueError, match='length'):
        SliceCutter(0)


@given(st.lists(st.integers(0, 2000), min_size=1), st.integers(1, 97), st.data())
def test_every_event_lands_in_its_slice_and_no_slice_is_left_out(times, duration, data):
    times = sorted(times)
    cutter, ends, seen = SliceCutter(duration), [], []
    pending = []
    start = 0
    while start < len(times):
        stop = data.draw(st.integers(start + 1, len(times)))
        for cut in cutter.push(at(times[start:stop])):
            pending += cut.events.t.tolist()
            if cut.ended_ns is not None:
                assert all(cut.ended_ns - duration <= t < cut.ended_ns for t in pending)
                ends.append(cut.ended_ns)
                seen += pending
                pending = []
        start = stop
    assert seen + pending == times
    assert ends == list(range(ends[0], ends[-1] + 1, duration)) if ends else True
    assert all(end % duration == 0 for end in ends)
    assert cutter.late == cutter.restarts == 0


def stamped(stamps):
    counter = SliceCounter()
    return [counter.add(int(stamp)) for stamp in stamps], counter


@pytest.mark.parametrize('rate', [0.1, 0.5, 1.0, 2.0, 10.0])
def test_slices_are_counted_at_any_rate_of_replay(rate):
    stamps = 10**18 + np.arange(1, 201) * round(10_000_000 / rate)
    missing, counter = stamped(stamps)
    assert missing == [0] * 200
    assert counter.index == 199
    missing, _ = stamped(np.delete(stamps, [50, 90, 91, 92]))
    assert missing == [0] * 50 + [1] + [0] * 38 + [3] + [0] * 106


def test_a_clock_that_was_set_hides_no_slice():
    stamps = np.arange(1, 101) * 10_000_000
    stamps[40:] += 3_600_000_000_000
    missing, counter = stamped(stamps)
    assert missing == [0] * 100
    assert counter.index == 99


def test_stamps_that_go_back_begin_another_stream():
    missing, counter = stamped([10, 20, 30, 10, 20])
    assert missing == [0, 0, 0, None, 0]
    assert counter.index == 5


@given(st.lists(st.floats(0.1, 1.25), min_size=1, max_size=200), st.floats(1e6, 1e8))
def test_steps_that_grow_by_a_quarter_hide_no_slice(factors, first_ns):
    steps = np.maximum(first_ns * np.cumprod([1.0, *factors]), 10)
    steps = np.minimum(np.floor(steps), MAX_GAP_NS).astype(np.int64)
    missing, _ = stamped(np.cumsum(steps))
    assert not any(missing)


def test_follows_the_sensors_clock_and_not_the_stamps():
    first = replace(blank_slice(8), end_ns=10**18, sensor_end_ns=20_000_000)
    second = replace(first, end_ns=10**18 + 1, sensor_end_ns=30_000_000)
    assert follows(second, first.clock_end_ns)
    assert not follows(replace(second, sensor_end_ns=40_000_000), first.clock_end_ns)
    assert blank_slice(8).clock_end_ns == blank_slice(8).end_ns
