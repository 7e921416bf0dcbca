"""Measuring an event sensor's noise in the still parts of a recording.

Where nothing moves, a pixel sends noise alone. Such parts are found by what sets noise apart: its
events have no neighbours in space and time, and their rate is constant. From them follow the
parameters of `SensorParameters` that need no known scene; NOT_MEASURED names the others.

Source of the test for neighbours: Delbruck, Frame-free dynamic digital vision, 2008.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events
from microexpr_ros.events.kernel import kernel

NOT_MEASURED: Final = {
    'threshold_on': 'needs a step of known contrast',
    'threshold_off': 'needs a step of known contrast',
    'threshold_sigma': 'needs a step of known contrast',
    'corner_hz': 'needs a lamp of known frequencies',
    'corner_lux': 'needs a lamp of known frequencies, at several illuminances',
    'corner_floor_hz': 'needs a lamp of known frequencies, in the dark',
    'knee_lux': 'needs known illuminances',
    'jitter_ns': 'needs edges at known times',
    'return_ns': 'needs minutes of a still scene',
    'return_spread': 'needs minutes of a still scene',
    'row_hz': 'needs more events than the read-out takes',
}
"""Parameters that no still scene shows, and what would show them."""

TILE_PX: Final = 32
"""Side of the tiles that are still or not, px."""

WINDOW_NS: Final = 100_000_000
"""Length of the windows in which they are."""

MIN_WINDOWS: Final = 5
"""Fewest windows of a recording."""

_NEIGHBOUR_NS: Final = (5_000_000, 40_000_000)
"""An event has a neighbour if one of the eight pixels around it fired within this time: the
shorter shows what is fast, and the longer what is slow, where noise is rare enough."""

_MAX_CHANCE: Final = 0.5
"""Where more of the noise has neighbours by chance, motion cannot be told from it."""

_FEWEST: Final = 50
"""Fewest events, in still parts, from which rates are measured."""

_FEWEST_IN_OTHERS: Final = 10
_FEWEST_TILES: Final = 8
_FEWEST_PAIRS: Final = 20
_FEWEST_HOT: Final = 10
_PARTS: Final = 10
_STEADY: Final = 8
"""A hot pixel fires in this many of the ten equal parts of a recording."""

PAIR_NS: Final = 10_000_000
"""A noise event that the pixel takes back within this time is one of a pair."""

_MAX_REPEATED: Final = 1e-3
"""Where more events of a pixel follow each other within two ticks, the read-out repeats them, and
no interval shows the pixels."""

_SAMPLES: Final = 400
_EDGE: Final = 5
"""Shortest intervals that show where the intervals begin."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A value and its 95 % interval.

    Attributes:
        value: the value.
        low: lower bound.
        high: upper bound.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class NoiseMeasurement:
    """What the still parts of a recording show; None where they do not show it.

    Attributes:
        width: columns of the sensor.
        height: rows of the sensor.
        seconds: length of what was measured.
        events: events in it.
        still_share: share of tiles and windows that were still, 0 to 1.
        still_events: events in them, without those of hot pixels.
        on_hz: ON events of a pixel in still parts.
        off_hz: OFF events of a pixel in still parts.
        shot_hz: rate of noise events of both polarities alike, as the light of the recording
            makes it.
        leak_hz: rate of ON events of a pixel that sees nothing else.
        rate_spread: spread of the rates over the pixels of a tile, decades; returns of returns add
            to it, where noise is rare.
        paired_share: share of the noise events of a pixel that follow one of the other polarity
            within 10 ms.
        refractory_ns: shortest time between two events of a pixel. The jitter of the read-out
            makes it look shorter.
        repeated_share: share of intervals of at most two ticks, 0 to 1; with many of them,
            `refractory_ns` is None.
        hot_share: share of pixels that fire all the time.
        hot_hz: median rate of those.
        tick_ns: resolution of the stamps.
        hot: int64 [N, 2], columns and rows of the hot pixels.
        tile_hz: float64 [rows, columns], events of a pixel in each tile; nan where it was never
            still.
        intervals_ns: int64 [N], times between successive events of a pixel, sorted.
    """

    width: int
    height: int
    seconds: float
    events: int
    still_share: float
    still_events: int
    on_hz: Measured | None
    off_hz: Measured | None
    shot_hz: Measured | None
    leak_hz: Measured | None
    rate_spread: Measured | None
    paired_share: float | None
    refractory_ns: Measured | None
    repeated_share: float
    hot_share: Measured
    hot_hz: Measured | None
    tick_ns: int
    hot: NDArray[np.int64]
    tile_hz: NDArray[np.float64]
    intervals_ns: NDArray[np.int64]

    @property
    def tile_percentiles_hz(self) -> tuple[float, float, float] | None:
        """Rate that 5 %, 50 % and 95 % of the tiles do not exceed: it is uneven, as light is."""
        known = self.tile_hz[~np.isnan(self.tile_hz)]
        if not len(known):
            return None
        low, middle, high = np.percentile(known, (5, 50, 95)).tolist()
        return low, middle, high

    @property
    def on_off_ratio(self) -> float | None:
        """ON events per OFF event in still parts."""
        if self.on_hz is None or self.off_hz is None or self.off_hz.value == 0:
            return None
        return self.on_hz.value / self.off_hz.value


