"""A model of a frame camera: shutter, shot and read noise, gain, gamma, and its own clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

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
        readout_ns: from the exposure of the first row to that of the last: a rolling shutter;
            0 for a global one.
    """

    rate_hz: float = 30.0
    exposure_ns: int = 8_000_000
    white_lux: float = 200.0
    full_well: float = 8000.0
    read_noise: float = 4.0
    readout_ns: int = 0


@dataclass(frozen=True, slots=True)
class FrameClock:
    """The clock that a frame camera stamps its frames with.

    Attributes:
        offset_ns: what it shows at time 0.
        drift: how much faster than true time it runs, seconds per second.
        jitter_ns: standard deviation of a stamp.
    """

    offset_ns: int = 0
    drift: float = 0.0
    jitter_ns: float = 0.0

    def stamp(self, t_ns: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the stamps, int64 [N], that the clock gives at true times t_ns."""
        error = self.drift * t_ns + self.jitter_ns * rng.standard_normal(len(t_ns))
        return t_ns + self.offset_ns + np.round(error).astype(np.int64)


def draw_clock(rng: np.random.Generator) -> FrameClock:
    """Draw a clock as cameras on USB have: 30 ms, 50 ppm and a millisecond at most."""
    return FrameClock(
        int(rng.uniform(-30e6, 30e6)),
        float(rng.uniform(-5e-5, 5e-5)),
        float(rng.uniform(1e5, 1e6)),
    )


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


_MOMENTS: Final = 64
"""Of an exposure, at which the light's flicker is looked at."""


def gather(
    sensor: FrameSensor,
    open_ns: int,
    t_ns: NDArray[np.int64],
    pictures: NDArray[np.float32],
    gain: Callable[[NDArray[np.int64]], NDArray[np.float64]],
) -> NDArray[np.float32]:
    """Return what each row sees while it is exposed, its mean over the exposure.

    Args:
        sensor: The camera.
        open_ns: When the first row's exposure begins.
        t_ns: int64 [N], increasing, times of the pictures; two at least. Between them the
            radiance runs in a straight line.
        pictures: float32 [N, rows, ...], radiance in steady light.
        gain: Returns the light's factor on all radiance at given times.

    Returns:
        float32 [rows, ...].
    """
    rows = pictures.shape[1]
    begin = open_ns + np.linspace(0, sensor.readout_ns, rows)
    moments = begin[:, None] + (np.arange(_MOMENTS) + 0.5) / _MOMENTS * sensor.exposure_ns
    after = np.clip(np.searchsorted(t_ns, moments), 1, len(t_ns) - 1)
    span = t_ns[after] - t_ns[after - 1]
    share = np.clip((moments - t_ns[after - 1]) / span, 0, 1)
    light = gain(moments.astype(np.int64)) / _MOMENTS
    weight = np.zeros((rows, len(t_ns)))
    row = np.arange(rows)[:, None]
    np.add.at(weight, (row, after - 1), light * (1 - share))
    np.add.at(weight, (row, after), light * share)
    mean = np.einsum('rn,nr...->r...', weight.astype(np.float32), pictures)
    return np.asarray(mean, np.float32)


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
