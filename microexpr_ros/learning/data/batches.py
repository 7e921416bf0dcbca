"""Inputs of networks made from clips: batches of sequences, frames, events of a condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from microexpr_ros.events.grid import GRID
from microexpr_ros.facs import CODES
from microexpr_ros.learning.data.augmentation import Jitter
from microexpr_ros.learning.data.clips import UNDECIDED, SparseClip
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.integration import START_DELAY, late_shares
from microexpr_ros.perception.reconstruction.lasting_events import (
    ACTIVITY_S,
    AROUND,
    BLOCK,
    FORGET,
    MOST_NOISE_HZ,
    NOISE_BLOCK,
    NOISE_QUANTILE,
    NOISE_S,
    NOISE_SLICES,
    OVER_NOISE,
)


@dataclass(frozen=True, slots=True)
class SequenceBatch:
    """Sequences for a network; short ones are padded with silence.

    Attributes:
        density: float32 [T, B, 2, side, side], events per sensor pixel, summed over the cells
            of an input pixel (so that `encode` may take it with pixels_per_cell 1).
        traces: float32 [B, N, 2, side, side], leaky traces of the density of the slices before
            the sequence, in the same unit.
        sides: float32 [T, B, 18, 2], ground truth.
        valid: bool [T, B], False where a short sequence is padded.
        label: int64 [B], as `SparseClip.label`.
        main: int64 [T, B], as `SparseClip.main`.
        frames: float32 [T, B, 3, side, side]: the changes of `encode_frames` in the slice in
            which a frame was complete, and the newest frame, 0 before the first. None unless
            requested.
        frame_traces: float32 [B, N, 2, side, side], of the changes before the sequence; None
            unless requested.
    """

    density: NDArray[np.float32]
    traces: NDArray[np.float32]
    sides: NDArray[np.float32]
    valid: NDArray[np.bool_]
    label: NDArray[np.int64]
    main: NDArray[np.int64]
    frames: NDArray[np.float32] | None = None
    frame_traces: NDArray[np.float32] | None = None


def make_batch(
    clips: Sequence[SparseClip],
    pool: int,
    jitters: Sequence[Jitter] | None = None,
    order: Sequence[NDArray[np.int64]] | None = None,
    windows: Sequence[tuple[int, int]] | None = None,
    frames: bool = False,
    decays: Sequence[float] = (),
    events: bool = True,
) -> SequenceBatch:
    """Make a batch of clips.

    Args:
        clips: the clips.
        pool: cells per side of an input pixel.
        jitters: an augmentation for each clip; None for none.
        order: for each clip, the numbers of its slices in the order to use, for the
            time-shuffled control; None for the order of time.
        windows: first slice, and the one after the last, of each clip; None for whole clips.
        frames: also return frames and their traces.
        decays: factor of each trace per slice.
        events: False leaves `density` and `traces` 0, for a network without events.
    """
    spans = windows if windows is not None else [(0, clip.slices) for clip in clips]
    steps, batch, side = max(end - first for first, end in spans), len(clips), GRID // pool
    # Channels last in memory: convolutions are fastest so, and all traces of an entry are
    # adjacent.
    pixels = np.zeros((steps, batch, side**2, 2), np.float32)
    density = np.moveaxis(pixels.reshape(steps, batch, side, side, 2), 4, 2)
    trace_pixels = np.zeros((batch, side**2, len(decays), 2), np.float32)
    traces = trace_pixels.reshape(batch, side, side, len(decays), 2).transpose(0, 3, 4, 1, 2)
    sides = np.zeros((steps, batch, len(CODES), 2), np.float32)
    valid = np.zeros((steps, batch), np.bool_)
    main = np.full((steps, batch), UNDECIDED, np.int64)
    images = np.zeros((steps, batch, 3, side, side), np.float32) if frames else None
    image_traces = np.zeros_like(traces) if frames else None
    longest = max(clip.slices for clip in clips)
    powers = np.power.outer(np.asarray(decays, np.float32), np.arange(longest + 1))
    by_age = np.ascontiguousarray(powers.T)
    for group in _group_by_clip(clips, jitters, order):
        sparse = clips[group[0]]
        jitter = Jitter() if jitters is None else jitters[group[0]]
        ordered = np.arange(sparse.slices) if order is None else order[group[0]]
        moving = sparse.main()[ordered]
        if events:
            begins = np.array([spans[b][0] for b in group])
            by_begin = np.argsort(begins)
            rows = np.asarray(group)[by_begin]
            weights = jitter.gains() / sparse.clip.pixels_per_cell
            entries = (
                *(sparse.cells, sparse.counts, _pixel_map(jitter, pool), weights),
                *_entry_probabilities(jitter),
            )
            _accumulate_traces(
                ordered, sparse.starts, begins[by_begin], rows, by_age, trace_pixels, *entries
            )
        if images is not None and image_traces is not None:
            own = {b: spans[b] for b in group}
            _write_frames(sparse, pool, jitter, ordered, own, powers, images, image_traces)
        for b in group:
            first, end = spans[b]
            truth = sparse.clip.sides[ordered[first:end]]
            sides[: end - first, b] = truth[..., ::-1] if jitter.mirror else truth
            valid[: end - first, b] = True
            main[: end - first, b] = moving[first:end]
            if events:
                _accumulate_counts(ordered[first:end], sparse.starts, pixels[:, b], *entries)
                jitter.add_noise(density[:, b])
                jitter.add_trace_noise(traces[b], decays, first)
    labels = np.array([clip.label for clip in clips], np.int64)
    return SequenceBatch(density, traces, sides, valid, labels, main, images, image_traces)


def _write_frames(
    sparse: SparseClip,
    pool: int,
    jitter: Jitter,
    ordered: NDArray[np.int64],
    windows: Mapping[int, tuple[int, int]],
    powers: NDArray[np.float32],
    images: NDArray[np.float32],
    traces: NDArray[np.float32],
) -> None:
    """Write the frames of a clip, and the traces of the changes before, to rows of a batch."""
    changes, pictures = encode_frames(sparse, pool, jitter)
    newest = np.searchsorted(sparse.clip.frame_slice, ordered, 'right') - 1
    known = newest >= 0
    fresh = known & (sparse.clip.frame_slice[newest] == ordered)
    for row, (first, end) in windows.items():
        window, out = slice(first, end), images[: end - first, row]
        out[known[window], 2] = pictures[newest[window][known[window]]]
        out[fresh[window], :2] = changes[newest[window][fresh[window]]]
        past = np.flatnonzero(fresh[:first])
        weights = np.zeros((len(powers), len(changes)), np.float32)
        weights[:, newest[past]] = powers[:, first - 1 - past]
        traces[row] = np.tensordot(weights, changes, 1)


def _group_by_clip(
    clips: Sequence[SparseClip],
    jitters: Sequence[Jitter] | None,
    order: Sequence[NDArray[np.int64]] | None,
) -> list[list[int]]:
    # Sequences of one clip are adjacent, and share its augmentation, its order and its past.
    shared = [clips, *(given for given in (jitters, order) if given is not None)]
    groups: list[list[int]] = []
    for b in range(len(clips)):
        if b and all(given[b] is given[b - 1] for given in shared):
            groups[-1].append(b)
        else:
            groups.append([b])
    return groups


def encode_frames(
    sparse: SparseClip, pool: int, jitter: Jitter
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the frames of a clip as network input.

    Frames are normalized to mean 0 and standard deviation 1, independent of light and exposure.

    Args:
        sparse: a clip with frames.
        pool: cells per side of an input pixel.
        jitter: augmentation, the same as of the events.

    Returns:
        float32 [F, 2, side, side], the decrease and the increase since the frame before; and
        float32 [F, side, side], the frames themselves.
    """
    clip, side = sparse.clip, GRID // pool
    if len(clip.frames) != len(clip.frame_slice):
        raise ValueError('the clip was read without its images')
    moved = jitter.warp_images(clip.frames)
    frames = np.zeros((len(moved), side, side), np.float32)
    # Several times faster than a mean over two axes of a view.
    for row, column in np.ndindex(pool, pool):
        frames += moved[:, row::pool, column::pool]
    frames /= pool**2
    frames -= frames.mean((1, 2), keepdims=True)
    frames /= frames.std((1, 2), keepdims=True) + np.float32(1)
    changes = np.diff(frames, axis=0, prepend=frames[:1])
    return np.stack([-changes.clip(max=0), changes.clip(min=0)], 1), frames


