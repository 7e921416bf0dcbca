"""A model of a frame camera: exposure, shot and read noise, gain and gamma."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FrameSensor:
    """A camera whose automatic exposure has settled.

    Attributes:
        rate_hz: frames per second.
        exposure_ns: how long the shutter is open.
        white_lux: radiance that the frame shows as white.
        full_well: electrons of a white pixel; less light, fewer electrons, more noise.
        read_noise: standard deviation of the read-out, electrons.
    """

    rate_hz: float = 30.0
    exposure_ns: int = 8_000_000
    white_lux: float = 200.0
    full_well: float = 8000.0
    read_noise: float = 4.0


def settle(radiance: NDArray[np.float32]) -> FrameSensor:
    """Return a camera exposed for a scene, float32 [H, W], lux.

    The brightest hundredth of the picture's middle comes to 0.8 of white. Dim scenes get long
    exposures first, up to 30 ms, and then gain, which leaves fewer electrons for white.
    """
    height, width = radiance.shape
    middle = radiance[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    white = max(float(np.quantile(middle, 0.99)) / 0.8, 1e-3)
    # 100 lux at 8 ms fill the well of a typical lens and sensor.
    wanted_ns = 8e6 * 100 / white
    exposure_ns = int(np.clip(wanted_ns, 1e6, 30e6))
    full_well = 8000.0 * min(exposure_ns / wanted_ns, 1.0)
    return FrameSensor(exposure_ns=exposure_ns, white_lux=white, full_well=max(full_well, 60.0))


def expose(
    sensor: FrameSensor, radiance: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Take a frame.

    Args:
        sensor: The camera.
        radiance: float32 [...], mean over the exposure, lux.
        rng: Draws the noise.

    Returns:
        uint8 [...], gamma-encoded sRGB luma.
    """
    electrons = np.maximum(radiance / sensor.white_lux, 0) * sensor.full_well
    # Normal instead of Poisson: the same to the eye above ten electrons, and much faster.
    noise = rng.standard_normal(radiance.shape, np.float32)
    noisy = electrons + noise * np.sqrt(electrons + sensor.read_noise**2)
    return encode(np.asarray(noisy / sensor.full_well, np.float32))


def encode(linear: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Encode linear light, 1 for white, by the sRGB curve (IEC 61966-2-1) to uint8."""
    x = np.clip(linear, 0, 1)
    curve = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    return np.asarray(curve * 255 + 0.5, np.uint8)
