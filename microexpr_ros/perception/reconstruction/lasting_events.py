"""What a face that rests is known by: events that stay until others take their place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.kernel import FAINTEST
from microexpr_ros.perception.reconstruction.region_change import RegionChange

BLOCK: Final = 4
"""Cells along a side of a block, in which activity is measured."""

FORGET: Final = 0.7
"""An event per pixel leaves exp(-FORGET) of what was there before."""

ACTIVITY_S: Final = 0.05
"""Time constant of the activity: single events of noise are none."""

NOISE_S: Final = 0.3
"""Time constant of the averages that noise is estimated from."""

NOISE_BLOCK: Final = 16
"""Cells along a side of what they are averages of."""

NOISE_SLICES: Final = 10
"""After so many slices, the noise is estimated again."""

NOISE_QUANTILE: Final = 0.25
"""Of the averages: the calmest part of a region shows noise alone."""

MOST_NOISE_HZ: Final = 2.0
"""Events per pixel and second that are taken for noise at most."""

OVER_NOISE: Final = 3.0
"""Times the noise, below which there is no activity."""

AROUND: Final = np.array([[1, 1, 1], [1, 4, 1], [1, 1, 1]], np.float32)
"""Weights of the blocks around one, whose activity counts for it, too."""


@dataclass(frozen=True, slots=True, eq=False)
class LastingEvents:
    """Events that do not fade with time, but with the activity around them.

    What moves replaces what was there. Activity below three times the noise leaves everything as
    it is, so that a face at rest stays known as it last moved; as the memory of the face tracker.

    Attributes:
        signed: float32 [grid, grid], ON less OFF events per sensor pixel.
        activity: float32 [grid / 4, grid / 4], events per pixel and slice, average over
            `ACTIVITY_S`.
        averages: float32 [grid / 16, grid / 16], events per pixel and slice, over `NOISE_S`.
        moved: float64 [grid / 4, grid / 4], sum of the activity over the noise since the first
            slice: what differs from one time to another has moved in between.
        noise: events per pixel and slice that are noise.
        slices: seen so far.
    """

    signed: NDArray[np.float32]
    activity: NDArray[np.float32]
    averages: NDArray[np.float32]
    moved: NDArray[np.float64]
    noise: float = 0.0
    slices: int = 0

    @classmethod
    def nothing(cls, grid: int) -> LastingEvents:
        """Return what is known before the first slice."""
        signed, activity, averages = (
            np.zeros((side, side), np.float32)
            for side in (grid, grid // BLOCK, grid // NOISE_BLOCK)
        )
        return cls(signed, activity, averages, np.zeros_like(activity, np.float64))

    def add(self, density: NDArray[np.float32], duration_s: float) -> LastingEvents:
        """Take in a slice.

        Args:
            density: float32 [2, grid, grid], events per sensor pixel, OFF then ON.
            duration_s: its length.
        """
        off, on = density
        noise, activity, averages = self.noise, self.activity, self.averages
        if self.slices % NOISE_SLICES == 0:
            ordered = np.sort(averages, axis=None)
            noise = float(ordered[int(NOISE_QUANTILE * len(ordered))])
            noise = min(noise, MOST_NOISE_HZ * duration_s)
            activity, averages = (
                np.where(array < FAINTEST, np.float32(0), array) for array in (activity, averages)
            )
        now = _shrink(on + off, len(activity))
        activity = activity + _share(duration_s, ACTIVITY_S) * (now - activity)
        now = _shrink(now, len(averages))
        averages = averages + _share(duration_s, NOISE_S) * (now - averages)
        limit = np.float32(OVER_NOISE * noise)
        above = np.maximum(_average_around(activity) - limit, 0)
        keep = _enlarge(np.exp(np.float32(-FORGET) * above))
        taken = _enlarge(above / np.maximum(above + limit, FAINTEST))
        signed = keep * self.signed + taken * (on - off)
        moved = self.moved + above
        return LastingEvents(signed, activity, averages, moved, noise, self.slices + 1)

    def follow(self, change: RegionChange) -> LastingEvents:
        """Return the same as another region shows it."""
        move = change.move_events
        return replace(self, signed=move(self.signed), activity=move(self.activity))


def _share(duration_s: float, time_constant_s: float) -> np.float32:
    return np.float32(1 - np.exp(-duration_s / time_constant_s))


def _shrink(cells: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(cells, (side, side), interpolation=cv2.INTER_AREA))


def _average_around(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return weighted averages of each block and those beside it that there are."""
    return _sum_around(blocks) / _weights(len(blocks))


@cache
def _weights(side: int) -> NDArray[np.float32]:
    return _sum_around(np.ones((side, side), np.float32))


def _sum_around(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.filter2D(blocks, -1, AROUND, borderType=cv2.BORDER_CONSTANT))


def _enlarge(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    size = BLOCK * blocks.shape[1], BLOCK * blocks.shape[0]
    return np.asarray(cv2.resize(blocks, size, interpolation=cv2.INTER_NEAREST))
