"""Clips in memory: events as lists of cells, made into the networks' input on demand."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.histogram import GRID
from microexpr_ros.facs import CODES
from microexpr_ros.learning.data.augmentation import Jitter
from microexpr_ros.perception.reconstruction.network import ReconstructionConfiguration
from microexpr_ros.synthesis.dataset.clip import Clip
from microexpr_ros.synthesis.dataset.index import Index, read_clip, read_index

CHANGE_GAIN: Final = 20.0
"""Brings the change from frame to frame to the order of the frame itself."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A clip whose counts are kept as the cells that are not zero.

    Attributes:
        cells: uint16 [N], index into [2, GRID, GRID], slice after slice.
        counts: uint8 [N], events in the cell.
        starts: int64 [T + 1], first cell of each slice.
        clip: everything else; its own `counts` are empty.
    """

    cells: NDArray[np.uint16]
    counts: NDArray[np.uint8]
    starts: NDArray[np.int64]
    clip: Clip

    @property
    def slices(self) -> int:
        """Number of slices."""
        return len(self.starts) - 1

    @property
    def peaks(self) -> NDArray[np.float32]:
        """Largest ground-truth intensity of each unit, float32 [18]."""
        return np.asarray(self.clip.intensity.max(0), np.float32)

    @property
    def label(self) -> int:
        """Position of the dominant unit in `facs.CODES`; their number if there is none."""
        return CODES.index(self.clip.dominant) if self.clip.dominant else len(CODES)


def record(clip: Clip, images: bool = True, targets: bool = True) -> Recording:
    """Keep a clip as a list of cells.

    Args:
        clip: as read from a data set.
        images: also keep frames and targets.
        targets: False leaves out the targets, which are half of the images.
    """
    flat = clip.counts.reshape(len(clip.counts), -1)
    slices, cells = np.nonzero(flat)
    nothing = np.zeros((0, GRID, GRID), np.uint8)
    return Recording(
        cells.astype(np.uint16),
        flat[slices, cells],
        np.searchsorted(slices, np.arange(len(flat) + 1)).astype(np.int64),
        replace(
            clip,
            counts=np.zeros((0, 2, GRID, GRID), np.uint8),
            frames=clip.frames if images else nothing,
            target=clip.target if images and targets else nothing,
        ),
    )


def load(
    data: Path,
    split: str,
    images: bool,
    progress: Callable[[int, int], None] | None = None,
    targets: bool = True,
) -> list[Recording]:
    """Read a split into memory.

    Args:
        data: folder of a data set.
        split: a name of synthesis.dataset.splits.SPLITS.
        images: also keep frames and targets.
        progress: called with the clips read and all clips.
        targets: False leaves out the targets.

    Raises:
        MicroexprError: there is no such split, it has no clips, or some are still to be made.
    """
    index: Index = read_index(data, split)
    if len(index) == 0:
        raise MicroexprError(
            f'{data}/{split} has no clips: '
            f'make them with `microexpr synth --split {split} --out {data}`'
        )
    if not index.complete:
        raise MicroexprError(
            f'{data}/{split} is incomplete: '
            'finish it with the `microexpr synth` command that began it'
        )
    recordings = []
    for number in range(len(index)):
        recordings.append(record(read_clip(index, number), images, targets))
        if progress is not None:
            progress(number + 1, len(index))
    return recordings


def fingerprint(recordings: Sequence[Recording]) -> int:
    """Return a number that tells clips from others: of when their events come."""
    number = 0
    for recording in recordings:
        number = zlib.crc32(recording.starts.tobytes(), number)
    return number


@dataclass(frozen=True, slots=True)
class SequenceBatch:
    """Sequences for a network; short ones are silent at their end.

    Attributes:
        density: float32 [T, B, 2, side, side], events per sensor pixel, summed over the cells
            of an input pixel (so that `encode` may take it with pixels_per_cell 1).
        traces: float32 [B, N, 2, side, side], what the density of the slices before the
            sequence has left, in the same unit.
        sides: float32 [T, B, 18, 2], ground truth.
        valid: bool [T, B], False where a short sequence is filled up.
        label: int64 [B], as `Recording.label`.
        frames: float32 [T, B, 3, side, side]: in the slice that a frame of `film` was complete
            in, its changes; and the newest frame, 0 before the first. None unless asked for.
        frame_traces: float32 [B, N, 2, side, side], of the changes before the sequence; None
            unless asked for.
    """

    density: NDArray[np.float32]
    traces: NDArray[np.float32]
    sides: NDArray[np.float32]
    valid: NDArray[np.bool_]
    label: NDArray[np.int64]
    frames: NDArray[np.float32] | None = None
    frame_traces: NDArray[np.float32] | None = None


def sequences(
    recordings: Sequence[Recording],
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
        recordings: the clips.
        pool: cells per side of an input pixel.
        jitters: an augmentation for each clip; None for none.
        order: for each clip, which slice stands in which place: for the shuffled control.
        windows: first slice, and the one after the last, of each clip; None for whole clips.
        frames: also give what the frame camera saw.
        decays: what a slice leaves of each trace.
        events: False leaves `density` and `traces` 0, for a network that does not look at them.
    """
    spans = windows if windows is not None else [(0, r.slices) for r in recordings]
    steps, batch, side = max(end - first for first, end in spans), len(recordings), GRID // pool
    # In memory the channels of a pixel lie together: as convolutions are fastest, and an entry
    # that leaves all its traces in one place of the memory too.
    density = np.moveaxis(np.zeros((steps, batch, side, side, 2), np.float32), 4, 2)
    traces = np.zeros((batch, side, side, len(decays), 2), np.float32).transpose(0, 3, 4, 1, 2)
    sides = np.zeros((steps, batch, len(CODES), 2), np.float32)
    valid = np.zeros((steps, batch), np.bool_)
    seen = np.zeros((steps, batch, 3, side, side), np.float32) if frames else None
    seen_traces = np.zeros_like(traces) if frames else None
    longest = max(r.slices for r in recordings)
    powers = np.power.outer(np.asarray(decays, np.float32), np.arange(longest + 1))
    for group in _groups(recordings, jitters, order):
        recording = recordings[group[0]]
        jitter = Jitter() if jitters is None else jitters[group[0]]
        places = np.arange(recording.slices) if order is None else order[group[0]]
        begins = np.array([spans[b][0] for b in group])
        if events:
            weights = jitter.gains() / recording.clip.pixels_per_cell
            landing = (
                *(recording.cells, recording.counts, pool, jitter.table(), weights),
                *_chances(jitter),
            )
            by_begin = np.argsort(begins)
            rows = np.asarray(group)[by_begin]
            _leave(places, recording.starts, begins[by_begin], rows, powers, traces, *landing)
        if seen is not None:
            changes, pictures = film(recording, pool, jitter)
            newest = np.searchsorted(recording.clip.frame_slice, places, 'right') - 1
            there = newest >= 0
            fresh = there & (recording.clip.frame_slice[newest] == places)
        for b in group:
            first, end = spans[b]
            truth = recording.clip.sides[places[first:end]]
            sides[: end - first, b] = truth[..., ::-1] if jitter.mirror else truth
            valid[: end - first, b] = True
            if seen is not None and seen_traces is not None:
                shown, known, new = newest[first:end], there[first:end], fresh[first:end]
                seen[: end - first, b, 2][known] = pictures[shown[known]]
                seen[: end - first, b, :2][new] = changes[shown[new]]
                past = np.flatnonzero(fresh[:first])
                left = np.zeros((len(decays), len(changes)), np.float32)
                left[:, newest[past]] = powers[:, first - 1 - past]
                seen_traces[b] = np.tensordot(left, changes, 1)
            if events:
                _scatter(places[first:end], recording.starts, density[:, b], *landing)
                jitter.add_noise(density[:, b])
                jitter.add_trace_noise(traces[b], decays, first)
    labels = np.array([r.label for r in recordings], np.int64)
    return SequenceBatch(density, traces, sides, valid, labels, seen, seen_traces)


