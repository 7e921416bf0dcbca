"""The frame camera in front of a scene: what it takes of a take, and when it says it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.synthesis.sensors import frame_sensor
from microexpr_ros.synthesis.sensors.frame_sensor import FrameClock, FrameSensor
from microexpr_ros.synthesis.world import shift
from microexpr_ros.synthesis.world.motion import Motion
from microexpr_ros.synthesis.world.scene import Scene

# Rendered in one exposure: the straight line between two is true to a fraction of a pixel.
_MOMENTS: Final = 4


@dataclass(frozen=True, slots=True)
class Frames:
    """What the frame camera took.

    Attributes:
        camera: The camera.
        clock: What it stamps with.
        open_ns: int64 [F], begin of the first row's exposure.
        close_ns: int64 [F], end of the last row's exposure.
        stamp_ns: int64 [F], middle of the exposure by the camera's clock.
        pixels: uint8 [F, height, width, 3], sRGB.
    """

    camera: FrameSensor
    clock: FrameClock
    open_ns: NDArray[np.int64]
    close_ns: NDArray[np.int64]
    stamp_ns: NDArray[np.int64]
    pixels: NDArray[np.uint8]


def shoot(
    view: Scene,
    course: Motion,
    camera: FrameSensor,
    clock: FrameClock,
    rng: np.random.Generator,
) -> Frames:
    """Take the frames of a take whose exposures are wholly inside it.

    Args:
        view: Person, light and view.
        course: What moves.
        camera: The frame camera.
        clock: What it counts its period with, and stamps with.
        rng: Draws its phase and noise, and the jitter of the stamps.
    """
    period_ns = 1e9 / camera.rate_hz / (1 + clock.drift)
    lasts_ns = camera.exposure_ns + camera.readout_ns
    first_ns = rng.uniform(0, period_ns)
    open_ns = np.arange(first_ns, course.duration_ns - lasts_ns, period_ns).astype(np.int64)
    pixels = np.empty((len(open_ns), view.camera.height, view.camera.width, 3), np.uint8)
    for k, begin in enumerate(open_ns.tolist()):
        moments = np.linspace(begin, begin + lasts_ns, _MOMENTS).astype(np.int64)
        channels, pose = course.channels(moments), course.pose(moments)
        moves = course.shift(moments)
        pictures = np.stack(
            [
                shift.still(view, t).radiance(channels[n], pose[n], moves[n], colour=True)
                for n, t in enumerate(moments.tolist())
            ]
        )
        mean = frame_sensor.gather(camera, begin, moments, pictures, view.light.gain)
        pixels[k] = frame_sensor.expose(camera, mean, rng)
    stamps = clock.stamp(open_ns + lasts_ns // 2, rng)
    return Frames(camera, clock, open_ns, open_ns + lasts_ns, stamps, pixels)
