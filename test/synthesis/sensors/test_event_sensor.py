import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexpr_ros.synthesis.sensors.event_sensor import (
    SENSORS,
    SensorParameters,
    respond,
    start,
    step,
)

IDEAL = SensorParameters(
    threshold_sigma=0.0,
    corner_hz=0.0,
    refractory_ns=0,
    leak_hz=0.0,
    shot_hz=0.0,
    hot_share=0.0,
    knee_lux=1e-3,
)


def altered(**changes):
    names = IDEAL.__slots__
    return SensorParameters(**({name: getattr(IDEAL, name) for name in names} | changes))


def run(parameters, logarithm_at, times_ns, shape=(4, 5), seed=0):
    """Events of a uniform picture whose logarithm is logarithm_at(t in s)."""
    picture = np.full(shape, np.exp(logarithm_at(times_ns[0] * 1e-9)), np.float32)
    state = start(parameters, picture, times_ns[0], np.random.default_rng(seed))
    parts = []
    for t in times_ns[1:]:
        picture = np.full(shape, np.exp(logarithm_at(t * 1e-9)), np.float32)
        events, state = step(parameters, state, picture, t)
        parts.append(events)
    return parts


def count(parts):
    return sum(map(len, parts))


@pytest.mark.parametrize('slope', [1.0, 5.0, -3.0])
def test_a_ramp_of_slope_s_gives_s_over_theta_events_per_second(slope):
    times = list(range(0, 1_000_000_001, 5_000_000))
    parts = run(IDEAL, lambda t: 3 + slope * t, times)
    # Pixels start anywhere between their thresholds, so the number is exact to one event.
    assert count(parts) / 20 == pytest.approx(abs(slope) / 0.2, abs=1)
    assert all((events.p == (slope > 0)).all() for events in parts)


def test_events_of_a_ramp_are_evenly_spaced_inside_the_intervals():
    # One interval of a second: every time but the first comes from the interpolation.
    events = run(IDEAL, lambda t: 1 + 2 * t, [0, 1_000_000_000], shape=(1, 1))[0]
    np.testing.assert_allclose(np.diff(events.t), 0.1e9, atol=2000)


def test_the_refractory_period_lengthens_the_interval_between_events():
    parameters = altered(refractory_ns=50_000_000)
    events = run(parameters, lambda t: 1 + 2 * t, [0, 1_000_000_000], shape=(1, 1))[0]
    np.testing.assert_allclose(np.diff(events.t), 0.15e9, atol=2000)


def test_the_low_pass_delays_a_ramp_by_its_time_constant():
    corner_hz = 10.0
    parameters = altered(corner_hz=corner_hz, corner_lux=1e-6)
    times = list(range(0, 2_000_000_001, 10_000_000))
    sharp = np.concatenate([e.t for e in run(IDEAL, lambda t: 1 + t, times, (1, 1))])
    slow = np.concatenate([e.t for e in run(parameters, lambda t: 1 + t, times, (1, 1))])
    tau_ns = 1e9 / (2 * np.pi * corner_hz)
    # After the transient each event comes later by tau.
    np.testing.assert_allclose(slow[-4:] - sharp[: len(slow)][-4:], tau_ns, rtol=0.05)


def test_the_low_pass_attenuates_a_sine_at_its_corner_by_root_two():
    hz = 20.0
    parameters = altered(corner_hz=hz, corner_lux=1e-6, threshold_on=0.05, threshold_off=0.05)
    times = list(range(0, 1_000_000_001, 500_000))
    parts = run(parameters, lambda t: 2 + 0.5 * np.sin(2 * np.pi * hz * t), times, (1, 1))
    late = sum(int((events.t > 500_000_000).sum()) for events in parts)
    # A sine of amplitude a crosses 4 a / theta levels in a period, less one at each turn.
    expected = (4 * 0.5 / np.sqrt(2) / 0.05 - 2) * hz * 0.5
    assert late == pytest.approx(expected, rel=0.05)


def test_pixels_are_slower_in_the_dark():
    parameters = altered(corner_hz=100.0, corner_lux=100.0, corner_floor_hz=0.1)
    times = [0, 1_000_000, 30_000_000]

    def first_event(lux):
        parts = run(parameters, lambda t: np.log(lux) + (0.5 if t > 0 else 0), times, (8, 8))
        return np.mean(np.concatenate([events.t for events in parts]))

    assert first_event(2.0) > 2 * first_event(100.0)


def test_a_still_scene_without_noise_is_silent():
    parts = run(IDEAL, lambda _: 2.0, list(range(0, 1_000_000_000, 50_000_000)), (32, 32))
    assert count(parts) == 0


def test_leak_and_shot_noise_have_their_rates():
    seconds, shape = 20, (60, 50)
    times = list(range(0, seconds * 10**9 + 1, 500_000_000))
    leaky = altered(leak_hz=0.5)
    parts = run(leaky, lambda _: 4.0, times, shape)
    assert count(parts) / (3000 * seconds) == pytest.approx(0.5, rel=0.1)
    assert all((events.p == 1).all() for events in parts)
    shot = altered(shot_hz=0.5, corner_lux=float(np.exp(4.0)))
    parts = run(shot, lambda _: 4.0, times, shape)
    assert count(parts) / (3000 * seconds) == pytest.approx(0.5, rel=0.1)
    on = np.concatenate([events.p for events in parts]).mean()
    assert on == pytest.approx(0.5, abs=0.03)
    dark = run(shot, lambda _: 4.0 - np.log(16), times, shape)
    assert count(dark) / count(parts) == pytest.approx(4, rel=0.1)


