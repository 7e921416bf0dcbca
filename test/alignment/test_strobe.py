import os
from pathlib import Path

import numpy as np
import pytest
from event_streams import make_triggers, read

from microexpr_ros.alignment.strobe import Strobe

MS = 1_000_000
DATA = os.environ.get('MICROEXPR_TEST_DATA')


def pulse(t, width_ns=2 * MS, channel=1):
    return make_triggers([t, t + width_ns], [channel, channel], [1, 0])


def errors_ns(latency_ms, period_ms, missed_pulses=0.05, missed_frames=0.05, seed=0):
    """Return by how much matched frames are wrong, and how many were not matched."""
    random, strobe, errors, unmatched = np.random.default_rng(seed), Strobe(), [], 0
    for number in range(400):
        taken_ns = 10**9 + round(number * period_ms * MS)
        if random.random() >= missed_pulses:
            strobe.push(pulse(taken_ns))
        late_ns = random.exponential(MS) + 30 * MS * (random.random() < 0.01)
        if random.random() < missed_frames:
            continue
        matched_ns = strobe.match(taken_ns + round(latency_ms * MS + late_ns))
        if matched_ns is None:
            unmatched += 1
        else:
            errors.append(abs(matched_ns - taken_ns))
    return np.array(errors), unmatched


@pytest.mark.parametrize('latency_ms', [-1, 0, 1, 5, 15, 30])
@pytest.mark.parametrize('period_ms', [40, 1000 / 30])
@pytest.mark.parametrize('missed', [0.0, 0.05, 0.2])
def test_frames_get_their_own_pulse(latency_ms, period_ms, missed):
    latency_ms = min(latency_ms, 0.8 * period_ms)
    errors, unmatched = errors_ns(latency_ms, period_ms, missed, missed)
    # A stamp that is late by a whole period looks like that of the next pulse.
    assert np.mean(errors > 50_000) < 0.01
    assert unmatched < 30


def test_a_pulse_that_was_missed_is_put_in():
    strobe = Strobe()
    for number in range(30):
        strobe.push(pulse(number * 40 * MS)) if number not in (20, 21) else None
        matched_ns = strobe.match(number * 40 * MS + 3 * MS)
        assert matched_ns == (None if number < 7 else number * 40 * MS)


def test_pulses_of_something_else_match_nothing():
    for period_ms in (1, 4, 150):
        strobe, taken = Strobe(), np.arange(100) * 33 * MS
        pulses = np.arange(0, 3300, period_ms) * MS
        matched = []
        for t in taken:
            for other in pulses[(pulses > t - 33 * MS) & (pulses <= t)]:
                strobe.push(pulse(int(other), 100_000))
            matched.append(strobe.match(int(t) + 3 * MS))
        assert matched == [None] * 100


def test_without_pulses_nothing_is_matched():
    strobe = Strobe()
    assert [strobe.match(k * 33 * MS) for k in range(20)] == [None] * 20
    assert strobe.period_ns is None


def test_one_channel_counts_and_rising_edges_first():
    strobe = Strobe()
    for number in range(20):
        t = number * 40 * MS
        strobe.push(make_triggers([t - 9 * MS, t, t + MS, t + 2 * MS], [3, 3, 5, 3], [0, 1, 1, 0]))
        matched_ns = strobe.match(t + 3 * MS)
    assert matched_ns == 19 * 40 * MS


def test_irregular_pulses_have_no_period():
    strobe = Strobe()
    for t in np.cumsum(np.random.default_rng(0).integers(10, 60, 40)):
        strobe.push(pulse(int(t) * MS))
    assert strobe.period_ns is None


@pytest.mark.skipif(not DATA, reason='MICROEXPR_TEST_DATA is not set')
def test_recorded_triggers_come_out_at_a_millisecond():
    _, triggers = read(Path(DATA) / 'recordings' / 'test_events_1.db3')
    strobe = Strobe()
    strobe.push(triggers)
    assert strobe.period_ns == 1_000_000.0
