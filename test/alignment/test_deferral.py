"""How long packets may wait for the slice to end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.alignment.deferral import EARLY_NS, LONGEST_NS, SHORTEST_NS, Deferral

MS = 1_000_000
SLICE_NS = 10 * MS


def settle(deferral, rate=1.0, seconds=1.0):
    """Take in packets of 2 ms that are taken at once, and return the next sensor time."""
    times_ns = np.arange(2 * MS, round(seconds * 1e9) + 1, 2 * MS).tolist()
    for newest_ns in times_ns:
        due_ns = round(rate * newest_ns)
        if newest_ns % SLICE_NS:
            deferral.hear(newest_ns, due_ns, 0)
        else:
            deferral.find_ns(newest_ns, due_ns, newest_ns + SLICE_NS, due_ns)
    return times_ns[-1]


def test_packets_wait_until_shortly_before_the_slice_can_end():
    deferral = Deferral()
    newest_ns = settle(deferral)
    # The slice ends 8 ms after the newest event; the packet was taken 0.5 ms late.
    end_ns, now_ns = newest_ns + 8 * MS, newest_ns + MS // 2
    assert deferral.find_ns(newest_ns, newest_ns, end_ns, now_ns) == 8 * MS - MS // 2 - EARLY_NS


def test_the_work_on_packets_is_allowed_for():
    deferral = Deferral()
    newest_ns = settle(deferral)
    for _ in range(4):
        newest_ns += 2 * MS
        deferral.hear(newest_ns, newest_ns, MS // 2)
    wait_ns = deferral.find_ns(newest_ns, newest_ns, newest_ns + 8 * MS, newest_ns)
    assert wait_ns == 8 * MS - EARLY_NS - 2 * MS
    # The next slice has no packets before its end, so there is no work to allow for.
    wait_ns = deferral.find_ns(newest_ns, newest_ns, newest_ns + 8 * MS, newest_ns)
    assert wait_ns == 8 * MS - EARLY_NS


def test_a_bag_that_is_played_fast_leaves_less_time():
    deferral = Deferral()
    newest_ns = settle(deferral, rate=0.5)
    due_ns = newest_ns // 2
    assert deferral.find_ns(newest_ns, due_ns, newest_ns + 8 * MS, due_ns) == 4 * MS - EARLY_NS
    fast = Deferral()
    newest_ns = settle(fast, rate=0.1)
    due_ns = newest_ns // 10
    assert fast.find_ns(newest_ns, due_ns, newest_ns + 8 * MS, due_ns) == 0


def test_nothing_waits_before_the_rate_is_known_nor_after_a_restart():
    deferral = Deferral()
    assert deferral.find_ns(0, 0, SLICE_NS, 0) == 0
    settle(deferral)
    deferral.restart()
    assert deferral.find_ns(0, 0, SLICE_NS, 0) == 0


@pytest.mark.parametrize('rate', [0.0, 100.0, -1.0])
def test_nothing_waits_while_the_clocks_do_not_run_together(rate):
    deferral = Deferral()
    settle(deferral)
    for number in range(1, 1000):
        due_ns = 10**9 + number * MS
        newest_ns = 10**9 + (round(number * MS / rate) if rate else 0)
        deferral.hear(newest_ns, due_ns, 0)
    assert deferral.find_ns(newest_ns, due_ns, newest_ns + SLICE_NS, due_ns) == 0


def test_packets_that_are_late_do_not_wait():
    deferral = Deferral()
    newest_ns = settle(deferral)
    end_ns = newest_ns + 8 * MS
    assert deferral.find_ns(newest_ns, newest_ns, end_ns, newest_ns + 20 * MS) == 0


def test_long_slices_and_limits():
    deferral = Deferral()
    newest_ns = settle(deferral)
    assert deferral.find_ns(newest_ns, newest_ns, newest_ns + 100 * MS, newest_ns) == LONGEST_NS
    never = Deferral(longest_ns=0)
    newest_ns = settle(never)
    assert never.find_ns(newest_ns, newest_ns, newest_ns + SLICE_NS, newest_ns) == 0


@given(
    seed=st.integers(0, 10**6),
    rate=st.floats(0.1, 10.0),
    period_ns=st.integers(MS // 10, 30 * MS),
    offset_ns=st.integers(-(10**15), 10**15),
)
def test_no_slice_ends_later_for_it(seed, rate, period_ns, offset_ns):
    """Packets of any period, at any rate of replay, that come up to half a millisecond late."""
    rng = np.random.default_rng(seed)
    deferral, awake_ns, end_ns = Deferral(), -(10**18), None
    newest_ns, waits = 0, []
    for _ in range(300):
        newest_ns += int(period_ns * rng.uniform(0.5, 1.5)) + 1
        due_ns = offset_ns + round(rate * newest_ns) + int(rng.uniform(0, MS / 2))
        taken_ns = max(due_ns, awake_ns)
        end_ns = (newest_ns // SLICE_NS + 1) * SLICE_NS if end_ns is None else end_ns
        if newest_ns < end_ns:
            deferral.hear(newest_ns, due_ns, 0)
            continue
        # Of the measured rate, an error of the jitter in 250 ms is allowed for.
        assert taken_ns - due_ns <= MS / 10
        end_ns = (newest_ns // SLICE_NS + 1) * SLICE_NS
        waits.append(deferral.find_ns(newest_ns, due_ns, end_ns, taken_ns))
        awake_ns = taken_ns + waits[-1]
    assert all(wait_ns == 0 or SHORTEST_NS <= wait_ns <= LONGEST_NS for wait_ns in waits)
