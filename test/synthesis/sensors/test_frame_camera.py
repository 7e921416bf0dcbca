"""Shutter and clock of the frame camera."""

import numpy as np
import pytest

from microexpr_ros.synthesis.sensors.frame_sensor import (
    FrameClock,
    FrameSensor,
    draw_clock,
    gather,
)

MS = 1_000_000


def steady(t_ns):
    return np.ones(np.shape(t_ns))


def ramp(rows=5):
    """Pictures whose radiance is the time in ms."""
    times = np.array([0, 10 * MS, 40 * MS], np.int64)
    pictures = np.repeat(times / MS, rows).reshape(3, rows, 1).astype(np.float32)
    return times, pictures


def test_a_global_shutter_sees_the_middle_of_the_exposure_in_all_rows():
    camera = FrameSensor(exposure_ns=6 * MS)
    times, pictures = ramp()
    seen = gather(camera, 4 * MS, times, pictures, steady)
    np.testing.assert_allclose(seen, 7, rtol=1e-5)


def test_a_rolling_shutter_sees_each_row_later_than_the_one_above():
    camera = FrameSensor(exposure_ns=6 * MS, readout_ns=20 * MS)
    times, pictures = ramp()
    seen = gather(camera, 4 * MS, times, pictures, steady)
    np.testing.assert_allclose(seen[:, 0], [7, 12, 17, 22, 27], rtol=1e-5)


def test_flicker_is_bands_under_a_rolling_shutter_only():
    def flicker(t_ns):
        return 1 + 0.5 * np.sin(2 * np.pi * 100 * t_ns * 1e-9)

    times, still = np.array([0, 60 * MS], np.int64), np.full((2, 200, 1), 3, np.float32)
    short = FrameSensor(exposure_ns=1 * MS, readout_ns=20 * MS)
    seen = gather(short, 10 * MS, times, still, flicker)[:, 0]
    # Two periods of 10 ms in the read-out: two bright and two dark bands.
    signs = np.sign(seen - 3)
    assert (np.diff(signs[signs != 0]) != 0).sum() in (3, 4)
    assert np.ptp(seen) == pytest.approx(3, rel=0.05)
    whole = FrameSensor(exposure_ns=10 * MS, readout_ns=20 * MS)
    assert np.ptp(gather(whole, 10 * MS, times, still, flicker)) < 0.02
    assert np.ptp(gather(FrameSensor(exposure_ns=MS), 10 * MS, times, still, flicker)) == 0


def test_a_clock_has_its_offset_drift_and_jitter():
    t_ns = np.arange(0, 1000 * 10**9, 10**9, dtype=np.int64)
    rng = np.random.default_rng(0)
    exact = FrameClock(offset_ns=-7 * MS, drift=2e-5).stamp(t_ns, rng)
    np.testing.assert_array_equal(exact, t_ns - 7 * MS + 20_000 * np.arange(1000))
    noisy = FrameClock(offset_ns=-7 * MS, drift=2e-5, jitter_ns=0.5 * MS).stamp(t_ns, rng) - exact
    assert noisy.mean() == pytest.approx(0, abs=4 * 0.5 * MS / np.sqrt(1000))
    assert noisy.std() == pytest.approx(0.5 * MS, rel=0.1)
    np.testing.assert_array_equal(FrameClock().stamp(t_ns, rng), t_ns)


def test_clocks_are_drawn_within_what_is_promised():
    clocks = [draw_clock(np.random.default_rng(seed)) for seed in range(50)]
    assert max(abs(clock.offset_ns) for clock in clocks) <= 30 * MS
    assert max(abs(clock.drift) for clock in clocks) <= 50e-6
    assert all(0.1 * MS <= clock.jitter_ns <= MS for clock in clocks)
    assert len({clock.offset_ns for clock in clocks}) == 50
