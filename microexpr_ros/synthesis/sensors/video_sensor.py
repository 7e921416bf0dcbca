"""An event sensor that looks at a video: frames in, events out.

A frame's brightness is linear light again (the inverse of the sRGB curve). From frame to frame its
logarithm runs in a straight line in each pixel, and an event has the time at which that line
crosses the threshold. The pixels are those of `event_sensor`, without low-pass and refractory
period, which are shorter than the time between frames. They have its noise: a camera that sends
nothing counts as dead, also in front of a still picture.

What a video does not contain, no conversion brings back: see LIMITS.

Source: Rebecq et al., ESIM: an Open Event Camera Simulator, CoRL 2018; Hu et al., v2e: From Video
Frames to Realistic DVS Events, CVPRW 2021.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros import srgb
from microexpr_ros.events.events import Events, Frame
from microexpr_ros.synthesis.sensors import event_sensor
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS, SensorState

WIDTH: Final = 640
HEIGHT: Final = 480
"""Largest picture that is turned into events; larger ones are scaled down."""

MAX_GAP_NS: Final = 400_000_000
"""Frames that are farther apart have nothing in common: the pixels start anew. Slices do not wait
longer for a stream of events."""

LIMITS: Final = (
    'events are made from frames: times between two frames are interpolated, not measured in '
    'microseconds; motion during an exposure is blurred and makes fewer events; what is black or '
    'white in the frame makes none; changes of exposure make events everywhere'
)
"""What these events cannot show, for people."""

_WHITE_LUX: Final = 400.0
"""Decides how much noise there is: less where the picture is brighter."""

_KNEE: Final = 30
"""Value of a pixel below which the response is linear: there, steps of 1 and the noise of the
camera would be large changes of the logarithm."""


RADIANCE: Final = (srgb.decode(np.arange(256) / 255) * _WHITE_LUX).astype(np.float32)
"""Radiance of each value of a pixel, float32 [256], lux."""

PIXELS: Final = replace(
    SENSORS['vga'],
    width=WIDTH,
    height=HEIGHT,
    corner_hz=0.0,
    refractory_ns=0,
    hot_share=0.0,
    knee_lux=float(RADIANCE[_KNEE]),
    jitter_ns=0,
    row_hz=0.0,
)
"""The pixels that look at the video."""


class VideoSensor:
    """Turns frames into events, one frame after the other.

    Args:
        seed: decides on the mismatch between the pixels, and their noise.

    Attributes:
        gaps: how often frames were too far apart.
    """

    def __init__(self, seed: int = 0) -> None:
        self.gaps = 0
        self._rng = np.random.default_rng([seed, 0x71DE])
        self._response = event_sensor.respond(RADIANCE[np.newaxis], PIXELS.knee_lux)[0]
        self._state: SensorState | None = None

    def restart(self) -> None:
        """Forget what was seen: the next frame does not follow on the one before."""
        self._state = None

    def see(self, frame: Frame) -> Events:
        """Return the events from the frame before to this one.

        There are none of the first frame, after a gap, nor where the time steps back or the size
        changes. A second frame of the same time is ignored.

        Args:
            frame: its pixels are gamma-encoded as usual.
        """
        grey = to_grey(frame.pixels)
        state = self._state
        if state is not None and frame.t == state.t_ns:
            return Events.empty()
        continues = state is not None and state.last.shape == grey.shape
        if state is None or not continues or not 0 < frame.t - state.t_ns <= MAX_GAP_NS:
            self.gaps += int(continues)
            self._state = event_sensor.start(PIXELS, RADIANCE[grey], frame.t, self._rng)
            return Events.empty()
        events, self._state = event_sensor.step_response(
            PIXELS, state, self._response[grey], frame.t
        )
        return events


def warm_up() -> None:
    """Compile what `VideoSensor` needs, or load it, so that no frame has to wait for it."""
    sensor = VideoSensor()
    for t_ns in (0, 1000):
        sensor.see(Frame(t_ns, np.zeros((1, 1), np.uint8)))


def to_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma, uint8 [height, width], of grey or RGB pixels."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
    return np.asarray(grey, np.uint8)


def fit(pixels: NDArray[np.uint8], size: tuple[int, int] = (WIDTH, HEIGHT)) -> NDArray[np.uint8]:
    """Return a picture scaled down to fit into a size, in its own proportions; never scaled up.

    Args:
        pixels: uint8 [height, width] or [height, width, 3].
        size: Most columns and rows.

    Example:
        >>> fit(np.zeros((1080, 1920, 3), np.uint8)).shape
        (360, 640, 3)
    """
    height, width = pixels.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    if scale >= 1:
        return pixels
    new_size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.asarray(cv2.resize(pixels, new_size, interpolation=cv2.INTER_AREA), np.uint8)
