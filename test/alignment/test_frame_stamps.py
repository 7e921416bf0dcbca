import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.alignment.frame_stamps import FrameStamps

MS = 1_000_000
EPOCH = 1_700_000_000_000 * MS


def place(clock, stamp, count=75, late_ms=lambda k: 0):
    """Place frames that come each 40 ms; return by how much they are wrong, None if refused."""
    out = []
    for k in range(count):
        taken_ns = EPOCH + k * 40 * MS
        placed_ns = clock.place(stamp(taken_ns), taken_ns + round(late_ms(k) * MS))
        out.append(None if placed_ns is None else placed_ns - taken_ns)
    return out


@pytest.mark.parametrize('late_ms', [0, 30, 200])
def test_frames_on_the_same_clock_are_left_alone(late_ms):
    clock = FrameStamps()
    assert place(clock, lambda t: t, late_ms=lambda k: late_ms) == [0] * 75
    assert (clock.refused, clock.distance_ns) == (0, -late_ms * MS)


OTHER_CLOCKS = {
    'ahead': lambda t: t + 400 * MS,
    'doubled': lambda t: 2 * t,
    'since boot': lambda t: t - EPOCH + 5 * 10**12,
    'zero': lambda t: 0,
    'behind': lambda t: t - 3000 * MS,
}


@pytest.mark.parametrize('name', OTHER_CLOCKS)
def test_frames_of_another_clock_are_refused_and_measured(name):
    clock = FrameStamps()
    stamp = OTHER_CLOCKS[name]
    assert place(clock, stamp) == [None] * 75
    assert clock.refused == 75
    newest = EPOCH + 74 * 40 * MS
    assert clock.is_refusing
    assert clock.distance_ns == pytest.approx(stamp(newest) - newest, abs=2 * 10**9)
    assert clock.is_constant == (name not in ('doubled', 'zero'))


@pytest.mark.parametrize('name', OTHER_CLOCKS)
def test_a_constant_offset_is_measured_where_it_may_be(name):
    clock = FrameStamps(None)
    placed = place(clock, OTHER_CLOCKS[name])
    if name in ('doubled', 'zero'):
        assert placed == [None] * 75
    else:
        assert placed == [None] * 9 + [0] * 66
        assert clock.is_measured
        assert clock.sigma_ns == 20 * MS


def test_an_offset_that_is_known_is_taken_off():
    clock = FrameStamps(400 * MS)
    assert place(clock, OTHER_CLOCKS['ahead']) == [0] * 75
    assert clock.sigma_ns == 0


@given(st.integers(0, 300), st.integers(1, 20))
def test_packets_that_are_held_back_refuse_no_frames(held_ms, period):
    # The newest events are up to 300 ms old, and now and then new.
    clock = FrameStamps()
    placed = place(clock, lambda t: t, late_ms=lambda k: -held_ms * (k % period) / period)
    assert all(error in (0, None) for error in placed)
    assert not clock.is_refusing
    assert np.mean([error is None for error in placed]) < 0.2
