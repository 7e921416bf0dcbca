import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexpr_ros.alignment.clock import JUMP_NS, SensorClock, StampFault, StampLine
from microexpr_ros.alignment.slices import STEP_GROWTH, SliceCounter

MS = 1_000_000
EPOCH = 1_700_000_000_000 * MS


def test_no_estimate_before_the_first_packet():
    assert SensorClock().estimate is None


def test_the_least_delayed_packet_gives_the_offset():
    clock = SensorClock()
    for sensor, delay in ((0, 3), (2, 1), (4, 2)):
        assert not clock.update(sensor * MS, 1000 * MS + (sensor + delay) * MS)
    assert clock.estimate is not None
    assert clock.estimate.offset_ns == 1001 * MS
    np.testing.assert_allclose(clock.estimate.jitter_ns, np.std([3, 1, 2]) * MS)


@pytest.mark.parametrize('jump_ns', [2 * JUMP_NS, 20_000 * MS, -2 * JUMP_NS, 100 * MS])
def test_a_jump_is_followed(jump_ns):
    clock = SensorClock()
    for index in range(800):
        sensor = index * 10 * MS
        clock.update(sensor, sensor + (jump_ns if index >= 400 else 0))
    assert clock.estimate is not None
    assert clock.estimate.offset_ns == jump_ns
    assert clock.estimate.jitter_ns == 0
    assert clock.jumps == 1
    assert clock.fault is None


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


def test_packets_that_are_held_back_do_not_move_the_line():
    clock = SensorClock()
    for index in range(1000):
        clock.update(index * MS, index * MS + 100 * MS)
    before = clock.estimate.offset_ns
    for index in range(1000, 1400):
        clock.update(index * MS, index * MS + 200 * MS)
    assert clock.estimate.offset_ns == before


class History:
    """Stamps as hosts give them: a true mapping, and delays that are never negative."""

    def __init__(self, rate=1.0, drift=0.0, seed=0, seconds=60, period_ns=2 * MS):
        self.random = np.random.default_rng(seed)
        self.sensor = np.arange(0, seconds * 10**9, period_ns, dtype=np.int64)
        self.scale = (1 + drift) / rate
        self.delay = np.zeros(len(self.sensor))

    def truth(self, sensor_ns):
        """Return ROS time without any delay, in ns since EPOCH."""
        return np.asarray(sensor_ns) * self.scale

    def jittered(self, mean_ns=MS, outlier_ns=30 * MS, share=0.01):
        size = len(self.sensor)
        self.delay += self.random.exponential(mean_ns, size)
        self.delay += outlier_ns * (self.random.random(size) < share)
        return self

    def in_bursts(self, length_ns=300 * MS):
        self.delay += length_ns - self.sensor % length_ns
        return self

    def thinned(self, share=0.01):
        kept = self.random.random(len(self.sensor)) > share
        self.sensor, self.delay = self.sensor[kept], self.delay[kept]
        return self

    @property
    def stamps(self):
        return EPOCH + (self.truth(self.sensor) + self.delay).astype(np.int64)


