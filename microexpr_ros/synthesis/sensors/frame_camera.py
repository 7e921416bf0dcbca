"""A model of a frame camera: shutter, shot and read noise, gain, gamma, and its own clock.

Every frame goes the same way. `auto_expose` fixes the exposure on a scene; `gather` (for any
shutter) or `average` (for all rows at once) gives the mean radiance over an exposure; `expose`
makes the frame of it, with noise, by `encode`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros import srgb
from microexpr_ros.synthesis.world.light import Light
from microexpr_ros.synthesis.world.motion import Motion
from microexpr_ros.synthesis.world.scene import Scene

GAIN_MOMENTS: Final = 64
"""Moments of an exposure at which the light's flicker is evaluated."""

_RENDERED_MOMENTS: Final = 4
"""Moments of an exposure that are rendered: the straight line between two is true to a fraction of
a pixel."""


@dataclass(frozen=True, slots=True)
class FrameCamera:
    """A frame camera with a fixed exposure.

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


def sample_clock(rng: np.random.Generator) -> FrameClock:
    """Sample a clock as cameras on USB have: 30 ms, 50 ppm and a millisecond at most."""
    return FrameClock(
        int(rng.uniform(-30e6, 30e6)),
        float(rng.uniform(-5e-5, 5e-5)),
        float(rng.uniform(1e5, 1e6)),
    )


@dataclass(frozen=True, slots=True)
class TakenFrames:
    """The frames of a take.

    Attributes:
        camera: The camera.
        clock: The clock that it stamps with.
        open_ns: int64 [F], begin of the first row's exposure.
        close_ns: int64 [F], end of the last row's exposure.
        stamp_ns: int64 [F], middle of the exposure by the camera's clock.
        pixels: uint8 [F, height, width, 3], sRGB.
    """

    camera: FrameCamera
    clock: FrameClock
    open_ns: NDArray[np.int64]
    close_ns: NDArray[np.int64]
    stamp_ns: NDArray[np.int64]
    pixels: NDArray[np.uint8]


def auto_expose(radiance: NDArray[np.float32]) -> FrameCamera:
    """Return a camera whose automatic exposure has converged on a scene, float32 [H, W], lux.

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
    return FrameCamera(exposure_ns=exposure_ns, white_lux=white, full_well=max(full_well, 60.0))


def gather(
    camera: FrameCamera,
    open_ns: int,
    t_ns: NDArray[np.int64],
    pictures: NDArray[np.float32],
    light: Light,
) -> NDArray[np.float32]:
    """Return what each row sees while it is exposed, its mean over the exposure.

    Args:
        camera: The camera.
        open_ns: When the first row's exposure begins.
        t_ns: int64 [N], increasing, times of the pictures; two at least. Between them the
            radiance runs in a straight line.
        pictures: float32 [N, rows, ...], radiance without flicker.
        light: Its flicker is added.

    Returns:
        float32 [rows, ...].
    """
    rows = pictures.shape[1]
    begin = open_ns + np.linspace(0, camera.readout_ns, rows)
    moments = begin[:, None] + (np.arange(GAIN_MOMENTS) + 0.5) / GAIN_MOMENTS * camera.exposure_ns
    after = np.clip(np.searchsorted(t_ns, moments), 1, len(t_ns) - 1)
    span = t_ns[after] - t_ns[after - 1]
    share = np.clip((moments - t_ns[after - 1]) / span, 0, 1)
    gain = light.gain(moments.astype(np.int64)) / GAIN_MOMENTS
    weight = np.zeros((rows, len(t_ns)))
    row = np.arange(rows)[:, None]
    np.add.at(weight, (row, after - 1), gain * (1 - share))
    np.add.at(weight, (row, after), gain * share)
    mean = np.einsum('rn,nr...->r...', weight.astype(np.float32), pictures)
    return np.asarray(mean, np.float32)


def exposure_times(camera: FrameCamera, open_ns: int, count: int) -> NDArray[np.int64]:
    """Return moments of an exposure, int64 [count], from its begin to its end, evenly spaced."""
    return np.linspace(open_ns, open_ns + camera.exposure_ns, count).astype(np.int64)


def average(pictures: Sequence[NDArray[np.float32]], gain: np.floating) -> NDArray[np.float32]:
    """Return what a global shutter sees, the mean over the exposure.

    Args:
        pictures: float32 [rows, ...], radiance without flicker at moments of the exposure.
        gain: The mean factor of the light's flicker on all radiance.

    Returns:
        float32 [rows, ...].
    """
    mean = np.mean(pictures, axis=0)
    mean *= gain
    return np.asarray(mean, np.float32)


def expose(
    camera: FrameCamera, radiance: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return the frame that an exposure gives.

    Args:
        camera: The camera.
        radiance: float32 [...], mean over the exposure, lux.
        rng: Random numbers, for the noise.

    Returns:
        uint8 [...], gamma-encoded sRGB luma.
    """
    electrons = np.maximum(radiance / camera.white_lux, 0) * camera.full_well
    # Normal instead of Poisson: the same to the eye above ten electrons, and much faster.
    noise = rng.standard_normal(radiance.shape, np.float32)
    noisy = electrons + noise * np.sqrt(electrons + camera.read_noise**2)
    return encode(np.asarray(noisy / camera.full_well, np.float32))


def encode(linear: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Encode linear light, 1 for white, by the sRGB curve (IEC 61966-2-1) to uint8."""
    return np.asarray(srgb.encode(np.clip(linear, 0, 1)) * 255 + 0.5, np.uint8)


def take_frames(
    scene: Scene,
    motion: Motion,
    camera: FrameCamera,
    clock: FrameClock,
    rng: np.random.Generator,
) -> TakenFrames:
    """Take the frames of a take whose exposures are wholly inside it, in colour.

    Args:
        scene: Person, light and camera.
        motion: What moves.
        camera: The frame camera.
        clock: What it counts its period with, and stamps with.
        rng: Random numbers, for its phase and noise, and the jitter of the stamps.
    """
    period_ns = 1e9 / camera.rate_hz / (1 + clock.drift)
    lasts_ns = camera.exposure_ns + camera.readout_ns
    first_ns = rng.uniform(0, period_ns)
    open_ns = np.arange(first_ns, motion.duration_ns - lasts_ns, period_ns).astype(np.int64)
    pixels = np.empty((len(open_ns), scene.camera.height, scene.camera.width, 3), np.uint8)
    for k, begin in enumerate(open_ns.tolist()):
        moments = np.linspace(begin, begin + lasts_ns, _RENDERED_MOMENTS).astype(np.int64)
        pictures = np.stack(
            [scene.radiance(instant, colour=True) for instant in motion.instants(moments)]
        )
        mean = gather(camera, begin, moments, pictures, scene.light)
        pixels[k] = expose(camera, mean, rng)
    stamps = clock.stamp(open_ns + lasts_ns // 2, rng)
    return TakenFrames(camera, clock, open_ns, open_ns + lasts_ns, stamps, pixels)
