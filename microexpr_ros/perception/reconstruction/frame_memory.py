"""What the frames of one face say together, beyond the newest one.

A single frame has noise. Events carry each frame to the next, so frames can be averaged although
the face moves; and pairs of frames say for what change of light an event stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.perception.reconstruction.integration import (
    DELAYS,
    ContrastThresholds,
    encode,
    integrate,
    is_quiet,
    late_density,
    log_light,
    to_linear,
)
from microexpr_ros.perception.reconstruction.region_change import RegionChange

START_DEVIATION: Final = 0.02
"""Standard deviation of a frame's noise, of the range, before a second one shows it."""

BASELINE_SLICES: Final = 12
"""Least time between two frames that thresholds are measured from: over a longer one more changes,
while the noise of the frames stays the same."""

_QUIET_BLUR_CELLS: Final = 2.0

_LEAST_STEP: Final = 0.05
"""Change of the logarithm of the exposure that counts as one: cameras change it by more."""

_DRIFT: Final = 0.001
"""Standard deviation of what changes from frame to frame without events, of the range."""

_SURPRISE: Final = 1.5
"""Square of the difference between frame and average, over what noise explains, from which on the
average is wrong there."""

_SURPRISE_CELLS: Final = 2.0
_NOISE_KEPT: Final = 0.8
_LEAST_VARIANCE: Final = 1e-6

_TO_SIGMA: Final = 1.4826
"""Standard deviation of a normal distribution over the median of its magnitudes."""


@dataclass(frozen=True, slots=True)
class FrameAverage:
    """The frames so far, averaged: each was carried to the next by the events between them.

    Where the average and the next frame differ by more than noise, the frame counts for more: a
    Kalman filter of each pixel, whose uncertainty grows where it is surprised.

    Attributes:
        picture: float32 [grid, grid], gamma-encoded, 0 to 1, when the newest frame was taken and
            in its exposure.
        deviation: float32 [grid, grid], standard deviation of its error, as far as noise goes.
        noise: variance of a single frame; None before the second.
    """

    picture: NDArray[np.float32]
    deviation: NDArray[np.float32]
    noise: float | None = None

    @classmethod
    def start(cls, frame: NDArray[np.uint8]) -> FrameAverage:
        """Return the average of one frame, uint8 [grid, grid]."""
        picture = frame.astype(np.float32) / np.float32(255)
        return cls(picture, np.full_like(picture, START_DEVIATION))

    def add(self, frame: NDArray[np.uint8], log_change: NDArray[np.float32]) -> FrameAverage:
        """Return the average after one more frame.

        Args:
            frame: uint8 [grid, grid], gamma-encoded grey.
            log_change: float32 [grid, grid], of the logarithm of light, by the events between
                what the newest frame shows and what this one shows.
        """
        changed = cv2.GaussianBlur(np.abs(log_change), (0, 0), _QUIET_BLUR_CELLS)
        quiet = is_quiet(np.asarray(changed, np.float32))
        carried = integrate(self.picture, log_change)
        light = to_linear(carried)
        steps = log_light(to_linear(frame[quiet])) - log_light(light[quiet])
        step = float(np.median(steps))
        if abs(step) > _LEAST_STEP:
            carried = encode(light * np.float32(math.exp(step)))
        difference = frame.astype(np.float32) / np.float32(255) - carried
        seen = (_TO_SIGMA * float(np.median(np.abs(difference[quiet])))) ** 2
        if self.noise is None:
            # The difference of two frames has the noise of both.
            noise = max(seen / 2, _LEAST_VARIANCE)
            variance = np.full_like(carried, noise)
        else:
            variance = np.square(self.deviation)
            now = max(seen - float(np.median(variance[quiet])), _LEAST_VARIANCE)
            noise = _NOISE_KEPT * self.noise + (1 - _NOISE_KEPT) * now
        variance += np.float32(_DRIFT**2)
        around = cv2.GaussianBlur(np.square(difference), (0, 0), _SURPRISE_CELLS)
        variance += np.maximum(around - _SURPRISE * (variance + np.float32(noise)), 0)
        share = variance / (variance + np.float32(noise))
        return FrameAverage(
            carried + share * difference, np.sqrt((1 - share) * variance), float(noise)
        )

    def follow(self, change: RegionChange) -> FrameAverage:
        """Return the same as another region shows it."""
        layers = np.dstack([self.picture, self.deviation])
        moved = change.move_picture(layers, again=True).clip(0, 1)
        picture, deviation = np.ascontiguousarray(np.moveaxis(moved, -1, 0))
        return FrameAverage(picture, deviation, self.noise)


