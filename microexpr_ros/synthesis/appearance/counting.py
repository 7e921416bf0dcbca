"""What an event sensor counts of a measured scene, slice by slice.

The pixels are those of `sensors.event_sensor`, stepped from slice to slice instead of from
rendered sample to sample, and counted on a grid instead of listed: between two instants the
logarithm of radiance runs in a straight line, the low-pass follows it in closed form, and every
crossing of a threshold is an event. Left out are the read-out's jitter and limit and the leak's
part in when an event happens within a slice; noise is drawn per clip, not per pixel and step.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.events.kernel import kernel
from microexpr_ros.synthesis.appearance.basis import AppearanceBasis
from microexpr_ros.synthesis.appearance.picture import mix_log_radiance, movement_values
from microexpr_ros.synthesis.sensors.event_sensor import RETURN_AGAIN, SensorParameters
from microexpr_ros.synthesis.world.light import Light
from microexpr_ros.synthesis.world.motion import Instant, Motion

_STEP_PX: Final = 1.0
_PLAN_NS: Final = 5_000_000
_FLICKER_LEAD_PERIODS: Final = 2


def count_events(
    basis: AppearanceBasis,
    motion: Motion,
    light: Light,
    parameters: SensorParameters,
    cells: NDArray[np.int32],
    grid: int,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Count the events of a take.

    Args:
        basis: the scene.
        motion: what moves in it.
        light: whose flicker it is seen in.
        parameters: the event sensor's pixels; its size does not matter here.
        cells: int32 [height, width], the cell of the grid in which each pixel lies, row by row;
            -1 for none.
        grid: rows and columns of the grid.
        rng: samples mismatch and noise of the pixels.

    Returns:
        uint8 [T, 2, grid, grid], events of each slice of 10 ms, OFF then ON, saturating.
    """
    times = _plan_times(basis, motion)
    instants = motion.instants(times)
    counts = np.zeros((motion.duration_ns // SLICE_NS, 2, grid * grid), np.uint8)
    picture = mix_log_radiance(basis, instants[0])
    pixels = _Pixels(picture, light, parameters, cells.reshape(-1), rng)
    for before, after in pairwise(instants):
        earlier = picture
        if not _same(before, after):
            picture = mix_log_radiance(basis, after)
        slice_ = (after.t_ns - 1) // SLICE_NS
        pixels.advance(earlier, picture, before.t_ns, after.t_ns, counts[slice_])
    pixels.add_noise(counts, rng)
    return counts.reshape(-1, 2, grid, grid)


def _plan_times(basis: AppearanceBasis, motion: Motion) -> NDArray[np.int64]:
    """Return the ends of all slices, and times between which nothing moves over _STEP_PX."""
    plan = np.arange(0, motion.duration_ns + 1, _PLAN_NS, dtype=np.int64)
    values = movement_values(motion.channels(plan)).max(axis=2)
    reach_px = np.array([change.reach_px for change in basis.changes])
    pose_px = np.linalg.norm(basis.flow, axis=1).max(axis=(1, 2))
    steps_px = (np.abs(np.diff(values, axis=0)) * reach_px).max(axis=1)
    steps_px += np.abs(np.diff(motion.pose(plan), axis=0)) @ pose_px
    shake_px = motion.shake(plan) * basis.rest.shape[1]
    steps_px += np.linalg.norm(np.diff(shake_px, axis=0), axis=1)
    # The tiny slope keeps the progress increasing, as interpolation needs it.
    progress = np.concatenate([[0], np.cumsum(steps_px / _STEP_PX + 1e-6)])
    between = np.interp(np.arange(1, int(progress[-1]) + 1), progress, plan).astype(np.int64)
    ends = np.arange(0, motion.duration_ns + 1, SLICE_NS, dtype=np.int64)
    return np.unique(np.concatenate([ends, between]))


def _same(one: Instant, other: Instant) -> bool:
    return (
        np.array_equal(one.channels, other.channels)
        and np.array_equal(one.pose, other.pose)
        and np.array_equal(one.shake, other.shake)
    )


class _Pixels:
    """Pixels that have long looked at a still scene, and then follow it."""

    def __init__(
        self,
        picture: NDArray[np.float32],
        light: Light,
        parameters: SensorParameters,
        cells: NDArray[np.int32],
        rng: np.random.Generator,
    ) -> None:
        log_lux = picture.reshape(-1)
        count = len(log_lux)
        mismatch = np.float32(parameters.threshold_sigma) * rng.standard_normal(
            (2, count), np.float32
        )
        self._on = np.maximum(parameters.threshold_on + mismatch[0], 0.05).astype(np.float32)
        self._off = np.maximum(parameters.threshold_off + mismatch[1], 0.05).astype(np.float32)
        # Pixels stand anywhere between their thresholds: the scene did not start with them.
        share = rng.random(count, np.float32)
        self._reference = log_lux + self._off - share * (self._on + self._off)
        self._filtered = log_lux.copy()
        self._held_ns = np.zeros(count, np.float32)
        decades = parameters.rate_spread * rng.standard_normal(count, np.float32)
        spread = (10**decades).astype(np.float32)
        self._leak_per_ns = (1e-9 * parameters.leak_hz * spread * self._on).astype(np.float32)
        darkness = np.minimum(np.exp(log_lux) / parameters.corner_lux, 1)
        corner_hz = np.maximum(parameters.corner_hz * darkness, parameters.corner_floor_hz)
        self._rate_per_ns = (2e-9 * np.pi * corner_hz).astype(np.float32)
        noisier = np.clip(darkness**-0.5, 0.5, 20)
        hot = rng.random(count, np.float32) < parameters.hot_share
        hot_hz = parameters.hot_hz * np.exp(0.7 * rng.standard_normal(count, np.float32))
        self._noise_hz = np.where(hot, hot_hz, parameters.shot_hz * spread * noisier)
        self._parameters = parameters
        self._refractory_ns = np.float32(parameters.refractory_ns)
        self._light = light
        self._cells = np.full_like(cells, -1)
        if light.flicker_depth > 0:
            lead_ns = int(_FLICKER_LEAD_PERIODS * 1e9 / light.flicker_hz)
            self.advance(picture, picture, -lead_ns, 0, np.zeros((2, 1), np.uint8))
        self._cells = cells

    def advance(
        self,
        before: NDArray[np.float32],
        after: NDArray[np.float32],
        start_ns: int,
        end_ns: int,
        counts: NDArray[np.uint8],
    ) -> None:
        """Follow the scene from one instant to the next and count, in place.

        Args:
            before: float32 [height, width], logarithm of radiance at the start.
            after: likewise, at the end.
            start_ns: time of the first picture.
            end_ns: time of the second.
            counts: uint8 [2, cells], OFF then ON.
        """
        times = self._light.follow(start_ns, end_ns)
        gains = np.log(self._light.gain(times)).astype(np.float32)
        shares = ((times - start_ns) / (end_ns - start_ns)).astype(np.float32)
        for k in range(len(times) - 1):
            _advance(
                before.reshape(-1),
                after.reshape(-1),
                shares[k : k + 2],
                gains[k : k + 2],
                np.float32(times[k + 1] - times[k]),
                self._filtered,
                self._reference,
                self._held_ns,
                self._on,
                self._off,
                self._leak_per_ns,
                self._rate_per_ns,
                self._refractory_ns,
                self._cells,
                counts,
            )

    def add_noise(self, counts: NDArray[np.uint8], rng: np.random.Generator) -> None:
        """Add shot noise and hot pixels to counts, uint8 [T, 2, cells], in place."""
        edges = np.cumsum(self._noise_hz)
        if edges[-1] == 0:
            return
        p, span_ns = self._parameters, len(counts) * SLICE_NS
        events = rng.poisson(edges[-1] * (1 - p.returns) * span_ns * 1e-9)
        pixels = np.searchsorted(edges, rng.random(events) * edges[-1])
        cells = self._cells[np.minimum(pixels, len(edges) - 1)]
        times_ns, polarity = rng.random(events) * span_ns, rng.integers(2, size=events)
        share = p.return_share
        while len(cells):
            _add_saturating(counts, (times_ns // SLICE_NS).astype(np.int64), polarity, cells)
            # Those that have a return are events once more, of the other polarity.
            back = rng.random(len(cells)) < share
            decades = p.return_spread * rng.standard_normal(int(back.sum()))
            times_ns = times_ns[back] + p.return_ns * 10**decades
            inside = times_ns < span_ns
            times_ns, cells = times_ns[inside], cells[back][inside]
            polarity = 1 - polarity[back][inside]
            share = p.return_share * RETURN_AGAIN


@kernel
def _add_saturating(
    counts: NDArray[np.uint8],
    slices: NDArray[np.int64],
    polarity: NDArray[np.int64],
    cells: NDArray[np.int32],
) -> None:
    for n in range(len(cells)):
        if cells[n] >= 0 and counts[slices[n], polarity[n], cells[n]] < 255:
            counts[slices[n], polarity[n], cells[n]] += 1


@kernel
def _advance(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    shares: NDArray[np.float32],
    gains: NDArray[np.float32],
    span_ns: np.float32,
    filtered: NDArray[np.float32],
    reference: NDArray[np.float32],
    held_ns: NDArray[np.float32],
    on: NDArray[np.float32],
    off: NDArray[np.float32],
    leak_per_ns: NDArray[np.float32],
    rate_per_ns: NDArray[np.float32],
    refractory_ns: np.float32,
    cells: NDArray[np.int32],
    counts: NDArray[np.uint8],
) -> None:
    """Step all pixels through a straight line between two shares of two pictures."""
    for i in range(len(before)):
        change = after[i] - before[i]
        x0 = before[i] + shares[0] * change + gains[0]
        x1 = before[i] + shares[1] * change + gains[1]
        y0 = filtered[i]
        y1 = y0
        if x1 != x0 or abs(y0 - x0) > np.float32(1e-5):
            passed = rate_per_ns[i] * span_ns
            lag = (x1 - x0) / passed
            y1 = x1 - lag + (y0 - x0 + lag) * np.float32(np.exp(-passed))
            filtered[i] = y1
        reference[i] -= leak_per_ns[i] * span_ns
        t = np.float32(0)
        if held_ns[i] > 0:
            # Held pixels follow the light: what happens now is lost.
            if held_ns[i] >= span_ns:
                held_ns[i] -= span_ns
                reference[i] = y1
                continue
            t = held_ns[i]
            held_ns[i] = 0
            reference[i] = y0 + (y1 - y0) * t / span_ns
        difference = y1 - reference[i]
        if -off[i] < difference < on[i]:
            continue
        polarity = 1 if difference > 0 else 0
        threshold = on[i] if polarity == 1 else -off[i]
        slope = (y1 - y0) / span_ns
        events = 0
        while True:
            missing = threshold - (y0 + slope * t - reference[i])
            if missing * threshold > 0:
                # The line has yet to reach the threshold, before the step ends.
                if slope * threshold <= 0:
                    break
                t += missing / slope
                if t >= span_ns:
                    break
            events += 1
            t += refractory_ns
            if t >= span_ns:
                held_ns[i] = t - span_ns
                reference[i] = y1
                break
            reference[i] = y0 + slope * t
        if cells[i] >= 0:
            counts[polarity, cells[i]] = min(counts[polarity, cells[i]] + events, 255)
