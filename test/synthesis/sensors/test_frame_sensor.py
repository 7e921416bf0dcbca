import numpy as np
import pytest

from microexpr_ros.synthesis.sensors.frame_sensor import FrameSensor, encode, expose, settle


def test_the_curve_is_srgb():
    # IEC 61966-2-1: 0.21586 linear is 128 / 255, 0.0031308 is 0.04045.
    values = np.array([-1, 0, 0.0031308, 0.21586, 1, 2], np.float32)
    np.testing.assert_array_equal(encode(values), [0, 0, 10, 128, 255, 255])


def test_noise_grows_as_shot_noise_does():
    rng = np.random.default_rng(0)
    camera = FrameSensor(white_lux=100.0, full_well=400.0, read_noise=0.0)
    half = expose(camera, np.full((200, 200), 50.0, np.float32), rng)
    slope = 1.055 / 2.4 * 0.5 ** (1 / 2.4 - 1) * 255
    expected = np.sqrt(0.5 * 400) / 400 * slope
    assert half.mean() == pytest.approx(188, abs=1)
    assert half.std() == pytest.approx(expected, rel=0.05)


def test_exposure_settles_on_bright_and_on_dark():
    bright = settle(np.full((32, 32), 500.0, np.float32))
    dark = settle(np.full((32, 32), 0.5, np.float32))
    assert bright.exposure_ns < 3_000_000
    assert dark.exposure_ns == 30_000_000
    assert dark.full_well < bright.full_well
    for camera, lux in ((bright, 500.0), (dark, 0.5)):
        assert lux / camera.white_lux == pytest.approx(0.8)