@dataclass(frozen=True, slots=True)
class FrameMemory:
    """What is remembered of the frames of one face; densities are events per sensor pixel.

    Attributes:
        average: of the frames, when the newest was taken.
        thresholds: of the event sensor, and the delay of the frames.
        late: float32 [2, grid, grid], OFF then ON: events that the newest frame does not show
            although they came before it was complete.
        first: the earlier frame of the next pair to measure thresholds from, uint8 [grid, grid].
        first_late: for each of DELAYS, `late` of that frame.
        since_first: float32 [2, grid, grid], events after that frame was complete.
        since_slices: how many slices that is.
    """

    average: FrameAverage
    thresholds: ContrastThresholds
    late: NDArray[np.float32]
    first: NDArray[np.uint8]
    first_late: tuple[NDArray[np.float32], ...]
    since_first: NDArray[np.float32]
    since_slices: int = 0

    @classmethod
    def start(
        cls,
        frame: NDArray[np.uint8],
        recent: Sequence[NDArray[np.float32]],
        thresholds: ContrastThresholds,
    ) -> FrameMemory:
        """Return what one frame tells.

        Args:
            frame: uint8 [grid, grid], gamma-encoded grey.
            recent: float32 [2, grid, grid], events of each of the last slices, up to the one in
                which the frame was complete.
            thresholds: known from before.
        """
        return cls(
            FrameAverage.start(frame),
            thresholds,
            late_density(recent, thresholds.delay),
            frame,
            tuple(late_density(recent, delay) for delay in DELAYS),
            np.zeros_like(recent[-1]),
        )

    def add(
        self,
        frame: NDArray[np.uint8],
        recent: Sequence[NDArray[np.float32]],
        density: NDArray[np.float32],
        slices: int,
    ) -> FrameMemory:
        """Return what is remembered after one more frame.

        Args:
            frame: uint8 [grid, grid], gamma-encoded grey.
            recent: as of `start`.
            density: float32 [2, grid, grid], events from when the newest frame was complete until
                this one was.
            slices: how many slices that is.
        """
        memory = replace(
            self,
            since_first=self.since_first + density,
            since_slices=self.since_slices + slices,
        )
        if memory.since_slices >= BASELINE_SLICES:
            lates = tuple(late_density(recent, delay) for delay in DELAYS)
            densities = [
                memory.since_first + before - after
                for before, after in zip(memory.first_late, lates, strict=True)
            ]
            memory = replace(
                memory,
                thresholds=memory.thresholds.fit(memory.first, frame, densities),
                first=frame,
                first_late=lates,
                since_first=np.zeros_like(density),
                since_slices=0,
            )
        late = late_density(recent, memory.thresholds.delay)
        change = memory.thresholds.log_change(density + self.late - late)
        return replace(memory, average=self.average.add(frame, change), late=late)

    def follow(self, change: RegionChange) -> FrameMemory:
        """Return the same as another region shows it."""
        move = change.move_events
        return replace(
            self,
            average=self.average.follow(change),
            late=move(self.late),
            first=change.move_picture(self.first),
            first_late=tuple(map(move, self.first_late)),
            since_first=move(self.since_first),
        )