def _groups(
    recordings: Sequence[Recording],
    jitters: Sequence[Jitter] | None,
    order: Sequence[NDArray[np.int64]] | None,
) -> list[list[int]]:
    # Sequences of one clip come one after the other, and share what moves them and the past.
    shared = [recordings, *(given for given in (jitters, order) if given is not None)]
    groups: list[list[int]] = []
    for b in range(len(recordings)):
        if b and all(given[b] is given[b - 1] for given in shared):
            groups[-1].append(b)
        else:
            groups.append([b])
    return groups


def film(
    recording: Recording, pool: int, jitter: Jitter
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what a frame camera saw, frame by frame.

    Frames are brought to mean 0 and standard deviation 1, so that light and exposure are out.

    Args:
        recording: a clip with frames.
        pool: cells per side of an input pixel.
        jitter: moves the frames as it moves the events.

    Returns:
        float32 [F, 2, side, side], how much darker and how much brighter than the frame before,
        times `CHANGE_GAIN`; and float32 [F, side, side], the frames themselves.
    """
    clip, side = recording.clip, GRID // pool
    if len(clip.frames) != len(clip.frame_slice):
        raise ValueError('the clip was read without its images')
    moved = jitter.images(clip.frames)
    frames = np.zeros((len(moved), side, side), np.float32)
    # Several times faster than a mean over two axes of a view.
    for row, column in np.ndindex(pool, pool):
        frames += moved[:, row::pool, column::pool]
    frames /= pool**2
    frames -= frames.mean((1, 2), keepdims=True)
    frames /= frames.std((1, 2), keepdims=True) + np.float32(1)
    changes = CHANGE_GAIN * np.diff(frames, axis=0, prepend=frames[:1])
    return np.stack([-changes.clip(max=0), changes.clip(min=0)], 1), frames


def condition_events(
    recording: Recording,
    at: int,
    frame_at: int | None,
    configuration: ReconstructionConfiguration,
    jitter: Jitter | None = None,
) -> NDArray[np.float32]:
    """Return the event channels of a condition, as the reconstructor would hold them.

    Args:
        recording: a clip.
        at: the last slice that has been seen.
        frame_at: slice in which the frame became current; None for no frame.
        configuration: of the reconstruction.
        jitter: an augmentation; None for none.

    Returns:
        float32 [event_channels, grid, grid], not compressed.
    """
    c = configuration
    jitter = jitter or Jitter()
    out = np.zeros((c.event_channels, c.grid, c.grid), np.float32)
    powers = c.decays()[:, None].astype(np.float64) ** np.arange(at + 1)
    _integrate(
        recording.cells,
        recording.counts,
        recording.starts,
        at,
        at if frame_at is None else frame_at,
        c.bins,
        c.slices_per_bin,
        powers,
        jitter.table(),
        jitter.gains() / recording.clip.pixels_per_cell,
        *_chances(jitter),
        out,
    )
    return out


def _chances(jitter: Jitter) -> tuple[float, float, float, np.uint64]:
    return jitter.keep, jitter.flip, jitter.late, np.uint64(jitter.seed)


@njit(nogil=True, cache=True)
def _fate(seed, i, keep, flip, late):  # type: ignore[no-untyped-def]
    """Return whether an entry is kept, whether its polarity changes, how much later it comes."""
    if keep >= 1 and flip <= 0 and late <= 0:
        return True, False, 0
    # Finalizer of splitmix64 (Steele et al., 2014): one number per entry, in any order, whose
    # bits make three.
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
def _landing(  # type: ignore[no-untyped-def]
    i, place, end, cells, counts, pool, table, weights, keep, flip, late, seed
):
    """Return place, polarity, row, column and weight of an entry; place -1 if it is lost."""
    kept, flipped, later = _fate(seed, i, keep, flip, late)
    at, cell = place + later, np.int64(cells[i])
    polarity, rest = cell // (GRID * GRID), cell % (GRID * GRID)
    to = table[rest]
    if not kept or at < 0 or at >= end or to < 0:
        at = -1
    shown = 1 - polarity if flipped else polarity
    return at, shown, to // GRID // pool, to % GRID // pool, weights[polarity] * counts[i]


@njit(nogil=True, cache=True)
def _scatter(places, starts, out, *events):  # type: ignore[no-untyped-def]
    for place in range(len(places)):
        for i in range(starts[places[place]], starts[places[place] + 1]):
            at, polarity, row, column, weight = _landing(i, place, len(places), *events)
            if at >= 0:
                out[at, polarity, row, column] += weight


@njit(nogil=True, cache=True)
def _leave(places, starts, begins, rows, powers, out, *events):  # type: ignore[no-untyped-def]
    """Give the row of each sequence, of increasing begins, what the slices before it left.

    Entries that are late or early by a slice where a sequence begins may be off by one more.
    """
    since = 0
    for j in range(len(rows)):
        now, begin = out[rows[j]], begins[j]
        if since > 0:
            for k in range(len(powers)):
                now[k] = powers[k, begin - since] * out[rows[j - 1], k]
        for place in range(since, begin):
            for i in range(starts[places[place]], starts[places[place] + 1]):
                at, polarity, row, column, weight = _landing(i, place, begin + 1, *events)
                if at >= 0:
                    # What is late and falls into the sequence is taken as just before it.
                    age = max(begin - 1 - at, 0)
                    for k in range(len(powers)):
                        now[k, polarity, row, column] += weight * powers[k, age]
        since = begin


@njit(nogil=True, cache=True)
def _integrate(  # type: ignore[no-untyped-def]
    cells, counts, starts, at, frame_at, bins, slices_per_bin, powers, table, weights, keep, flip,
    late, seed, out,
):  # fmt: skip
    leaky = len(powers)
    for slice_ in range(at + 1):
        for i in range(starts[slice_], starts[slice_ + 1]):
            kept, flipped, later = _fate(seed, i, keep, flip, late)
            age = at - slice_ - later
            # An age of more than the sequence is that of an entry from before it.
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
            if at - age > frame_at:
                out[bins + leaky, row, column] += signed
