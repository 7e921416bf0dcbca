"""What an event sensor counts of a measured scene, slice by slice.

The pixels are those of `sensors.event_sensor`, stepped from picture to picture and counted on a
grid instead of listed: between two pictures the logarithm of radiance runs in a straight line,
the low-pass follows it in closed form, and every crossing of a threshold is an event. Left out
are the read-out's jitter and limit and the leak's part in when an event happens within a slice;
noise is drawn per clip, not per pixel and step.
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
# Short against the rise of a movement, which a straight line between two pictures does not follow.
_STEP_NS: Final = 25_000_000
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
    instants = motion.instants(_plan_times(basis, motion))
    counts = np.zeros((motion.duration_ns // SLICE_NS, 2, grid * grid), np.uint8)
    picture = mix_log_radiance(basis, instants[0])
    pixels = _Pixels(picture, light, parameters, cells.reshape(-1), rng)
    for before, after in pairwise(instants):
        earlier = picture
        if not _same(before, after):
            picture = mix_log_radiance(basis, after)
        pixels.advance(earlier, picture, before.t_ns, after.t_ns, counts)
    pixels.add_noise(counts, rng)
    return counts.reshape(-1, 2, grid, grid)


def _plan_times(basis: AppearanceBasis, motion: Motion) -> NDArray[np.int64]:
    """Return times, at most _STEP_NS apart, between which nothing moves over _STEP_PX."""
    plan = np.arange(0, motion.duration_ns + 1, _PLAN_NS, dtype=np.int64)
    values = movement_values(motion.channels(plan)).max(axis=2)
    reach_px = np.array([change.reach_px for change in basis.changes])
    pose_px = np.linalg.norm(basis.flow, axis=1).max(axis=(1, 2))
    steps_px = (np.abs(np.diff(values, axis=0)) * reach_px).max(axis=1)
    steps_px += np.abs(np.diff(motion.pose(plan), axis=0)) @ pose_px
    shake_px = motion.shake(plan) * basis.rest.shape[1]
    steps_px += np.linalg.norm(np.diff(shake_px, axis=0), axis=1)
    steps = np.maximum(steps_px / _STEP_PX, _PLAN_NS / _STEP_NS)
    progress = np.concatenate([[0], np.cumsum(steps)])
    between = np.interp(np.arange(1, int(progress[-1]) + 1), progress, plan).astype(np.int64)
    return np.unique(np.concatenate([[0], between, [motion.duration_ns]]))


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
        self._next = np.empty_like(self._filtered)
        self._active = np.zeros(count, np.bool_)
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
            self.advance(picture, picture, -lead_ns, 0, np.zeros((1, 2, 1), np.uint8))
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
            counts: uint8 [T, 2, cells], of all slices, OFF then ON.
        """
        ends = np.arange(start_ns // SLICE_NS + 1, -(-end_ns // SLICE_NS)) * SLICE_NS
        times = np.unique(np.concatenate([self._light.follow(start_ns, end_ns), ends]))
        gains = np.log(self._light.gain(times)).astype(np.float32)
        shares = ((times - start_ns) / (end_ns - start_ns)).astype(np.float32)
        for k in range(len(times) - 1):
            span_ns = np.float32(times[k + 1] - times[k])
            passed = self._rate_per_ns * span_ns
            _follow(
                before.reshape(-1),
                after.reshape(-1),
                shares[k : k + 2],
                gains[k : k + 2],
                passed,
                np.exp(-passed),
                self._filtered,
                self._next,
            )
            _find_active(
                self._next,
                self._leak_per_ns * span_ns,
                self._held_ns,
                self._on,
                self._off,
                self._reference,
                self._active,
            )
            _cross(
                np.flatnonzero(self._active),
                self._filtered,
                self._next,
                span_ns,
                self._refractory_ns,
                self._on,
                self._off,
                self._cells,
                self._reference,
                self._held_ns,
                # Flicker before the first slice is followed, and counted nowhere.
                counts[max(times[k], 0) // SLICE_NS],
            )
            self._filtered, self._next = self._next, self._filtered

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
def _follow(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    shares: NDArray[np.float32],
    gains: NDArray[np.float32],
    passed: NDArray[np.float32],
    kept: NDArray[np.float32],
    filtered: NDArray[np.float32],
    following: NDArray[np.float32],
) -> None:
    """Low-pass a straight line between two shares of two pictures, without a branch."""
    for i in range(len(before)):
        change = after[i] - before[i]
        x0 = before[i] + shares[0] * change + gains[0]
        x1 = before[i] + shares[1] * change + gains[1]
        lag = (x1 - x0) / passed[i]
        following[i] = x1 - lag + (filtered[i] - x0 + lag) * kept[i]


@kernel
def _find_active(
    following: NDArray[np.float32],
    leaked: NDArray[np.float32],
    held_ns: NDArray[np.float32],
    on: NDArray[np.float32],
    off: NDArray[np.float32],
    reference: NDArray[np.float32],
    active: NDArray[np.bool_],
) -> None:
    """Let all pixels leak, and find those that cross a threshold or are held, without a branch."""
    for i in range(len(following)):
        reference[i] -= leaked[i]
        difference = following[i] - reference[i]
        active[i] = (held_ns[i] > 0) | (difference >= on[i]) | (difference <= -off[i])


@kernel
def _cross(
    pixels: NDArray[np.int64],
    filtered: NDArray[np.float32],
    following: NDArray[np.float32],
    span_ns: np.float32,
    refractory_ns: np.float32,
    on: NDArray[np.float32],
    off: NDArray[np.float32],
    cells: NDArray[np.int32],
    reference: NDArray[np.float32],
    held_ns: NDArray[np.float32],
    counts: NDArray[np.uint8],
) -> None:
    """Step pixels from one low-passed value to the next, from threshold to threshold."""
    for i in pixels:
        y0, y1 = filtered[i], following[i]
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