def stamp_slices(sensor, stamps, slice_ns=10 * MS):
    """Return the ends of slices on the sensor's clock, and the stamps that they are given."""
    clock, line, ends, given_ns = SensorClock(), StampLine(), [], []
    end = (int(sensor[0]) // slice_ns + 1) * slice_ns
    for sensor_ns, stamp_ns in zip(sensor.tolist(), np.asarray(stamps).tolist(), strict=True):
        clock.update(sensor_ns, stamp_ns)
        while end <= sensor_ns:
            ends.append(end)
            given_ns.append(line.stamp(end, slice_ns, clock))
            end += slice_ns
    return np.array(ends), np.array(given_ns), clock


def errors_ms(history, after_s=5):
    """Return by how much the stamps of slices are wrong, from a time on."""
    ends, given_ns, clock = stamp_slices(history.sensor, history.stamps)
    assert (np.diff(given_ns) > 0).all()
    late = ends > after_s * 10**9
    return np.abs(given_ns - EPOCH - history.truth(ends))[late] / MS, clock


@pytest.mark.parametrize('drift', [-5e-5, 5e-5, 2e-4])
@pytest.mark.parametrize('period_ns', [2 * MS, 10 * MS])
def test_error_is_under_a_millisecond_after_five_seconds(drift, period_ns):
    history = History(drift=drift, period_ns=period_ns).jittered().thinned()
    errors, clock = errors_ms(history)
    assert np.percentile(errors, 95) < 0.1
    assert errors.max() < 1
    assert clock.rate == pytest.approx(1 + drift, abs=5e-6)
    assert clock.fault is None


@pytest.mark.parametrize('period_ns', [2 * MS, 10 * MS])
def test_stamps_that_scatter_to_both_sides_are_met_in_their_midst(period_ns):
    history = History(drift=5e-5, period_ns=period_ns).jittered(mean_ns=1).thinned()
    history.delay += history.random.normal(0, MS, len(history.delay))
    errors, clock = errors_ms(history)
    assert np.percentile(errors, 95) < 0.5
    assert clock.fault is None


@pytest.mark.parametrize('rate', [0.1, 0.5, 0.8, 1.25, 2.0, 3.0, 10.0])
def test_rate_of_replay_is_measured(rate):
    errors, clock = errors_ms(History(rate).jittered(), after_s=10)
    assert np.percentile(errors, 95) < 1
    assert clock.rate * rate == pytest.approx(1, abs=1e-4)
    assert clock.fault is StampFault.RATE


@pytest.mark.parametrize('spread_ns', [0, 1000])
def test_bursts_are_no_jumps(spread_ns):
    history = History(drift=5e-5).in_bursts()
    history.delay += history.random.integers(0, spread_ns + 1, len(history.delay))
    errors, clock = errors_ms(history)
    # Half a packet of 2 ms is missing to the soonest arrival.
    assert np.percentile(errors, 95) < 2.1
    assert (clock.jumps, clock.fault) == (0, None)


def test_a_change_of_rate_is_followed():
    sensor = np.arange(0, 60 * 10**9, 2 * MS)
    stamps = EPOCH + np.where(sensor < 20 * 10**9, sensor, 10 * 10**9 + sensor // 2)
    ends, given_ns, clock = stamp_slices(sensor, stamps)
    late = ends > 30 * 10**9
    wanted = EPOCH + 10 * 10**9 + ends // 2
    assert np.abs(given_ns - wanted)[late].max() < MS
    assert clock.rate == pytest.approx(0.5)


@pytest.mark.parametrize(
    ('stamps', 'fault'),
    [
        (lambda sensor: 0 * sensor, StampFault.ZERO),
        (lambda sensor: 0 * sensor + EPOCH, StampFault.STILL),
        (lambda sensor: EPOCH - sensor, StampFault.BACKWARDS),
        (lambda sensor: EPOCH + sensor * 7919 % (3600 * 10**9), StampFault.JUMPING),
    ],
)
def test_without_stamps_that_mean_anything_time_goes_on_by_the_sensor(stamps, fault):
    sensor = np.arange(0, 20 * 10**9, 2 * MS)
    ends, given_ns, clock = stamp_slices(sensor, stamps(sensor))
    assert clock.fault is fault
    assert not clock.usable
    late = ends > 10 * 10**9
    np.testing.assert_array_equal(np.diff(given_ns[late]), 10 * MS)
    assert (np.diff(given_ns) > 0).all()


def test_stamps_that_stood_still_count_again_when_they_move():
    sensor = np.arange(0, 40 * 10**9, 2 * MS)
    stamps = EPOCH + sensor
    stamps[sensor < 10 * 10**9] = EPOCH
    ends, given_ns, clock = stamp_slices(sensor, stamps)
    assert clock.fault is None
    assert abs(int(given_ns[-1]) - EPOCH - int(ends[-1])) < MS


@pytest.mark.parametrize('set_by_s', [-5, -1, -0.2, 0.2, 1, 5])
def test_stamps_go_on_where_the_clock_of_the_host_is_set(set_by_s):
    sensor = np.arange(0, 60 * 10**9, 2 * MS)
    stamps = EPOCH + sensor + np.where(sensor < 20 * 10**9, 0, round(set_by_s * 1e9))
    ends, given_ns, _ = stamp_slices(sensor, stamps)
    steps = np.diff(given_ns)
    assert (steps > 0).all()
    assert (steps[1:] <= STEP_GROWTH * steps[:-1] + 2).all()
    late = ends > 40 * 10**9
    assert np.abs(given_ns - EPOCH - ends - set_by_s * 1e9)[late].max() < MS


def test_a_clock_that_is_set_back_for_long_is_not_waited_for():
    sensor = np.arange(0, 40 * 10**9, 2 * MS)
    stamps = EPOCH + sensor - np.where(sensor < 20 * 10**9, 0, 3600 * 10**9)
    _, given_ns, _ = stamp_slices(sensor, stamps)
    np.testing.assert_array_equal(np.diff(given_ns), 10 * MS)


step_lists = st.lists(
    st.tuples(
        st.integers(1, 400),  # packets
        st.sampled_from([1, 2, 10, 50]),  # ms of sensor time between them
        st.floats(0, 10),  # ROS time per sensor time
        st.sampled_from([0, 0, -3600_000, -400, 30, 400, 3600_000]),  # a jump, ms
        st.sampled_from([0, 1, 300]),  # jitter, ms
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=300, deadline=None)
@given(step_lists, st.integers(0, 2**32 - 1))
def test_stamps_of_slices_increase_whatever_the_host_does(steps, seed):
    random = np.random.default_rng(seed)
    sensor, host, sensors, stamps = 0, EPOCH, [], []
    for packets, period_ms, rate, jump_ms, jitter_ms in steps:
        host += jump_ms * MS
        for _ in range(packets):
            sensor += period_ms * MS
            host += int(rate * period_ms * MS)
            sensors.append(sensor)
            stamps.append(max(host + int(random.exponential(jitter_ms * MS)), 0))
    _, given_ns, _ = stamp_slices(np.array(sensors), np.array(stamps))
    assert (np.diff(given_ns) > 0).all()
    counter = SliceCounter()
    assert not any(counter.add(int(stamp)) for stamp in given_ns)
