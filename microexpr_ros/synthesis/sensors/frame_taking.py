"""Taking frames: a frame camera looks at a scene in which something moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.synthesis.sensors.automatic_exposure import AutomaticExposure
from microexpr_ros.synthesis.sensors.frame_camera import (
    GAIN_MOMENTS,
    FrameCamera,
    FrameClock,
    compress,
    expose,
    exposure_times,
    gather,
)
from microexpr_ros.synthesis.world.light import Light
from microexpr_ros.synthesis.world.motion import Motion
from microexpr_ros.synthesis.world.scene import Scene
from microexpr_ros.synthesis.world.timing import render_times

_STEP_PX: Final = 1.0
"""Farthest that anything moves between two moments of an exposure that are rendered, px."""

_MOST_MOMENTS: Final = 10
"""More are not rendered, however fast something moves: it is blurred over many pixels."""


@dataclass(frozen=True, slots=True)
class TakenFrames:
    """The frames of a take.

    Attributes:
        camera: The camera as it took the first frame.
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


def take_frames(
    scene: Scene,
    motion: Motion,
    camera: FrameCamera,
    clock: FrameClock,
    rng: np.random.Generator,
    exposure: AutomaticExposure | None = None,
) -> TakenFrames:
    """Take the frames of a take whose exposures are wholly inside it, in colour.

    Args:
        scene: Person, light and camera.
        motion: What moves.
        camera: The frame camera.
        clock: What it counts its period with, and stamps with.
        rng: Random numbers, for its phase and noise, and the jitter of the stamps.
        exposure: What changes the camera from frame to frame, and compresses the frames; None for
            a camera that stays as it is. Exposures end at equal intervals then.
    """
    period_ns = 1e9 / camera.rate_hz / (1 + clock.drift)
    lasts_ns = camera.exposure_ns + camera.readout_ns
    longest_ns = lasts_ns
    if exposure is not None:
        longest_ns = exposure.sensor.longest_ns + camera.readout_ns
    first_ns = rng.uniform(0, period_ns) + longest_ns
    close_ns = np.arange(first_ns, motion.duration_ns, period_ns).astype(np.int64)
    open_ns = np.empty_like(close_ns)
    pixels = np.empty((len(close_ns), scene.camera.height, scene.camera.width, 3), np.uint8)
    first = camera
    for k, end in enumerate(close_ns.tolist()):
        if exposure is not None:
            camera = exposure.camera
        begin = open_ns[k] = end - camera.exposure_ns - camera.readout_ns
        moments = _find_moments(scene, motion, int(begin), end)
        pictures = np.stack(
            [scene.radiance(instant, colour=True) for instant in motion.instants(moments)]
        )
        mean = gather(camera, int(begin), moments, pictures, scene.light)
        pixels[k] = expose(camera, mean, rng)
        if exposure is not None:
            pixels[k] = compress(pixels[k], exposure.sensor.jpeg_quality)
            exposure = exposure.follow(mean)
    stamps = clock.stamp((open_ns + close_ns) // 2, rng)
    return TakenFrames(first, clock, open_ns, close_ns, stamps, pixels)


def _find_moments(scene: Scene, motion: Motion, begin: int, end: int) -> NDArray[np.int64]:
    """Return moments of an exposure, int64 ns, between which the picture runs in a line."""
    # Lamps move slowly, and the flicker of light is added to what each row sees.
    times = render_times(scene, motion, begin, end, _STEP_PX, with_light=False)
    if len(times) <= _MOST_MOMENTS:
        return times
    return np.linspace(begin, end, _MOST_MOMENTS).astype(np.int64)


class RegionFrames:
    """Takes frames of a film whose samples come one after the other.

    Args:
        exposure: Of the camera, as it takes the first frame.
        light: Of the scene; its flicker is added.
        rng: Random numbers, for the phase of the frames and the noise.

    Attributes:
        frames: uint8 [height, width], sRGB luma, of those that are complete.
        close_ns: When the last row's exposure of each ended.
        white_lux: Radiance that each shows as white.
    """

    def __init__(
        self, exposure: AutomaticExposure, light: Light, rng: np.random.Generator
    ) -> None:
        self.frames: list[NDArray[np.uint8]] = []
        self.close_ns: list[int] = []
        self.white_lux: list[float] = []
        self._exposure = exposure
        self._light = light
        self._rng = rng
        self._period_ns = int(1e9 / exposure.sensor.rate_hz)
        # Frames and slices are not synchronized: the phase between them is random.
        self._next_ns = self._lasts_ns(exposure.camera) + int(rng.integers(self._period_ns))
        self._samples: list[tuple[int, NDArray[np.float32]]] = []

    def see(self, t_ns: int, picture: NDArray[np.float32]) -> None:
        """Take the next sample, float32 [height, width], lux, and the frames that it completes."""
        self._samples.append((t_ns, picture))
        while self._next_ns <= t_ns:
            self._take()
            self._next_ns += self._period_ns

    def _take(self) -> None:
        camera = self._exposure.camera
        open_ns = self._next_ns - self._lasts_ns(camera)
        times = np.array([t_ns for t_ns, _ in self._samples], np.int64)
        first = max(int(np.searchsorted(times, open_ns, 'right')) - 1, 0)
        pictures = np.stack([picture for _, picture in self._samples[first:]])
        mean = gather(camera, open_ns, times[first:], pictures, self._light)
        frame = expose(camera, mean, self._rng)
        self.frames.append(compress(frame, self._exposure.sensor.jpeg_quality))
        self.close_ns.append(self._next_ns)
        self.white_lux.append(camera.white_lux)
        moments = exposure_times(camera, open_ns, GAIN_MOMENTS)
        self._exposure = self._exposure.follow(mean, float(self._light.gain(moments).mean()))
        # What no later frame can see any more is let go.
        oldest_ns = self._next_ns - self._exposure.sensor.longest_ns - camera.readout_ns
        keep = max(int(np.searchsorted(times, oldest_ns, 'right')) - 1, 0)
        del self._samples[:keep]

    @staticmethod
    def _lasts_ns(camera: FrameCamera) -> int:
        return camera.exposure_ns + camera.readout_ns
