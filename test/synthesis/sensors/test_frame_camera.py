"""Exposure, shutter, noise and clock of the frame camera."""

import numpy as np
import pytest

from microexpr_ros.synthesis.sensors.frame_camera import (
    FrameCamera,
    FrameClock,
    auto_expose,
    average,
    encode,
    expose,
    exposure_times,
    gather,
    sample_clock,
)
from microexpr_ros.synthesis.world.light import Light

MS = 1_000_000


STEADY = Light('bright', (), 100.0)


def ramp(rows=5):
    """Pictures whose radiance is the time in ms."""
    times = np.array([0, 10 * MS, 40 * MS], np.int64)
    pictures = np.repeat(times / MS, rows).reshape(3, rows, 1).astype(np.float32)
    return times, pictures


def test_a_global_shutter_sees_the_middle_of_the_exposure_in_all_rows():
    camera = FrameCamera(exposure_ns=6 * MS)
    times, pictures = ramp()
    seen = gather(camera, 4 * MS, times, pictures, STEADY)
    np.testing.assert_allclose(seen, 7, rtol=1e-5)


def test_a_rolling_shutter_sees_each_row_later_than_the_one_above():
    camera = FrameCamera(exposure_ns=6 * MS, readout_ns=20 * MS)
    times, pictures = ramp()
    seen = gather(camera, 4 * MS, times, pictures, STEADY)
    np.testing.assert_allclose(seen[:, 0], [7, 12, 17, 22, 27], rtol=1e-5)


def test_flicker_is_bands_under_a_rolling_shutter_only():
    flicker = Light('flicker', (), 100.0, flicker_hz=100.0, flicker_depth=0.5)
    times, still = np.array([0, 60 * MS], np.int64), np.full((2, 200, 1), 3, np.float32)
    short = FrameCamera(exposure_ns=1 * MS, readout_ns=20 * MS)
    seen = gather(short, 10 * MS, times, still, flicker)[:, 0]
    # Two periods of 10 ms in the read-out: two bright and two dark bands.
    signs = np.sign(seen - 3)
    assert (np.diff(signs[signs != 0]) != 0).sum() in (3, 4)
    assert np.ptp(seen) == pytest.approx(3, rel=0.05)
    whole = FrameCamera(exposure_ns=10 * MS, readout_ns=20 * MS)
    assert np.ptp(gather(whole, 10 * MS, times, still, flicker)) < 0.02
    assert np.ptp(gather(FrameCamera(exposure_ns=MS), 10 * MS, times, still, flicker)) == 0


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
    clocks = [sample_clock(np.random.default_rng(seed)) for seed in range(50)]
    assert max(abs(clock.offset_ns) for clock in clocks) <= 30 * MS
    assert max(abs(clock.drift) for clock in clocks) <= 50e-6
    assert all(0.1 * MS <= clock.jitter_ns <= MS for clock in clocks)
    assert len({clock.offset_ns for clock in clocks}) == 50


def test_the_curve_is_srgb():
    # IEC 61966-2-1: 0.21586 linear is 128 / 255, 0.0031308 is 0.04045.
    values = np.array([-1, 0, 0.0031308, 0.21586, 1, 2], np.float32)
    np.testing.assert_array_equal(encode(values), [0, 0, 10, 128, 255, 255])


def test_noise_grows_as_shot_noise_does():
    rng = np.random.default_rng(0)
    camera = FrameCamera(white_lux=100.0, full_well=400.0, read_noise=0.0)
    half = expose(camera, np.full((200, 200), 50.0, np.float32), rng)
    slope = 1.055 / 2.4 * 0.5 ** (1 / 2.4 - 1) * 255
    expected = np.sqrt(0.5 * 400) / 400 * slope
    assert half.mean() == pytest.approx(188, abs=1)
    assert half.std() == pytest.approx(expected, rel=0.05)


def test_automatic_exposure_converges_on_bright_and_on_dark():
    bright = auto_expose(np.full((32, 32), 500.0, np.float32))
    dark = auto_expose(np.full((32, 32), 0.5, np.float32))
    assert bright.exposure_ns < 3_000_000
    assert dark.exposure_ns == 30_000_000
    assert dark.full_well < bright.full_well
    for camera, lux in ((bright, 500.0), (dark, 0.5)):
        assert lux / camera.white_lux == pytest.approx(0.8)


def test_a_global_shutter_sees_the_mean_of_its_exposure_in_the_mean_light():
    camera = FrameCamera(exposure_ns=6 * MS)
    np.testing.assert_array_equal(exposure_times(camera, 4 * MS, 3), [4 * MS, 7 * MS, 10 * MS])
    pictures = [np.full((2, 3), value, np.float32) for value in (10, 20, 60)]
    np.testing.assert_allclose(average(pictures, np.float64(1.5)), np.full((2, 3), 45))
    # The two ways to the mean agree where both are exact: a ramp under a steady light.
    times, ramped = ramp()
    between = [ramped[0] + t / 10 * (ramped[1] - ramped[0]) for t in (4, 7, 10)]
    seen = gather(camera, 4 * MS, times, ramped, STEADY)
    np.testing.assert_allclose(average(between, np.float64(1)), seen, rtol=1e-5)