def measure_noise(events: Events, width: int, height: int) -> NoiseMeasurement:
    """Measure a sensor's noise.

    Args:
        events: of a recording, or of its beginning.
        width: columns of the sensor.
        height: rows of the sensor.

    Raises:
        MicroexprError: There are less than half a second of events.
    """
    span_ns = int(events.t[-1] - events.t[0]) if len(events) else 0
    windows = span_ns // WINDOW_NS
    if windows < MIN_WINDOWS:
        raise MicroexprError(
            f'{len(events)} events in {span_ns / 1e9:.4g} s are too short to measure noise: '
            f'record at least {MIN_WINDOWS * WINDOW_NS / 1e9:g} s of a still scene, better a '
            'minute'
        )
    pixel = events.y.astype(np.int64) * width + events.x
    order = np.lexsort((events.t, pixel))
    waits, same = np.diff(events.t[order]), np.diff(pixel[order]) == 0
    intervals_ns = np.sort(waits[same])
    counts = np.bincount(pixel, minlength=width * height).reshape(height, width)
    hot = _find_hot(events.t, pixel, counts)
    kept = ~hot.reshape(-1)[pixel]
    kept &= events.t < events.t[0] + windows * WINDOW_NS
    calm = Events(events.t[kept], events.x[kept], events.y[kept], events.p[kept])
    still = _find_still(calm, width, height, windows, events.t[0]) & ~_find_masked(calm, hot.shape)
    window = (calm.t - events.t[0]) // WINDOW_NS
    used = still[window, calm.y.astype(np.int64) // TILE_PX, calm.x.astype(np.int64) // TILE_PX]
    noise = Events(calm.t[used], calm.x[used], calm.y[used], calm.p[used])
    tiles = _count_tiles(noise, still, hot)
    tick_ns = int(np.gcd.reduce(np.diff(events.t))) or 1
    repeated_share = float((intervals_ns <= 2 * tick_ns).mean()) if len(intervals_ns) else 0.0
    seconds = span_ns / 1e9
    return NoiseMeasurement(
        width,
        height,
        seconds,
        len(events),
        float(still.mean()),
        len(noise),
        *_measure_rates(tiles),
        _measure_spread(tiles),
        _measure_pairs(noise, width),
        _measure_refractory(intervals_ns) if repeated_share <= _MAX_REPEATED else None,
        repeated_share,
        _measure_share(int(hot.sum()), hot.size),
        _measure_hot(counts[hot] / seconds),
        tick_ns,
        np.argwhere(hot)[:, ::-1],
        tiles.rate_hz,
        intervals_ns,
    )


def _find_hot(
    t: NDArray[np.int64], pixel: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which pixels fire all the time and much more than those around them."""
    height, width = counts.shape
    around = np.pad(counts, 1)
    neighbours = [
        around[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        for dy, dx in product((-1, 0, 1), repeat=2)
        if (dy, dx) != (0, 0)
    ]
    busiest = np.max(neighbours, axis=0)
    hot = (counts >= _FEWEST_HOT) & (counts > 3 * busiest + 5)
    candidates = np.flatnonzero(hot)
    mine = np.isin(pixel, candidates)
    part = (t[mine] - t[0]) * _PARTS // (t[-1] - t[0] + 1)
    fired = np.zeros((len(candidates), _PARTS), bool)
    fired[np.searchsorted(candidates, pixel[mine]), part] = True
    hot.reshape(-1)[candidates[fired.sum(axis=1) < _STEADY]] = False
    return np.asarray(hot)


def _find_still(
    events: Events, width: int, height: int, windows: int, start_ns: np.int64
) -> NDArray[np.bool_]:
    """Return in which windows each tile was still, bool [windows, rows, columns]."""
    rows, columns = -(-height // TILE_PX), -(-width // TILE_PX)
    shape = windows, rows, columns
    where = np.ravel_multi_index(
        (
            (events.t - start_ns) // WINDOW_NS,
            events.y.astype(np.int64) // TILE_PX,
            events.x.astype(np.int64) // TILE_PX,
        ),
        shape,
    )
    count = np.bincount(where, minlength=int(np.prod(shape))).reshape(shape)
    rate_hz = count / _tile_pixels(width, height) / (WINDOW_NS / 1e9)
    usual = np.median(count, axis=0)
    moving = count > usual + 4 * np.sqrt(usual) + 3
    for within_ns in _NEIGHBOUR_NS:
        supported = _have_neighbours(events.t, events.x, events.y, width, height, within_ns)
        support = np.bincount(where[supported], minlength=count.size).reshape(shape)
        chance = 1 - np.exp(-8 * rate_hz * within_ns / 1e9)
        expected = count * chance
        clear = support > expected + 3 * np.sqrt(expected) + 1
        # Only the shorter time decides where the longer one shows nothing.
        crowded = chance > _MAX_CHANCE
        moving |= (clear & ~crowded) if within_ns > min(_NEIGHBOUR_NS) else (clear | crowded)
    return ~_dilate(moving)


def _find_masked(events: Events, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which tiles sent nothing while others sent a lot: they were switched off."""
    rows, columns = (-(-side // TILE_PX) for side in shape)
    tile = events.y.astype(np.int64) // TILE_PX * columns + events.x.astype(np.int64) // TILE_PX
    count = np.bincount(tile, minlength=rows * columns).reshape(rows, columns)
    return np.asarray((count == 0) & (count.mean() >= _FEWEST_IN_OTHERS))


def _dilate(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the cells that are set or touch one that is, in time or in space."""
    padded = np.pad(cells, 1)
    out = np.zeros_like(cells)
    windows, rows, columns = cells.shape
    for dt, dy, dx in product((0, 1, 2), repeat=3):
        out |= padded[dt : dt + windows, dy : dy + rows, dx : dx + columns]
    return out


def _tile_pixels(width: int, height: int) -> NDArray[np.int64]:
    """Return the number of pixels of each tile, int64 [rows, columns]."""
    rows = np.diff(np.append(np.arange(0, height, TILE_PX), height))
    columns = np.diff(np.append(np.arange(0, width, TILE_PX), width))
    return np.asarray(rows[:, np.newaxis] * columns, np.int64)


@kernel
def _have_neighbours(
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    width: int,
    height: int,
    within_ns: int,
) -> NDArray[np.bool_]:
    """Return which events have a neighbour before them."""
    # A border spares the test whether a neighbour exists.
    newest = np.full((height + 2, width + 2), -(1 << 62), np.int64)
    found = np.zeros(len(t), np.bool_)
    for i in range(len(t)):
        column, row = np.int64(x[i]) + 1, np.int64(y[i]) + 1
        oldest = t[i] - within_ns
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                if (dy != 0 or dx != 0) and newest[row + dy, column + dx] >= oldest:
                    found[i] = True
        newest[row, column] = t[i]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Tiles:
    """Events of the tiles in still windows, float64 [rows, columns].

    Attributes:
        on: ON events.
        off: OFF events.
        pixel_s: time in which they were counted, summed over the pixels, s.
        pairs: pairs of OFF events of one pixel, in order, so that two events are two pairs.
        pairs_apart: pairs of OFF events of two pixels, per pair of pixels and pixel.
    """

    on: NDArray[np.float64]
    off: NDArray[np.float64]
    pixel_s: NDArray[np.float64]
    pairs: NDArray[np.float64]
    pairs_apart: NDArray[np.float64]

    @property
    def rate_hz(self) -> NDArray[np.float64]:
        """Events of a pixel, Hz; nan where a tile was never still."""
        time_s = np.where(self.pixel_s > 0, self.pixel_s, np.nan)
        return np.asarray((self.on + self.off) / time_s)


def _count_tiles(noise: Events, still: NDArray[np.bool_], hot: NDArray[np.bool_]) -> _Tiles:
    height, width = hot.shape
    rows, columns = still.shape[1:]
    tile = noise.y.astype(np.int64) // TILE_PX * columns + noise.x.astype(np.int64) // TILE_PX

    def count(polarity: int) -> NDArray[np.float64]:
        found = np.bincount(tile[noise.p == polarity], minlength=rows * columns)
        return found.reshape(rows, columns).astype(np.float64)

    on, off = count(1), count(0)
    hot_tiles = np.zeros((rows, columns), np.int64)
    np.add.at(hot_tiles, tuple(np.argwhere(hot).T // TILE_PX), 1)
    pixels = _tile_pixels(width, height) - hot_tiles
    darker = noise.p == 0
    pixel = noise.y[darker].astype(np.int64) * width + noise.x[darker]
    fired, times = np.unique(pixel, return_counts=True)
    place = fired // width // TILE_PX * columns + fired % width // TILE_PX
    squares = np.bincount(place, times**2.0, rows * columns).reshape(rows, columns)
    return _Tiles(
        on,
        off,
        still.sum(axis=0) * (WINDOW_NS / 1e9) * pixels,
        squares - off,
        (off**2 - squares) / np.maximum(pixels - 1, 1),
    )


def _measure_rates(
    tiles: _Tiles,
) -> tuple[Measured | None, Measured | None, Measured | None, Measured | None]:
    """Return the rates of ON and OFF events, of shot noise and of the leak."""
    used = tiles.pixel_s > 0
    on, off, pixel_s = tiles.on[used], tiles.off[used], tiles.pixel_s[used]
    if len(on) < _FEWEST_TILES or on.sum() + off.sum() < _FEWEST:
        return None, None, None, None
    weights = _sample_weights(len(on))
    time_s = weights @ pixel_s
    on_hz, off_hz = weights @ on / time_s, weights @ off / time_s
    shot_hz, leak_hz = _split_rates(on_hz, off_hz)
    return _to_measured(on_hz), _to_measured(off_hz), _to_measured(shot_hz), _to_measured(leak_hz)


def _split_rates(
    on_hz: NDArray[np.float64], off_hz: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rates of shot noise and of the leak that make rates of ON and OFF events.

    Shot noise is ON as often as OFF, so what ON events are more is leak. A noise event starts the
    leak of its pixel anew, so that with noise at a rate s, a leak that alone would fire at l fires
    at s / (exp(s / l) - 1). Without an excess there is no leak.
    """
    shot_hz = np.where(on_hz > off_hz, 2 * off_hz, on_hz + off_hz)
    excess_hz = np.maximum(on_hz - off_hz, 0)
    with np.errstate(divide='ignore', invalid='ignore'):
        leak_hz = shot_hz / np.log1p(shot_hz / excess_hz)
    leak_hz = np.where(shot_hz == 0, excess_hz, leak_hz)
    return shot_hz, np.where(excess_hz > 0, leak_hz, 0.0)


def _measure_spread(tiles: _Tiles) -> Measured | None:
    """Return the spread of rates that are logarithmically normal, in decades.

    OFF events are noise alone, and those of a pixel come independently of each other. Two events
    then are of one pixel exp(sigma^2) times as often as of another given one.
    """
    used = tiles.pixel_s > 0
    pairs, apart = tiles.pairs[used], tiles.pairs_apart[used]
    if pairs.sum() < _FEWEST_PAIRS or used.sum() < _FEWEST_TILES:
        return None
    weights = _sample_weights(len(pairs))
    ratio = np.maximum(weights @ pairs / (weights @ apart), 1.0)
    return _to_measured(np.sqrt(np.log(ratio)) / np.log(10))


def _measure_pairs(noise: Events, width: int) -> float | None:
    pixel = noise.y.astype(np.int64) * width + noise.x
    order = np.lexsort((noise.t, pixel))
    same = np.diff(pixel[order]) == 0
    near = np.diff(noise.t[order]) <= PAIR_NS
    turned = np.diff(noise.p[order].astype(np.int64)) != 0
    return float((same & near & turned).sum() / len(noise)) if len(noise) >= _FEWEST else None


def _sample_weights(count: int) -> NDArray[np.float64]:
    """Return how often each tile is drawn: once, in the first row; else with replacement."""
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), _SAMPLES)
    return np.vstack([np.ones(count), drawn]).astype(np.float64)


def _to_measured(samples: NDArray[np.float64]) -> Measured:
    low, high = np.percentile(samples[1:], (2.5, 97.5)).tolist()
    return Measured(float(samples[0]), low, high)


def _measure_refractory(intervals_ns: NDArray[np.int64]) -> Measured | None:
    """Return where the intervals begin: before the shortest, by as much as those lie apart."""
    if len(intervals_ns) < _FEWEST:
        return None
    first, last = float(intervals_ns[0]), float(intervals_ns[_EDGE - 1])
    apart = (last - first) / (_EDGE - 1)
    return Measured(max(first - apart, 0.0), max(first - _EDGE * apart, 0.0), first)


def _measure_share(count: int, total: int) -> Measured:
    """Return a share with Wilson's interval."""
    z, share = 1.96, count / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = np.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2) * z / (1 + z * z / total)
    return Measured(share, max(float(centre - half), 0.0), float(centre + half))


def _measure_hot(rates_hz: NDArray[np.float64]) -> Measured | None:
    if len(rates_hz) == 0:
        return None
    drawn = np.random.default_rng(0).integers(len(rates_hz), size=(_SAMPLES, len(rates_hz)))
    medians = np.median(rates_hz[drawn], axis=1)
    return _to_measured(np.concatenate(([np.median(rates_hz)], medians)))