def measure_change_gain(clips: Sequence[SparseClip], pool: int, semi_saturation: float) -> float:
    """Return the factor on changes between frames that suits a network's compression.

    Traces of the size of `semi_saturation` are compressed to a half: much smaller ones are lost,
    and much larger ones all look alike. The typical change, the median over clips of the root mean
    square of a clip's changes, is brought to this size. It follows from the inputs alone, not
    from any score.

    Args:
        clips: to learn from, with frames.
        pool: cells per side of an input pixel.
        semi_saturation: of the network.
    """
    sizes = []
    for sparse in clips:
        changes, _ = encode_frames(sparse, pool, Jitter())
        if len(changes) > 1:
            # A change is either a decrease or an increase.
            sizes.append(float(np.sqrt((changes[1:] ** 2).sum(1).mean())))
    typical = float(np.median(sizes)) if sizes else 0.0
    return semi_saturation / typical if typical > 0 else 1.0


def condition_events(
    sparse: SparseClip,
    at: int,
    frame_at: int | None,
    configuration: ReconstructionConfiguration,
    jitter: Jitter | None = None,
    delay: float = START_DELAY,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the events of a condition, as the reconstructor would sum them.

    Args:
        sparse: a clip.
        at: the last slice.
        frame_at: slice in which the frame became current; None for no frame.
        configuration: of the reconstruction.
        jitter: an augmentation; None for none.
        delay: of the frame, slices.

    Returns:
        Voxel grid, leaky integrals and lasting events, float32 [event_channels - 1, grid, grid];
        the sum since the frame was complete, float32 [2, grid, grid], OFF then ON; and likewise
        what came before that, but the frame does not show. In events per sensor pixel.
    """
    c = configuration
    jitter = jitter or Jitter()
    summed = c.event_channels - 1 - c.lasting
    out = np.zeros((summed + 4, c.grid, c.grid), np.float32)
    events = sparse.cells, sparse.counts, sparse.starts, at
    table, weights = jitter.cell_map(), jitter.gains() / sparse.clip.pixels_per_cell
    powers = c.decays()[:, None].astype(np.float64) ** np.arange(at + 1)
    _accumulate_condition(
        *events,
        at if frame_at is None else frame_at,
        c.bins,
        c.slices_per_bin,
        powers,
        table,
        weights,
        *_entry_probabilities(jitter),
        late_shares(delay) if frame_at is not None else np.zeros(0, np.float32),
        out,
    )
    seen = out[:-4]
    if c.lasting:
        lasting = np.zeros((c.grid, c.grid), np.float32)
        _remember(
            *events, c.slice_ns / 1e9, table, weights, *_entry_probabilities(jitter), lasting
        )
        seen = np.concatenate([seen, lasting[None]])
    return seen, out[-4:-2], out[-2:]


def let_rest(
    events: NDArray[np.float32],
    slices: int,
    noise_hz: float,
    pixels_per_cell: float,
    configuration: ReconstructionConfiguration,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return the events of a condition after a while in which there was nothing but noise.

    Args:
        events: voxel grid, leaky integrals and lasting events, as of `condition_events`.
        slices: length of the while, at least that of the voxel grid.
        noise_hz: events of a sensor pixel in a second.
        pixels_per_cell: sensor pixels in a cell.
        configuration: of the reconstruction.
        rng: random numbers.
    """
    c = configuration
    slice_s = c.slice_ns / 1e9
    expected = 0.5 * noise_hz * c.slices_per_bin * slice_s * pixels_per_cell
    on, off = rng.poisson(expected, (2, c.bins, c.grid, c.grid))
    integrals = slice(c.bins, c.bins + len(c.tau_ms) + 1)
    tau_s = np.array([*c.tau_ms, c.activity_tau_ms]) / 1e3
    # Of a leaky sum of rare events.
    variance = noise_hz * tau_s / (2 * pixels_per_cell)
    drawn = rng.standard_normal((len(tau_s), c.grid, c.grid), np.float32)
    drawn *= np.sqrt(variance).astype(np.float32)[:, None, None]
    drawn[-1] = np.maximum(drawn[-1] + np.float32(noise_hz * tau_s[-1]), 0)
    out = events.copy()
    out[: c.bins] = (on - off) / pixels_per_cell
    out[integrals] *= (c.decays() ** slices)[:, None, None]
    out[integrals] += drawn
    return out


def _pixel_map(jitter: Jitter, pool: int) -> NDArray[np.int32]:
    """Return the input pixel that each cell moves to, int32 [GRID * GRID]; -1: out of the grid."""
    cells = jitter.cell_map()
    row, column = cells // GRID // pool, cells % GRID // pool
    return np.where(cells < 0, np.int32(-1), row * (GRID // pool) + column)


def _entry_probabilities(jitter: Jitter) -> tuple[float, float, float, np.uint64]:
    return jitter.keep, jitter.flip, jitter.late, np.uint64(jitter.seed)


@njit(nogil=True, cache=True)
def _augment_entry(seed, i, keep, flip, late):  # type: ignore[no-untyped-def]
    """Return whether an entry is kept, whether its polarity flips, and its delay in slices."""
    if keep >= 1 and flip <= 0 and late <= 0:
        return True, False, 0
    # Finalizer of splitmix64 (Steele et al., 2014): one random number per entry, in any order,
    # whose bits are split into three.
    z = seed + np.uint64(i + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    low = np.uint64((1 << 21) - 1)
    share = 1.0 / (1 << 21)
    when = np.float64((z >> np.uint64(42)) & low) * share
    return (
        np.float64(z & low) * share < keep,
        np.float64((z >> np.uint64(21)) & low) * share < flip,
        (1 if when < late / 2 else 0) - (1 if when >= 1 - late / 2 else 0),
    )


@njit(nogil=True, cache=True)
def _place_entry(i, place, end, cells, counts, table, weights, keep, flip, late, seed):  # type: ignore[no-untyped-def]
    """Return place, polarity, pixel and weight of an entry; pixel -1 if it is dropped."""
    kept, flipped, later = _augment_entry(seed, i, keep, flip, late)
    at, cell = place + later, np.uint32(cells[i])
    polarity, pixel = cell // (GRID * GRID), table[cell % (GRID * GRID)]
    if not kept or at < 0 or at >= end:
        pixel = np.int32(-1)
    shown = 1 - polarity if flipped else polarity
    return at, shown, pixel, weights[polarity] * counts[i]


@njit(nogil=True, cache=True)
def _accumulate_counts(ordered, starts, out, *events):  # type: ignore[no-untyped-def]
    for place in range(len(ordered)):
        for i in range(starts[ordered[place]], starts[ordered[place] + 1]):
            at, polarity, pixel, weight = _place_entry(i, place, len(ordered), *events)
            if pixel >= 0:
                out[at, pixel, polarity] += weight


@njit(nogil=True, cache=True)
def _accumulate_traces(ordered, starts, begins, rows, powers, out, *events):  # type: ignore[no-untyped-def]
    """Write the traces at the beginning of each sequence; the sequences are sorted by it.

    Entries moved by a slice across the beginning of a sequence may be off by one slice more.
    """
    since = 0
    for j in range(len(rows)):
        now, begin = out[rows[j]], begins[j]
        if since > 0:
            before, aged = out[rows[j - 1]], powers[begin - since]
            for pixel in range(len(now)):
                for k in range(len(aged)):
                    for polarity in range(2):
                        now[pixel, k, polarity] = aged[k] * before[pixel, k, polarity]
        for place in range(since, begin):
            for i in range(starts[ordered[place]], starts[ordered[place] + 1]):
                at, polarity, pixel, weight = _place_entry(i, place, begin + 1, *events)
                if pixel >= 0:
                    # An entry that is delayed into the sequence counts as of the slice before it.
                    aged = powers[max(begin - 1 - at, 0)]
                    for k in range(len(aged)):
                        now[pixel, k, polarity] += weight * aged[k]
        since = begin


@njit(nogil=True, cache=True)
def _accumulate_condition(  # type: ignore[no-untyped-def]
    cells, counts, starts, at, frame_at, bins, slices_per_bin, powers, table, weights, keep, flip,
    late, seed, unseen, out,
):  # fmt: skip
    leaky = len(powers)
    for slice_ in range(at + 1):
        for i in range(starts[slice_], starts[slice_ + 1]):
            kept, flipped, later = _augment_entry(seed, i, keep, flip, late)
            age = at - slice_ - later
            # An age over `at` is that of an entry moved before the clip.
            if not kept or age < 0 or age > at:
                continue
            cell = np.int64(cells[i])
            polarity, rest = cell // (GRID * GRID), cell % (GRID * GRID)
            to = table[rest]
            if to < 0:
                continue
            row, column = to // GRID, to % GRID
            events = weights[polarity] * counts[i]
            signed = events if (polarity == 1) != flipped else -events
            from_end = age // slices_per_bin
            if from_end < bins:
                out[bins - 1 - from_end, row, column] += signed
            for k in range(leaky - 1):
                out[bins + k, row, column] += signed * powers[k, age]
            out[bins + leaky - 1, row, column] += events * powers[leaky - 1, age]
            plane = bins + leaky + (1 if signed > 0 else 0)
            before = frame_at - (at - age)
            if before < 0:
                out[plane, row, column] += events
            elif before < len(unseen):
                out[plane + 2, row, column] += unseen[before] * events


@njit(nogil=True, cache=True)
def _remember(  # type: ignore[no-untyped-def]
    cells, counts, starts, at, duration_s, table, weights, keep, flip, late, seed, out
):
    """Write what `LastingEvents` keeps of slices; entries are not moved to other slices."""
    grid, blocks, coarse = len(out), len(out) // BLOCK, len(out) // NOISE_BLOCK
    signed = np.zeros((grid, grid), np.float32)
    now, activity = np.zeros((2, blocks, blocks), np.float32)
    averages = np.zeros((coarse, coarse), np.float32)
    quick = np.float32(1 - np.exp(-duration_s / ACTIVITY_S))
    slow = np.float32(1 - np.exp(-duration_s / NOISE_S))
    each = NOISE_BLOCK // BLOCK
    noise = 0.0
    for slice_ in range(at + 1):
        signed[:] = 0
        now[:] = 0
        for i in range(starts[slice_], starts[slice_ + 1]):
            kept, flipped, _ = _augment_entry(seed, i, keep, flip, late)
            cell = np.int64(cells[i])
            polarity, rest = cell // (GRID * GRID), cell % (GRID * GRID)
            to = table[rest]
            if not kept or to < 0:
                continue
            row, column = to // GRID, to % GRID
            events = np.float32(weights[polarity] * counts[i])
            signed[row, column] += events if (polarity == 1) != flipped else -events
            now[row // BLOCK, column // BLOCK] += events / np.float32(BLOCK * BLOCK)
        if slice_ % NOISE_SLICES == 0:
            ordered = np.sort(averages.ravel())
            noise = float(ordered[int(NOISE_QUANTILE * len(ordered))])
            noise = min(noise, MOST_NOISE_HZ * duration_s)
        activity += quick * (now - activity)
        for i in range(coarse):
            for j in range(coarse):
                part = now[each * i : each * i + each, each * j : each * j + each].mean()
                averages[i, j] += slow * (part - averages[i, j])
        limit = np.float32(OVER_NOISE * noise)
        for i in range(blocks):
            for j in range(blocks):
                total, weight = np.float32(0), np.float32(0)
                for u in range(max(i - 1, 0), min(i + 2, blocks)):
                    for v in range(max(j - 1, 0), min(j + 2, blocks)):
                        total += AROUND[u - i + 1, v - j + 1] * activity[u, v]
                        weight += AROUND[u - i + 1, v - j + 1]
                above = total / weight - limit
                if above <= 0:
                    continue
                remembered = np.exp(np.float32(-FORGET) * above)
                taken = above / (above + limit)
                for r in range(BLOCK * i, BLOCK * i + BLOCK):
                    for c in range(BLOCK * j, BLOCK * j + BLOCK):
                        out[r, c] = remembered * out[r, c] + taken * signed[r, c]
