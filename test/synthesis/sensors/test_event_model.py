"""The event sensor against the published model, in cases that have a closed form.

The model: Lichtsteiner et al. (JSSC 2008) and ESIM (Rebecq et al., CoRL 2018) for when events
come, v2e (Hu et al., CVPRW 2021) for low-pass, refractory period, leak, mismatch and noise.
Expectations are computed here from the formulas, not with the package.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from microexpr_ros.events.events import Events
from microexpr_ros.synthesis.sensors.event_sensor import SensorParameters, start, step

THETA = 0.25
IDEAL = SensorParameters(
    threshold_on=THETA,
    threshold_off=THETA,
    threshold_sigma=0.0,
    corner_hz=0.0,
    refractory_ns=0,
    leak_hz=0.0,
    shot_hz=0.0,
    rate_spread=0.0,
    hot_share=0.0,
    knee_lux=1e-3,
    tick_ns=1,
)
SECOND = 1_000_000_000


def picture(logarithm, shape):
    return np.exp(np.broadcast_to(logarithm, shape)).astype(np.float32)


def run(parameters, logarithm_at, times_ns, shape=(1, 1), seed=0):
    """Events under a logarithm of logarithm_at(t in s), each pixel having just sent one."""
    state = start(
        parameters, picture(logarithm_at(times_ns[0] * 1e-9), shape), times_ns[0],
        np.random.default_rng(seed),
    )  # fmt: skip
    state = replace(state, reference=state.filtered.copy())
    parts = []
    for t in times_ns[1:]:
        events, state = step(parameters, state, picture(logarithm_at(t * 1e-9), shape), int(t))
        parts.append(events)
    return Events(*(np.concatenate([getattr(part, name) for part in parts]) for name in 'txyp'))


@given(
    slope=st.floats(0.5, 40).flatmap(lambda s: st.sampled_from([s, -s])),
    on=st.floats(0.05, 0.5),
    off=st.floats(0.05, 0.5),
)
def test_a_ramp_crosses_a_level_for_each_threshold(slope, on, off):
    parameters = replace(IDEAL, threshold_on=on, threshold_off=off)
    # Above the knee, whichever way it goes.
    events = run(parameters, lambda t: 1 + max(-slope, 0) + slope * t, [0, SECOND])
    # The sensor keeps its thresholds as float32.
    theta = float(np.float32(on if slope > 0 else off))
    levels = abs(slope) / theta
    # Pictures are float32, so a level at the very end may be reached or not.
    assert np.floor(levels - 1e-3) <= len(events) <= np.floor(levels + 1e-3)
    exact = np.arange(1, len(events) + 1) * theta / abs(slope) * SECOND
    np.testing.assert_allclose(events.t, exact, atol=SECOND * 1e-5 / abs(slope) + 2)
    assert (events.p == (slope > 0)).all()


@pytest.mark.parametrize(('contrast', 'polarity'), [(4.0, 1), (0.25, 0)])
def test_an_edge_makes_a_front_of_events_that_moves_with_it(contrast, polarity):
    """A box-filtered edge moves a pixel per ms to the right; darker or brighter behind it."""
    width, steps = 12, 14

    def logarithm_at(t):
        covered = np.clip(t * 1000 - np.arange(width), 0, 1)
        return np.log(1 + (contrast - 1) * covered)

    # Sampled as finely as the edge bends the logarithm.
    times = np.arange(0, steps * 1000 + 1, 10) * 1000
    events = run(IDEAL, logarithm_at, times, (3, width))
    assert (events.p == polarity).all()
    # Every pixel passes floor(|log contrast| / theta) levels, in order.
    count = int(np.floor(abs(np.log(contrast)) / THETA))
    levels = np.exp((1 if polarity else -1) * THETA * np.arange(1, count + 1))
    share = (levels - 1) / (contrast - 1)
    for column in range(width):
        for row in range(3):
            mine = events.t[(events.x == column) & (events.y == row)]
            exact = (column + share) * 1_000_000
            np.testing.assert_allclose(mine, exact, atol=3000)


def test_a_sinusoid_makes_events_where_it_crosses_levels_and_none_of_the_wrong_sign():
    amplitude, hz = 1.13, 4.0
    times = np.arange(0, SECOND + 1, 100_000)
    events = run(IDEAL, lambda t: 2 + amplitude * np.sin(2 * np.pi * hz * t), times)
    # Up 4 levels, then down to -4, one period after the other. The level of the last event is
    # crossed once more on the way back without an event.
    levels = np.arange(1, 5) * THETA
    rise = np.arcsin(levels / amplitude) / (2 * np.pi * hz)
    first = events.t[: len(levels)] / SECOND
    np.testing.assert_allclose(first, rise, atol=2e-5)
    assert (events.p[: len(levels)] == 1).all()
    falling = levels[::-1] - THETA
    fall = 1 / (2 * hz) - np.arcsin(falling / amplitude) / (2 * np.pi * hz)
    np.testing.assert_allclose(events.t[4:8] / SECOND, fall, atol=2e-5)
    assert (events.p[4:8] == 0).all()
    # In every period as many up as down, and only in the half in which the light goes there.
    # The last level is reached when the take is over.
    assert len(events) == 16 * hz - 1
    slope = np.cos(2 * np.pi * hz * events.t / SECOND)
    np.testing.assert_array_equal(events.p == 1, slope > 0)


def test_unequal_thresholds_share_events_in_inverse_proportion():
    parameters = replace(IDEAL, threshold_on=0.1, threshold_off=0.3)
    # Twice down and up again.
    times = np.arange(0, 800_000_001, 1_000_000)
    events = run(parameters, lambda t: 3 * abs((5 * t) % 2 - 1), times)
    assert (events.p == 1).sum() / (events.p == 0).sum() == pytest.approx(3, rel=0.06)


@pytest.mark.parametrize('rise', [1.0, -1.0])
def test_a_step_through_the_low_pass_is_an_exponential(rise):
    corner_hz = 20.0
    parameters = replace(IDEAL, corner_hz=corner_hz, corner_lux=1e-6, threshold_on=0.1,
                         threshold_off=0.1)  # fmt: skip
    tau = 1 / (2 * np.pi * corner_hz)
    times = [0, 1000, *range(100_000, 200_000_000, 100_000)]
    events = run(parameters, lambda t: 3 + rise * (t > 0), times)
    exact = -tau * np.log(1 - 0.1 * np.arange(1, 10))
    np.testing.assert_allclose(events.t / SECOND, exact[: len(events)], atol=1e-4)
    assert len(events) == 9
    assert (events.p == (rise > 0)).all()


@pytest.mark.parametrize('slope', [50.0, 400.0])
def test_a_pixel_saturates_at_the_inverse_of_its_refractory_period(slope):
    parameters = replace(IDEAL, refractory_ns=2_000_000)
    events = run(parameters, lambda t: -3 + slope * t, [0, SECOND // 5])
    # Held pixels follow the light, so a period is the dead time and one more threshold.
    period = 2_000_000 + THETA / slope * SECOND
    np.testing.assert_allclose(np.diff(events.t), period, rtol=1e-4)
    assert len(events) / 0.2 < 500


@pytest.mark.parametrize('slope', [0.6, -0.6])
def test_leak_adds_to_a_rise_and_takes_from_a_fall(slope):
    parameters = replace(IDEAL, leak_hz=1.5)
    times = np.arange(0, 20 * SECOND + 1, 50_000_000)
    events = run(parameters, lambda t: slope * (t - 10), times)
    rate = slope / THETA + 1.5
    assert len(events) == pytest.approx(abs(rate) * 20, abs=1)
    assert (events.p == (rate > 0)).all()


def test_thresholds_are_normal_about_their_mean():
    parameters = replace(IDEAL, threshold_on=0.3, threshold_sigma=0.04)
    shape = (60, 60)
    events = run(parameters, lambda t: t, [0, SECOND // 2], shape)
    # The first event of each pixel comes when the ramp of slope 1 reaches its threshold.
    first = np.full(shape, np.inf)
    np.minimum.at(first, (events.y, events.x), events.t / SECOND)
    assert np.isfinite(first).all()
    assert first.mean() == pytest.approx(0.3, abs=4 * 0.04 / 60)
    assert stats.kstest(first.ravel(), 'norm', (0.3, 0.04)).pvalue > 1e-3


def test_noise_is_a_poisson_process_of_both_signs():
    parameters = replace(IDEAL, shot_hz=5.0, corner_lux=float(np.exp(3)))
    shape, seconds = (40, 40), 4
    times = np.arange(0, seconds * SECOND + 1, 250_000_000)
    events = run(parameters, lambda _: 3.0, times, shape)
    counts = np.zeros(shape)
    np.add.at(counts, (events.y, events.x), 1)
    expected = 5.0 * seconds
    assert counts.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / counts.size))
    assert counts.var() / counts.mean() == pytest.approx(1, abs=4 * np.sqrt(2 / counts.size))
    # Times are even over the take, intervals of a pixel exponential, signs a fair coin.
    assert stats.kstest(events.t / (seconds * SECOND), 'uniform').pvalue > 1e-3
    place = events.y.astype(int) * shape[1] + events.x
    intervals = np.concatenate([np.diff(events.t[place == k]) for k in range(200)]) / SECOND
    # A finite take cuts long intervals off: compare where that hardly matters.
    short = intervals[intervals < 0.5]
    cut = 1 - np.exp(-5 * 0.5)
    assert stats.kstest(short, lambda s: (1 - np.exp(-5 * s)) / cut).pvalue > 1e-4
    assert events.p.mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(len(events)))


@pytest.mark.parametrize(('lux', 'factor'), [(30.0, 1.0), (7.5, 2.0), (480.0, 0.5), (1e-2, 20.0)])
def test_noise_grows_with_the_inverse_root_of_the_light_within_bounds(lux, factor):
    parameters = replace(IDEAL, shot_hz=2.0, corner_lux=30.0)
    events = run(parameters, lambda _: np.log(lux), [0, SECOND, 2 * SECOND], (40, 40))
    expected = 2.0 * factor * 2 * 1600
    assert len(events) == pytest.approx(expected, abs=4 * np.sqrt(expected))


def test_hot_pixels_have_their_share_and_mean_rate():
    parameters = replace(
        IDEAL, hot_share=0.02, hot_hz=40.0, corner_lux=30.0, shot_hz=0.0, leak_hz=0.0
    )
    shape = (200, 200)
    events = run(parameters, lambda _: np.log(30.0), [0, SECOND], shape)
    counts = np.zeros(shape)
    np.add.at(counts, (events.y, events.x), 1)
    number = 0.02 * counts.size
    assert (counts > 0).sum() == pytest.approx(number, abs=4 * np.sqrt(number))
    # Rates are log-normal with a spread of 0.7, so their mean is exp(0.7^2 / 2) higher.
    mean = counts[counts > 0].mean()
    assert mean == pytest.approx(40 * np.exp(0.245), rel=4 * 0.8 / np.sqrt(number))


def test_times_are_whole_ticks_and_never_late():
    fine = run(IDEAL, lambda t: 7 * t, [0, SECOND])
    coarse = run(replace(IDEAL, tick_ns=1_000_000), lambda t: 7 * t, [0, SECOND])
    np.testing.assert_array_equal(coarse.t, fine.t // 1_000_000 * 1_000_000)


@pytest.mark.parametrize('cuts', [(2,), (3, 7), tuple(range(1, 10))])
def test_how_a_line_is_cut_into_samples_changes_nothing(cuts):
    times = [0, *(cut * SECOND // 10 for cut in cuts), SECOND]
    assert all(a < b for a, b in pairwise(times))
    whole = run(IDEAL, lambda t: 9.1 * t, [0, SECOND])
    parts = run(IDEAL, lambda t: 9.1 * t, times)
    assert len(whole) == len(parts)
    # Pictures are float32: a level is wrong by 1e-7 of it.
    np.testing.assert_allclose(parts.t, whole.t, atol=200)


def test_the_read_out_stamps_late_by_an_exponential_and_loses_nothing():
    late = replace(IDEAL, jitter_ns=2_000_000)
    times = range(0, SECOND + SECOND // 10 + 1, SECOND // 50)
    exact, stamped = (run(p, lambda t: 40 * min(t, 1), times) for p in (IDEAL, late))
    assert len(stamped) == len(exact) > 100
    assert (np.diff(stamped.t) >= 0).all()
    # An event may overtake another, so that only the mean delay is known.
    delay = stamped.t.mean() - exact.t.mean()
    assert delay == pytest.approx(2e6, rel=4 / np.sqrt(len(exact)))
