"""Exposure that hunts, and the frames that a region gets of it."""

import numpy as np
import pytest

from microexpr_ros import srgb
from microexpr_ros.synthesis.sensors.automatic_exposure import (
    STEP_EV,
    TOLERANCE_EV,
    AutomaticExposure,
    start_exposure,
)
from microexpr_ros.synthesis.sensors.frame_camera import WEBCAM, Metering
from microexpr_ros.synthesis.sensors.frame_taking import RegionFrames
from microexpr_ros.synthesis.world.light import Light

MS = 1_000_000
STEADY = Light('bright', (), 100.0)


def follow(white_lux, levels):
    """Return the EV of white of each frame, against what a level of 1 lux settles at."""
    exposure = AutomaticExposure(WEBCAM, Metering(), 0, (white_lux, white_lux))
    found = []
    for level in levels:
        found.append(float(np.log2(exposure.white_lux[0] * 0.18)))
        exposure = exposure.follow(np.full((4, 4), level, np.float32))
    return np.array(found)


def test_a_small_error_is_let_be():
    assert np.ptp(follow(1 / 0.18 * 2 ** (0.9 * TOLERANCE_EV), [1.0] * 20)) == 0


def test_a_change_is_followed_late_in_steps_and_overshoots():
    found = follow(1 / 0.18, [4.0] * 30)
    # Two frames with the exposure of before, as the control sees its effect late.
    np.testing.assert_allclose(found[:2], 0, atol=1e-9)
    assert found[2] > 0.5
    assert found.max() > 2 + STEP_EV
    assert found[-1] == pytest.approx(2, abs=TOLERANCE_EV + 1e-6)
    steps = np.diff(found) / STEP_EV
    np.testing.assert_allclose(steps, steps.round(), atol=1e-6)


def test_most_exposures_begin_settled_and_some_do_not():
    picture = np.full((8, 8), 30.0, np.float32)
    rng = np.random.default_rng(0)
    off = np.array([start_exposure(picture, rng).white_lux[0] for _ in range(400)])
    errors = np.abs(np.log2(off * 0.18 / 30))
    assert errors.max() <= 1
    assert 0.08 < (errors > TOLERANCE_EV).mean() < 0.25


def take(exposure, light, moving=False, rows=64, seed=0):
    camera = RegionFrames(exposure, light, np.random.default_rng(seed))
    columns = np.arange(64)
    for t_ns in range(0, 1_000_000_001, 5 * MS):
        edge = 10 + (40 * t_ns * 1e-9 if moving else 0)
        row = 60 + 100 * np.clip(columns - edge, 0, 1)
        camera.see(t_ns, np.tile(row.astype(np.float32), (rows, 1)))
    return camera


def fixed(white_lux, readout_ns=0):
    # Metered on itself, this white is settled.
    around = Metering(1e-9, np.full(1, 0.18 * white_lux, np.float32))
    return AutomaticExposure(WEBCAM, around, readout_ns, (white_lux, white_lux))


def test_frames_come_at_their_rate_once_their_exposure_is_over():
    taken = take(fixed(400.0), STEADY)
    assert len(taken.frames) in (29, 30)
    assert set(np.diff(taken.close_ns)) == {33_333_333}
    assert taken.close_ns[0] >= fixed(400.0).camera.exposure_ns
    assert {frame.shape for frame in taken.frames} == {(64, 64)}
    assert taken.white_lux == pytest.approx([400.0] * len(taken.frames))


def test_what_moves_is_blurred_over_the_exposure():
    still, moving = (take(fixed(400.0), STEADY, moving) for moving in (False, True))

    def width(frame):
        linear = srgb.decode(frame.mean(axis=0) / 255) * 400
        return ((linear > 70) & (linear < 150)).sum()

    # 25 ms of exposure at 40 columns a second: a column more.
    assert fixed(400.0).camera.exposure_ns == pytest.approx(25.4 * MS, rel=0.01)
    assert np.mean([width(frame) for frame in moving.frames]) > 0.7 + np.mean(
        [width(frame) for frame in still.frames]
    )


def test_mains_light_makes_bands_that_move_under_a_rolling_shutter():
    flicker = Light('flicker', (), 100.0, flicker_hz=100.0, flicker_depth=0.3)

    def bands(readout_ns, white_lux):
        frames = take(fixed(white_lux, readout_ns), flicker).frames
        # The right half is even.
        return np.array([srgb.decode(f[:, 40:] / 255).mean(axis=1) for f in frames])

    rolling, still = bands(20 * MS, 1600.0), bands(0, 1600.0)
    # 6.4 ms of a period of 10: sinc(0.64) x 0.3 of the light, both ways.
    depth = 0.3 * np.sinc(0.64)
    assert np.ptp(rolling / rolling.mean(), axis=1).mean() == pytest.approx(2 * depth, rel=0.15)
    assert np.ptp(still, axis=1).mean() < 0.3 * np.ptp(rolling, axis=1).mean()
    # The frame rate is no divisor of 100 Hz, so the bands are elsewhere in the next frame.
    assert np.abs(rolling[1] - rolling[0]).max() > 0.5 * depth * rolling.mean()
