"""How nodes tell that something is wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, Lag, Recurrence, Silence

MS = 1_000_000
SECOND = 1000 * MS
OFFSETS = pytest.mark.parametrize('offset_ns', [0, 3 * SECOND, -3 * SECOND])


def feed(lag, lags_ms, start_ms=0, offset_ns=0):
    """Process a message each 10 ms; return the steady times in ms at which `is_behind` changed."""
    return [
        start_ms + 10 * number
        for number, lag_ms in enumerate(lags_ms)
        if lag.add(round(lag_ms * MS) + offset_ns, (start_ms + 10 * number) * MS)
    ]


def test_problems_are_named_together():
    diagnosis = Diagnosis(values={'a': 1}).with_problem('it is wet')
    assert (diagnosis.level, diagnosis.message) == (WARN, 'it is wet')
    assert diagnosis.with_problem('it is late').message == 'it is late; it is wet'
    assert diagnosis.with_problem('') == diagnosis
    assert diagnosis.with_problem('it is wet: it rains').message == 'it is wet: it rains'
    assert diagnosis.values == {'a': 1}
    assert Diagnosis().level == OK


def test_silence_begins_once_and_ends_once():
    silence = Silence(limit_ns=500 * MS)
    silence.end(0)
    assert [silence.has_begun(at * MS) for at in (100, 500, 501, 900)] == [False] * 2 + [
        True,
        False,
    ]
    assert silence.is_silent
    assert silence.lasts_ns(900 * MS) == 900 * MS
    assert silence.end(1200 * MS) == 1200 * MS
    assert not silence.is_silent
    assert silence.end(1300 * MS) == 0


def test_what_happens_once_does_not_go_on():
    recurrence = Recurrence()
    assert not recurrence.goes_on(0)
    recurrence.add(5 * SECOND)
    assert not recurrence.goes_on(5 * SECOND)
    recurrence.add(8 * SECOND)  # Once more, after a long time.
    assert not recurrence.goes_on(8 * SECOND)
    recurrence.add(9 * SECOND)
    assert recurrence.goes_on(9 * SECOND)
    assert recurrence.goes_on(11 * SECOND)
    assert not recurrence.goes_on(11 * SECOND + 1)


@OFFSETS
def test_a_reader_at_half_the_rate_falls_behind_once_and_catches_up(offset_ns):
    lag = Lag()
    # From 1 s on, each second of input takes two.
    lags_ms = [2.0] * 100 + [2.0 + 5 * number for number in range(200)]
    begins = feed(lag, lags_ms, offset_ns=offset_ns)
    # Late by over 0.1 s from 1.2 s on, and for a second.
    assert begins == [pytest.approx(2200, abs=20)]
    assert lag.is_behind
    assert lag.factor == pytest.approx(0.5, abs=0.02)
    ends = feed(lag, [2.0] * 200, start_ms=3000, offset_ns=offset_ns)
    assert ends == [pytest.approx(4000, abs=20)]
    assert not lag.is_behind
    assert lag.excess_ns == 0
    values = lag.values()
    assert values['behind_s'] == pytest.approx((4000 - 1200) / 1000, abs=0.05)
    assert values['behind_factor'] == pytest.approx(0.5, abs=0.02)


def test_what_stays_late_stays_behind():
    lag = Lag()
    changes = feed(lag, [0.0] * 10 + [min(10.0 * n, 2000.0) for n in range(15_000)])
    assert len(changes) == 1
    assert lag.is_behind
    assert lag.values()['behind_factor'] == 0.0


def test_bursts_are_not_behind():
    # Each 0.3 s, what came in that time is delivered at once.
    lag, changes = Lag(), []
    for burst in range(1, 100):
        arrival_ms = 300 * burst
        changes += [
            lag.add((arrival_ms - published_ms) * MS, arrival_ms * MS)
            for published_ms in range(arrival_ms - 300, arrival_ms, 10)
        ]
    assert not any(changes)


def test_a_clock_that_is_set_is_no_lag():
    lag = Lag()
    assert not feed(lag, [2.0] * 200 + [5002.0] * 500 + [-3000.0] * 500)
    assert not lag.is_behind
    assert lag.excess_ns < MS


def test_clocks_that_drift_apart_are_no_lag():
    lag = Lag()
    # 100 ppm for two hours: 0.7 s.
    for second in range(7200):
        assert not lag.add(second * 100_000, second * SECOND)
    assert lag.excess_ns < 20 * MS


@given(st.lists(st.floats(0, 90), min_size=1, max_size=300), st.integers(-(10**18), 10**18))
def test_lags_within_the_limit_are_never_behind(lags_ms, offset_ns):
    lag = Lag()
    assert not feed(lag, np.array(lags_ms), offset_ns=offset_ns)
    assert 0 <= lag.excess_ns <= 90 * MS
