from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.bags.pacing import RATES, Lateness, Pace, Pacer

MS = 1_000_000
times = st.integers(0, 10**15)
rates = st.floats(*RATES)


def test_recorded_time_runs_at_the_rate():
    pace = Pace(recorded_ns=1000, steady_ns=0, rate=0.5)
    assert [pace.recorded_at(now) for now in (0, 10, 100)] == [1000, 1005, 1050]
    assert [pace.due(at) for at in (1000, 1005, 1050)] == [0, 10, 100]


def test_a_pause_shifts_what_follows():
    pace = Pace(0, 0).changed(40, paused=True)
    assert pace.recorded_at(1000) == 40
    assert (pace.due(40), pace.due(41)) == (None, None)
    resumed = pace.changed(1000, paused=False)
    assert resumed.due(41) == 1001
    assert resumed.changed(1010, rate=10.0).due(60) == 1011


@given(times, times, rates, rates, st.lists(st.integers(0, 10**9), max_size=5))
def test_recorded_time_never_jumps(recorded_ns, steady_ns, first, second, changes):
    pace = Pace(recorded_ns, steady_ns, first)
    now_ns = steady_ns
    for number, step_ns in enumerate(changes):
        now_ns += step_ns
        before_ns = pace.recorded_at(now_ns)
        pace = pace.changed(now_ns, rate=second if number % 2 else first, paused=number % 3 == 1)
        assert pace.recorded_at(now_ns) == before_ns
        assert pace.recorded_at(now_ns + 1000) >= before_ns
    if not pace.paused:
        due_ns = pace.due(pace.recorded_ns + 10**9)
        assert abs(pace.recorded_at(due_ns) - pace.recorded_ns - 10**9) <= pace.rate


def test_waiting_takes_the_time():
    pacer = Pacer(rate=4.0)
    pacer.begin(5000 * MS)
    began_ns = time.monotonic_ns()
    late_ns = pacer.wait_until(5200 * MS)
    assert 50 * MS <= time.monotonic_ns() - began_ns < 250 * MS
    assert 0 <= late_ns < 200 * MS


def waiting(pacer, until_ns, **options):
    """Wait on a thread; return a function that gives when it was done and how late."""
    done = []

    def wait():
        late_ns = pacer.wait_until(until_ns, **options)
        done.append((time.monotonic_ns(), late_ns))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()

    def result(seconds=5.0):
        thread.join(seconds)
        return done[0] if done else None

    return result


def test_a_pause_holds_those_who_wait():
    pacer = Pacer()
    pacer.begin(0)
    result = waiting(pacer, 100 * MS)
    pacer.toggle()
    assert pacer.paused
    assert result(0.3) is None
    resumed_ns = time.monotonic_ns()
    pacer.toggle()
    done_ns, late_ns = result()
    # What was left of the 100 ms, and not a burst.
    assert done_ns - resumed_ns > 50 * MS
    assert late_ns < 100 * MS


def test_another_rate_wakes_those_who_wait():
    pacer = Pacer(rate=0.01)
    pacer.begin(0)
    result = waiting(pacer, 200 * MS)
    pacer.change(rate=1000.0)
    assert pacer.rate == RATES[1]
    assert result() is not None


def test_a_step_goes_as_far_as_one_message():
    pacer = Pacer(paused=True)
    pacer.begin(0)
    assert pacer.step()
    # The clock ticks on the way to the message.
    assert pacer.wait_until(10) == 0
    assert pacer.wait_until(20, ends_step=True) == 0
    result = waiting(pacer, 30, ends_step=True)
    assert result(0.1) is None
    assert pacer.step()
    assert result() is not None
    pacer.change(paused=False)
    assert not pacer.step()
    pacer.change(paused=True)
    assert waiting(pacer, 10**18)(0.1) is None


def test_stopping_wakes_those_who_wait():
    pacer = Pacer(paused=True)
    pacer.begin(0)
    result = waiting(pacer, 10**18)
    pacer.stop()
    assert result()[1] is None
    assert pacer.wait_until(0) is None


@pytest.mark.parametrize('scale', [1, 300, 20_000])
def test_lateness_agrees_with_numpy(scale):
    late_us = np.random.default_rng(scale).exponential(scale, 5000).astype(int)
    lateness = Lateness()
    for late in late_us:
        lateness.add(int(late) * 1000)
    for percent in (50, 99):
        want = np.percentile(late_us, percent, method='inverted_cdf') / 1000
        assert want <= lateness.percentile_ms(percent) <= want + 0.021
    assert lateness.summary()['late_max_ms'] == round(late_us.max() / 1000, 2)


def test_lateness_of_nothing_and_of_hours():
    lateness = Lateness()
    assert lateness.summary() == {'late_p50_ms': 0, 'late_p99_ms': 0, 'late_max_ms': 0}
    lateness.add(3600 * 10**9)
    assert set(lateness.summary().values()) == {3_600_000}
