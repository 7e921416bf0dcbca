"""Exposure, shutter, noise and clock of the frame camera."""

import numpy as np
import pytest

from microexpr_ros import srgb
from microexpr_ros.synthesis.sensors.frame_camera import (
    WEBCAM,
    FrameCamera,
    FrameClock,
    Metering,
    auto_expose,
    average,
    compress,
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


def test_the_photon_budget_is_that_of_a_calculation_by_hand():
    # 0.0135 umol / (m^2 s lux) of 6.022e23 photons a mole, on 9 um^2 behind f/2 and a lens that
    # passes 90 %; 60 % of those in the pixel count, and two fifths pass its colour filter.
    photons = 0.0135e-6 * 6.022e23 * 9e-12 * 0.9 / 16
    assert WEBCAM.electrons_per_lux_s == pytest.approx(photons * 0.6 * 0.4, rel=0.01)
    # A face of 4 lux: 4 x 984 x 0.033 = 130 electrons.
    camera = WEBCAM.expose_for(4.0)
    assert camera.exposure_ns == 33 * MS
    assert camera.full_well == pytest.approx(130, abs=1)


@pytest.mark.parametrize(
    ('lux', 'expected_snr'),
    # Of 40 % of white, in electrons: 1300 / sqrt(1300 + 2.5^2), 130 / ..., 13 / ...
    [(100.0, 36.0), (10.0, 11.1), (1.0, 3.0)],
)
def test_dim_light_has_the_signal_to_noise_ratio_of_its_electrons(lux, expected_snr):
    camera = WEBCAM.expose_for(lux)
    assert camera.exposure_ns == 33 * MS
    rng = np.random.default_rng(0)
    seen = expose(camera, np.full((300, 300), 0.4 * lux, np.float32), rng)
    linear = srgb.decode(seen / 255)
    assert linear.mean() == pytest.approx(0.4, rel=0.03)
    assert linear.mean() / linear.std() == pytest.approx(expected_snr, rel=0.05)


def test_bright_light_fills_the_well_in_a_shorter_exposure():
    camera = WEBCAM.expose_for(1000.0)
    # 10,000 electrons at 984 x 1000 a second.
    assert camera.exposure_ns == pytest.approx(10.16 * MS, rel=0.01)
    assert camera.full_well == pytest.approx(10_000)
    sunlit = WEBCAM.expose_for(1e6)
    assert sunlit.exposure_ns == WEBCAM.shortest_ns
    assert sunlit.full_well == 10_000


def test_automatic_exposure_converges_on_bright_and_on_dark():
    bright = auto_expose(np.full((32, 32), 500.0, np.float32))
    dark = auto_expose(np.full((32, 32), 0.5, np.float32))
    assert bright.exposure_ns < 4_000_000
    assert dark.exposure_ns == 33_000_000
    assert dark.full_well < bright.full_well
    for camera, lux in ((bright, 500.0), (dark, 0.5)):
        assert lux / camera.white_lux == pytest.approx(0.18, rel=1e-3)


def test_the_whole_frame_is_metered_so_a_window_darkens_the_face():
    face = np.full((20, 20), 50.0, np.float32)
    even = Metering(0.1, np.full(7, 50.0, np.float32)).settle(face)
    window = Metering(0.1, np.full(7, 500.0, np.float32)).settle(face)
    alone = Metering().settle(face)
    assert even == pytest.approx(alone) == pytest.approx(50 / 0.18)
    assert window == pytest.approx((0.1 * 50 + 0.9 * 500) / 0.18)
    # A lamp in the picture is white, however bright: it counts for no more than that.
    lamp = Metering(0.95, np.full(1, 1e6, np.float32)).settle(face)
    assert lamp == pytest.approx(0.95 * 50 / (0.18 - 0.05), rel=1e-3)
    assert Metering(0.95, np.full(1, 1e6, np.float32)).measure(face, lamp) == pytest.approx(0.18)


def test_mjpeg_keeps_the_picture_and_loses_fine_contrast_and_colour():
    rng = np.random.default_rng(0)
    smooth = np.tile(np.linspace(40, 200, 64).astype(np.uint8), (64, 1))
    assert np.abs(compress(smooth, 80).astype(int) - smooth).max() <= 3
    grain = (smooth + rng.integers(-8, 9, smooth.shape)).astype(np.uint8)
    lost = compress(grain, 80).astype(float)
    assert 0.2 < (lost - smooth).std() / (grain - smooth.astype(float)).std() < 0.98
    # Red and blue columns of equal luma: 4:2:0 averages their colour over two columns.
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (200, 60, 60), (60, 90, 240)
    seen = compress(stripes, 80).astype(int)
    assert np.abs(seen[:, ::2, 0] - seen[:, 1::2, 0]).mean() < 70
    plain = compress(np.full((16, 16, 3), (200, 60, 30), np.uint8), 80)
    np.testing.assert_allclose(plain[8, 8], (200, 60, 30), atol=4)


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