def test_returns_keep_the_rate_and_have_the_other_polarity():
    seconds, shape = 20, (60, 50)
    times = list(range(0, seconds * 10**9 + 1, 500_000_000))
    parameters = altered(
        shot_hz=0.5, corner_lux=float(np.exp(4.0)), return_share=0.5, return_spread=0.2
    )
    parts = run(parameters, lambda _: 4.0, times, shape)
    assert count(parts) / (3000 * seconds) == pytest.approx(0.5, rel=0.05)
    t, pixel, p = (
        np.concatenate(column)
        for column in zip(*((e.t, e.y.astype(int) * 50 + e.x, e.p) for e in parts), strict=True)
    )
    order = np.lexsort((t, pixel))
    waits, turned = np.diff(t[order]), np.diff(p[order].astype(int)) != 0
    soon = (np.diff(pixel[order]) == 0) & (waits < 30_000_000)
    # Half of the first ones have a return, a quarter of the returns: 0.5 / 1.25 of all.
    assert parameters.returns == pytest.approx(0.4)
    assert soon.sum() / len(t) == pytest.approx(0.4, abs=0.03)
    assert turned[soon].mean() > 0.97
    assert np.median(waits[soon]) == pytest.approx(5_000_000, rel=0.07)
    assert p.mean() == pytest.approx(0.5, abs=0.03)


def test_the_read_out_takes_no_more_of_a_row_than_it_can():
    times = list(range(0, 100_000_001, 10_000_000))

    def sent(row_hz):
        # 50 events a pixel in the tenth of a second: 20,000 a second in a row of 40 pixels.
        parts = run(altered(row_hz=row_hz), lambda t: 1 + 100 * t, times, (3, 40))
        return np.concatenate([events.t for events in parts]), parts

    free, _ = sent(0.0)
    assert len(free) == pytest.approx(3 * 40 * 50, rel=0.02)
    wide, _ = sent(40_000.0)
    assert len(wide) == len(free)
    limited, parts = sent(8_000.0)
    # What is one millisecond behind is still taken.
    assert len(limited) == pytest.approx(3 * 8_000 * 0.101, rel=0.02)
    rows = np.concatenate([events.y for events in parts])
    assert np.ptp(np.bincount(rows, minlength=3)) <= 2


def test_hot_pixels_fire_and_others_do_not():
    parameters = altered(hot_share=0.01, hot_hz=50.0)
    parts = run(parameters, lambda _: 3.0, [0, 10**9], (100, 100))
    pixels = {(int(x), int(y)) for e in parts for x, y in zip(e.x, e.y, strict=True)}
    assert 60 < len(pixels) < 150


def test_the_response_is_linear_below_the_knee_and_smooth_across_it():
    lux = np.array([0.0, 0.25, 0.5 - 1e-4, 0.5 + 1e-4, 5.0], np.float32)
    out = respond(lux[None], 0.5)[0]
    assert out[0] == pytest.approx(np.log(0.5) - 1)
    assert out[1] == pytest.approx(np.log(0.5) - 0.5)
    assert out[3] - out[2] == pytest.approx(2e-4 / 0.5, rel=0.01)
    assert out[4] == pytest.approx(np.log(5), rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    levels=st.lists(st.floats(0.0, 500.0), min_size=2, max_size=6),
    name=st.sampled_from(sorted(SENSORS)),
    seed=st.integers(0, 1000),
)
def test_events_are_ordered_and_inside_interval_and_picture(levels, name, seed):
    parameters = SENSORS[name]
    picture = np.full((6, 7), levels[0], np.float32)
    state = start(parameters, picture, 0, np.random.default_rng(seed))
    for k, level in enumerate(levels[1:]):
        t0, t1 = k * 4_000_000, (k + 1) * 4_000_000
        events, state = step(parameters, state, np.full((6, 7), level, np.float32), t1)
        assert (np.diff(events.t) >= 0).all()
        if len(events):
            assert t0 <= events.t[0]
            assert events.t[-1] < t1
            assert events.x.max() < 7
            assert events.y.max() < 6
            assert events.p.max() <= 1
        # No pixel stays further from its reference than its threshold.
        held = state.held_until_ns > t1
        difference = state.filtered - state.reference
        assert (held | (difference <= state.on + 1e-6)).all()
        assert (held | (difference >= -state.off - 1e-6)).all()


def test_one_long_interval_equals_many_short_ones_of_the_same_line():
    def logarithm_at(t):
        return 2 + 1.5 * t

    # The corner is constant above corner_lux; below, it would follow each interval's mean.
    parameters = altered(corner_hz=50.0, corner_lux=1e-6)
    long = run(parameters, logarithm_at, [0, 400_000_000], (3, 3))
    short = run(parameters, logarithm_at, list(range(0, 400_000_001, 20_000_000)), (3, 3))
    assert count(long) == count(short)
    together = np.concatenate([events.t for events in short])
    # Bends of the low-pass below 0.01 are cut straight: that much level, in time at this slope.
    np.testing.assert_allclose(np.sort(long[0].t), np.sort(together), atol=0.01 / 1.5 * 1e9)
