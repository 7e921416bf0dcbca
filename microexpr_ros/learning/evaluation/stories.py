"""Stories: whole-sensor recordings whose truth is known, to score the pipeline on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.face_alignment import align, measure_off_centre
from microexpr_ros.alignment.frame_alignment import SyncSource
from microexpr_ros.alignment.slices import Cut, Slice, SliceCutter
from microexpr_ros.alignment.synchronizer import AlignedSlice
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.files import Recording
from microexpr_ros.events.grid import GRID, SLICE_NS, accumulate
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.synthesis.dataset.bags import (
    STORIES,
    check_recordings,
    read_metadata,
    recording_path,
)
from microexpr_ros.synthesis.world.labels import Movement, movements
from microexpr_ros.synthesis.world.motion import REST, Motion, UnitActivation

MOVES_AT: Final = 0.08
"""The true region moves when the face has moved by this share of its side, as the tracker's."""

SETTLING_NS: Final = 1_000_000_000
"""Where the face is, and what it looks like, counts from then on: until then a tracker may look
for it."""

ALIGNED: Final = 'aligned'
BOX: Final = 'box'
TRUE_REGIONS: Final = (BOX, ALIGNED)
"""What the network gets of a known face: an upright box, or a square that is turned with it."""

_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Story:
    """A story and its truth.

    Attributes:
        bag: its recording.
        identity: number of its person.
        intensity: float32 [T, 18], of the stronger side at each millisecond.
        points: float32 [T, 68, 2], the 68 landmarks at each millisecond, px.
        landmarks: float32 [T, 5, 2], those of the face without expression, px.
        movements: what moves.
    """

    bag: Path
    identity: int
    intensity: NDArray[np.float32]
    points: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    movements: tuple[Movement, ...]

    def row(self, clock_ns: int) -> int:
        """Return the row of the truth at a moment on the sensor's clock."""
        return min(max(round(clock_ns / _MS), 0), len(self.intensity) - 1)


def find_stories(root: Path, split: str) -> list[Path]:
    """Return the folders of a split's stories, after checking that none is damaged.

    Raises:
        MicroexprError: there are none, some are missing or damaged.
    """
    folder, count = check_recordings(root, split, STORIES)
    return [recording_path(folder, number) for number in range(count)]


def read_story(folder: Path) -> Story:
    """Read the truth of a story.

    Raises:
        MicroexprError: its labels are damaged, or of an older version.
    """
    path = folder / 'labels.npz'
    metadata = read_metadata(path)
    with np.load(path, allow_pickle=False) as labels:
        if 'face_landmarks' not in labels:
            raise MicroexprError(f'{path} has no face_landmarks: make the story again')
        motion = _to_motion(labels, metadata.duration_ns, metadata.distractors)
        return Story(
            folder / 'bag',
            metadata.identity,
            np.asarray(labels['intensity'].max(axis=2), np.float32),
            labels['landmarks'],
            labels['face_landmarks'],
            tuple(movements(motion)),
        )


def _to_motion(labels: Any, duration_ns: int, distractors: tuple[str, ...]) -> Motion:
    """Return the movements of the units, without the head's."""
    names = ('code', 'onset_ns', 'apex_ns', 'release_ns', 'offset_ns')
    shares = ('amplitude', 'left', 'right')
    columns = [labels[f'unit_{name}'].tolist() for name in (*names, *shares)]
    activations = tuple(UnitActivation(*row) for row in zip(*columns, strict=True))
    return Motion(
        duration_ns, activations, (), (REST,) * 6, (), (REST,) * 2, distractors=distractors
    )


def true_region(landmarks: NDArray[np.float32], kind: str) -> AlignedRegion:
    """Return where a known face is: a square that is turned with it if the kind is ALIGNED."""
    region = align(landmarks)
    return region if kind == ALIGNED else AlignedRegion(region.x, region.y, region.side)


def true_slices(recording: Recording, story: Story, kind: str) -> Iterator[AlignedSlice]:
    """Yield the slices of a story with its true face.

    Args:
        recording: its bag.
        story: its truth.
        kind: BOX or ALIGNED.
    """
    yield from _cut(recording, story, _follow(story, kind))


def _follow(story: Story, kind: str) -> Callable[[int], AlignedRegion]:
    """Return the true region at a moment, which rests until the face has moved."""
    held: AlignedRegion | None = None

    def at(clock_ns: int) -> AlignedRegion:
        nonlocal held
        now = true_region(story.landmarks[story.row(clock_ns)], kind)
        if held is not None:
            away = math.hypot(now.x - held.x, now.y - held.y, now.side - held.side)
            turned = abs(now.roll - held.roll) * held.side
            if max(away, turned) < MOVES_AT * held.side:
                return held
        held = now
        return now

    return at


def _cut(
    recording: Recording, story: Story, region_at: Callable[[int], AlignedRegion]
) -> Iterator[AlignedSlice]:
    counts, inside = np.zeros((2, GRID, GRID), np.uint8), 0
    region: AlignedRegion | None = None
    for cut in _cuts(recording):
        if region is None:
            ended_ns = cut.ended_ns or 0
            begin_ns = int(cut.events.t[0]) if len(cut.events) else ended_ns - SLICE_NS
            region = region_at(begin_ns)
        inside += accumulate(cut.events, region, counts)
        if cut.ended_ns is not None:
            off_centre = measure_off_centre(region, story.landmarks[story.row(cut.ended_ns)])
            slice_ = Slice(
                recording.epoch_ns + cut.ended_ns,
                SLICE_NS,
                region,
                counts,
                inside,
                sensor_end_ns=cut.ended_ns,
                off_centre=off_centre,
            )
            yield AlignedSlice(slice_, 0, SyncSource.NONE, 0.0, 0)
            counts, inside = np.zeros((2, GRID, GRID), np.uint8), 0
            region = None


def _cuts(recording: Recording) -> Iterator[Cut]:
    cutter = SliceCutter(SLICE_NS)
    for events, _ in recording.chunks():
        yield from cutter.push(events)
    yield from cutter.flush()
