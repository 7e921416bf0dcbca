import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.alignment.clock import JUMP_NS, SensorClock

MS = 1_000_000


def test_no_estimate_before_the_first_packet():
    assert SensorClock().estimate is None


def test_the_least_delayed_packet_gives_the_offset():
    clock = SensorClock()
    for sensor, delay in ((0, 3), (2, 1), (4, 2)):
        assert not clock.update(sensor * MS, 1000 * MS + (sensor + delay) * MS)
    assert clock.estimate is not None
    assert clock.estimate.offset_ns == 1001 * MS
    np.testing.assert_allclose(clock.estimate.jitter_ns, np.std([3, 1, 2]) * MS)


def test_a_jump_starts_anew():
    clock = SensorClock()
    clock.update(0, 0)
    assert clock.update(10 * MS, 10 * MS + 2 * JUMP_NS)
    assert clock.estimate is not None
    assert clock.estimate.offset_ns == 2 * JUMP_NS
    assert clock.estimate.jitter_ns == 0


@given(st.integers(0, 2**32 - 1), st.floats(-5e-5, 5e-5))
def test_drift_is_followed_within_the_jitter(seed, drift):
    random = np.random.default_rng(seed)
    clock = SensorClock()
    offset, worst = 5_000 * MS, 0.0
    for index in range(2000):
        sensor = index * 2 * MS
        true = offset + drift * sensor
        delay = random.exponential(0.8 * MS)
        clock.update(sensor, int(sensor + true + delay))
        if index > 100:
            worst = max(worst, abs(clock.estimate.offset_ns - true))
    assert worst < 1.5 * MS


def test_a_late_start_is_forgotten_at_once():
    clock = SensorClock()
    for index in range(100):
        clock.update(index * MS, index * MS + 300 * MS)
    clock.update(100 * MS, 100 * MS + 100 * MS)
    assert clock.estimate.offset_ns == 100 * MS


def test_the_offset_never_grows_faster_than_the_slew():
    clock = SensorClock(window=3, max_slew=1e-3)
    for index in range(10):
        clock.update(index * MS, index * MS + 100 * MS)
    before = clock.estimate.offset_ns
    for index in range(10, 20):
        clock.update(index * MS, index * MS + 200 * MS)
    assert before < clock.estimate.offset_ns <= before + 10 * MS // 1000
