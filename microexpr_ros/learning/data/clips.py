"""Clips kept sparse in memory, in the boxes in which networks see them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from microexpr_ros.alignment.face_alignment import align, align_centres
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.grid import GRID
from microexpr_ros.facs import CODES
from microexpr_ros.learning.data.augmentation import Jitter
from microexpr_ros.perception.boxes import Boxes
from microexpr_ros.synthesis.dataset.clip import Clip
from microexpr_ros.synthesis.dataset.index import Index, read_clip, read_index
from microexpr_ros.synthesis.dataset.references import (
    References,
    has_references,
    read_references,
)

UNDECIDED: Final = -1
"""In place of a unit where a movement has begun or nearly ended: nothing is learned there."""

MOVING: Final = 0.6
"""Share of its peak from which the dominant unit is to be recognized."""

RESTING: Final = 0.15
"""Share of its peak below which it is to be found at rest."""


@dataclass(frozen=True, slots=True)
class SparseClip:
    """A clip whose counts are kept as the list of nonzero cells.

    Attributes:
        cells: uint16 [N], index into [2, GRID, GRID], slice after slice.
        counts: uint8 [N], events in the cell.
        starts: int64 [T + 1], first cell of each slice.
        clip: the clip without its counts.
        boxes: what the grid shows: the clip's own coarse box, or its aligned region.
        references: uint8 [N, GRID, GRID], pictures of the person from before the clip in the same
            light, each aligned by its own landmarks; None if none were made.
    """

    cells: NDArray[np.uint16]
    counts: NDArray[np.uint8]
    starts: NDArray[np.int64]
    clip: Clip
    boxes: Boxes = 'coarse'
    references: NDArray[np.uint8] | None = None

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

    def main(self) -> NDArray[np.int64]:
        """Return the main unit of the movement in each slice, int64 [T].

        It is the position of the dominant unit in `facs.CODES` while that is at `MOVING` of its
        peak or more, their number while it is below `RESTING`, and `UNDECIDED` in between.
        """
        none = np.full(self.slices, len(CODES), np.int64)
        if not self.clip.dominant:
            return none
        unit = self.label
        share = self.clip.intensity[:, unit] / max(float(self.peaks[unit]), 1e-6)
        return np.select([share >= MOVING, share < RESTING], [unit, none], UNDECIDED)


def make_sparse(clip: Clip, images: bool = True, targets: bool = True) -> SparseClip:
    """Return a clip with its counts as a list of nonzero cells.

    Args:
        clip: as read from a data set.
        images: also keep frames and targets.
        targets: False leaves out the targets, which are half of the images.
    """
    flat = clip.counts.reshape(-1)
    # Of truth values: NumPy finds those several times as fast as numbers.
    places = np.flatnonzero(flat != 0)
    size = flat.size // len(clip.counts)
    nothing = np.zeros((0, GRID, GRID), np.uint8)
    return SparseClip(
        (places % size).astype(np.uint16),
        flat[places],
        np.searchsorted(places, size * np.arange(len(clip.counts) + 1)).astype(np.int64),
        replace(
            clip,
            counts=np.zeros((0, 2, GRID, GRID), np.uint8),
            frames=clip.frames if images else nothing,
            target=clip.target if images and targets else nothing,
        ),
    )


def in_boxes(clips: Sequence[SparseClip], boxes: Boxes) -> list[SparseClip]:
    """Return clips as they are seen in boxes of a kind; those that are so already stay.

    Args:
        clips: as `make_sparse` returns them.
        boxes: followed or aligned, both without a tracker's errors, or coarse.
    """

    def put(clip: SparseClip) -> SparseClip:
        return align_clip(hold_still(clip) if boxes == 'followed' else clip, boxes)

    return [clip if clip.boxes == boxes else put(clip) for clip in clips]


def hold_still(sparse: SparseClip, found: NDArray[np.floating] | None = None) -> SparseClip:
    """Return a clip whose slices are shifted by whole cells, so that the face stays where it was.

    Only the face's centre stays: it still turns, nods and grows. Events, frames, targets and
    landmarks are moved alike; edges of images are repeated.

    Args:
        sparse: a clip in its coarse box.
        found: float [T, 5, 2], the landmarks as a tracker finds them, in cells; None for the true
            ones.
    """
    if sparse.boxes != 'coarse':
        raise ValueError(f'clip {sparse.clip.index} is aligned already')
    landmarks = sparse.clip.landmarks
    centres = align_centres(landmarks if found is None else found)
    shifts = np.rint(centres - centres[0]).astype(np.int64)
    cells, counts, starts = _shift_entries(sparse.cells, sparse.counts, sparse.starts, shifts)
    clip = replace(
        sparse.clip,
        landmarks=(landmarks - shifts[:, None]).astype(np.float32),
        frames=_shift_images(sparse.clip.frames, shifts[sparse.clip.frame_slice]),
        target=_shift_images(sparse.clip.target, shifts[sparse.clip.target_slice]),
    )
    return replace(sparse, cells=cells, counts=counts, starts=starts, clip=clip)


def _shift_images(images: NDArray[np.uint8], shifts: NDArray[np.int64]) -> NDArray[np.uint8]:
    columns, rows = (np.arange(GRID) + shifts[:, :, None]).clip(0, GRID - 1).swapaxes(0, 1)
    numbers = np.arange(len(images))[:, None, None]
    moved = images[numbers, rows[: len(images), :, None], columns[: len(images), None]]
    return np.asarray(moved, np.uint8)


@njit(nogil=True, cache=True)
def _shift_entries(cells, counts, starts, shifts):  # type: ignore[no-untyped-def]
    """Return the entries that are still in the grid, and where each slice's begin."""
    to, kept = np.empty_like(cells), np.empty_like(counts)
    begins = np.zeros_like(starts)
    number = 0
    for slice_ in range(len(starts) - 1):
        right, down = shifts[slice_]
        for i in range(starts[slice_], starts[slice_ + 1]):
            cell = np.int64(cells[i])
            row, column = cell // GRID % GRID - down, cell % GRID - right
            if 0 <= row < GRID and 0 <= column < GRID:
                to[number] = (cell // (GRID * GRID) * GRID + row) * GRID + column
                kept[number] = counts[i]
                number += 1
        begins[slice_ + 1] = number
    return to[:number].copy(), kept[:number].copy(), begins


def align_clip(sparse: SparseClip, boxes: Boxes = 'aligned') -> SparseClip:
    """Return a clip whose grid shows the region that its landmarks align at its start.

    Events, frames, targets and landmarks are moved alike; a cell has the events of all cells
    whose middle is in it. What the coarse box did not show stays empty.

    Args:
        sparse: a clip in its coarse box.
        boxes: what its boxes are then: followed, if the face was held still before.
    """
    if sparse.boxes != 'coarse':
        raise ValueError(f'clip {sparse.clip.index} is aligned already')
    clip, region = sparse.clip, align(sparse.clip.landmarks[0])
    jitter = Jitter(region=region)
    polarity, cell = np.divmod(sparse.cells.astype(np.int64), GRID * GRID)
    to = jitter.cell_map()[cell]
    slices = np.repeat(np.arange(sparse.slices), np.diff(sparse.starts))
    places = ((2 * slices + polarity) * GRID * GRID + to)[to >= 0]
    unique, which = np.unique(places, return_inverse=True)
    counts = np.bincount(which, sparse.counts[to >= 0], len(unique))
    slices, cells = np.divmod(unique, 2 * GRID * GRID)
    return SparseClip(
        cells.astype(np.uint16),
        counts.clip(max=255).astype(np.uint8),
        np.searchsorted(slices, np.arange(sparse.slices + 1)).astype(np.int64),
        replace(
            clip,
            pixels_per_cell=clip.pixels_per_cell * jitter.area,
            landmarks=(GRID * region.to_shares(clip.landmarks)).astype(np.float32),
            frames=jitter.warp_images(clip.frames),
            target=jitter.warp_images(clip.target),
        ),
        boxes,
        sparse.references,
    )


def align_references(references: References) -> NDArray[np.uint8]:
    """Return references that their landmarks align, uint8 [N, GRID, GRID]."""
    return np.stack(
        [
            Jitter(region=align(landmarks)).warp_images(frame)
            for frame, landmarks in zip(references.frames, references.landmarks, strict=True)
        ]
    )


def load_split(
    data: Path,
    split: str,
    images: bool,
    progress: Callable[[int, int], None] | None = None,
    targets: bool = True,
) -> list[SparseClip]:
    """Read a split into memory.

    Args:
        data: folder of a data set.
        split: name of the split.
        images: also keep frames and targets.
        progress: called with the clips read and all clips.
        targets: False leaves out the targets, and the references if some were made.

    Raises:
        MicroexprError: the split is missing, empty or incomplete, or its references are.
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
    references: list[References] | None = None
    if images and targets and has_references(index):
        references = read_references(index)
    clips = []
    for number in range(len(index)):
        clip = make_sparse(read_clip(index, number), images, targets)
        if references is not None:
            clip = replace(clip, references=align_references(references[number]))
        clips.append(clip)
        if progress is not None:
            progress(number + 1, len(index))
    return clips


def dense_counts(sparse: SparseClip, number: int) -> NDArray[np.uint8]:
    """Return the counts of one slice, uint8 [2, GRID, GRID]."""
    counts = np.zeros(2 * GRID * GRID, np.uint8)
    span = slice(int(sparse.starts[number]), int(sparse.starts[number + 1]))
    counts[sparse.cells[span]] = sparse.counts[span]
    return counts.reshape(2, GRID, GRID)


def fingerprint(clips: Sequence[SparseClip]) -> int:
    """Return a checksum of the times of the clips' events."""
    number = 0
    for sparse in clips:
        number = zlib.crc32(sparse.starts.tobytes(), number)
    return number
