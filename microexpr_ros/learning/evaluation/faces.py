"""How well a tracker finds faces in takes of the whole sensor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.face_alignment import align
from microexpr_ros.alignment.faces import Face, FaceTracker
from microexpr_ros.events.grid import SLICE_NS, place_pixels
from microexpr_ros.events.region import holds
from microexpr_ros.learning.evaluation.face_regions import INNER_FACE, overlap
from microexpr_ros.learning.evaluation.head_moving import HeadMovingScores, score_head_moving
from microexpr_ros.learning.evaluation.outline_tracker import OutlineTracker
from microexpr_ros.perception.faces import EventFaceTracker, FaceInference
from microexpr_ros.synthesis.dataset.face_takes import (
    FaceRecipe,
    FaceTake,
    describe_take,
    generate_face_takes,
    read_face_take,
)

MOVING: Final = 0.03
"""Speed from which a face counts as moving, distances between the eyes per second."""

TURNING: Final = 0.3
"""Speed from which its head counts as turning, likewise."""

_TAKE_NS: Final = 5_000_000_000
_NOBODY_NS: Final = 10_000_000_000
_SETTLE_S: Final = 1.0
_WRONG_S: Final = 0.1
_NEAR_CELLS: Final = 16
_FAR_CELLS: Final = 10
_LONG_S: Final = 2.5


@dataclass(frozen=True, slots=True)
class FaceScores:
    """Scores of a tracker, counted after a face's first second of movement.

    Attributes:
        takes: takes that were scored.
        minutes: time for which a face was scored.
        found: share of the time in which the face is known.
        inner_inside: share of the time in which its region holds the whole inner face.
        reachable_inside: the same of the true landmarks' region: beyond it reach some chins.
        iou: mean intersection over union of the region and the true landmarks' one.
        landmark_error: median error of the landmarks, in distances between the eyes.
        landmark_error_95: 95 % of the time it is below this.
        turning_error: its median while the head turns.
        sigma_ratio: root mean square error over the sigma that the tracker states; 1 is right.
        wrong_per_minute: faces where there are none, per minute of all takes.
    """

    takes: int
    minutes: float
    found: float
    inner_inside: float
    reachable_inside: float
    iou: float
    landmark_error: float
    landmark_error_95: float
    turning_error: float
    sigma_ratio: float
    wrong_per_minute: float


@dataclass(frozen=True, slots=True)
class CaseScores:
    """Scores of a part of the time, as of `FaceScores`.

    Attributes:
        minutes: time for which a face was scored.
        found: share of the time in which the face is known.
        landmark_error: median error of the landmarks, in distances between the eyes.
        landmark_error_95: 95 % of the time it is below this.
    """

    minutes: float
    found: float
    landmark_error: float
    landmark_error_95: float


@dataclass(frozen=True, slots=True)
class FaceReport:
    """What `microexpr evaluate face` found.

    Attributes:
        model: name and hash of the weights.
        split: whose persons, val or test.
        tracker: on the split.
        shift: on the split shift, in light and with sensors that training never saw.
        nobody: on takes without a face, in which walls and things move.
        activity_region: the region that follows the outline of a head, on the split.
        head_moving: how often HEAD_MOVING is claimed, on the split.
        update_ms: time of a core that the tracker took for a slice, the mean of the split.
        by: on the split, by sensor, light, size of the face (the distance between its eyes in
            cells of the sensor's grid), whether the head turns, and how long the face has moved.
    """

    model: str
    split: str
    tracker: FaceScores
    shift: FaceScores
    nobody: FaceScores
    activity_region: FaceScores
    head_moving: HeadMovingScores
    update_ms: float
    by: Mapping[str, Mapping[str, CaseScores]]


@dataclass(frozen=True, slots=True)
class _Counted:
    """A slice that counts for a face.

    Attributes:
        at: its number.
        turning: whether the head turns.
        eyes: distance between the eyes, cells of the sensor's grid.
        moved_s: time for which the face has moved.
    """

    at: int
    turning: bool
    eyes: float
    moved_s: float


@dataclass(frozen=True, slots=True)
class _Moment:
    when: _Counted
    found: bool
    inside: bool
    reachable: bool
    iou: float
    error: float
    sigma: float


def evaluate_faces(
    data: Path,
    inference: FaceInference,
    split: str,
    takes: int,
    shift: int,
    nobody: int,
    progress: Callable[[str], None] = lambda text: None,
) -> FaceReport:
    """Score the tracker on whole sensors of a real size; takes that are missing are made.

    Args:
        data: folder of the takes.
        inference: the networks.
        split: val or test.
        takes: how many of the split.
        shift: how many of the split shift.
        nobody: how many without a face.
        progress: called with what is being done.
    """
    recipes = {
        'split': (FaceRecipe(split, exact=True, duration_ns=_TAKE_NS), takes),
        'shift': (FaceRecipe('shift', exact=True, duration_ns=_TAKE_NS), shift),
        'nobody': (FaceRecipe(split, faces=False, duration_ns=_NOBODY_NS), nobody),
    }
    found: dict[str, FaceScores] = {}
    by: Mapping[str, Mapping[str, CaseScores]] = {}
    make_tracker = partial(_make_tracker, inference)
    spent_s = slices = 0.0
    for name, (recipe, number) in recipes.items():
        progress(f'making {recipe.name}')
        paths = generate_face_takes(data, recipe, number)
        read = [read_face_take(path) for path in paths]
        progress(f'scoring {recipe.name}')
        started = time.thread_time()
        moments, wrong = score_takes(read, make_tracker)
        found[name] = _summarize(read, list(chain.from_iterable(moments)), wrong)
        if name == 'split':
            spent_s = time.thread_time() - started
            by = score_cases(moments, [describe_take(recipe, n) for n in range(number)])
            slices = sum(len(take.starts) - 1 for take in read)
            found['region'] = score_region(read)
            head_moving = score_head_moving(read, make_tracker)
    return FaceReport(
        inference.model,
        split,
        found['split'],
        found['shift'],
        found['nobody'],
        found['region'],
        head_moving,
        1e3 * spent_s / slices,
        by,
    )


def _make_tracker(inference: FaceInference, take: FaceTake) -> FaceTracker:
    return EventFaceTracker(take.height, take.width, inference, pixels=take.pixels)


def score_faces(
    takes: Sequence[FaceTake], make_tracker: Callable[[FaceTake], FaceTracker]
) -> FaceScores:
    """Score a tracker on exact takes."""
    moments, wrong = score_takes(takes, make_tracker)
    return _summarize(takes, list(chain.from_iterable(moments)), wrong)


def score_takes(
    takes: Sequence[FaceTake], make_tracker: Callable[[FaceTake], FaceTracker]
) -> tuple[list[list[_Moment]], int]:
    """Return the moments of each take, and how many faces were shown where there are none."""
    moments: list[list[_Moment]] = []
    wrong = 0
    for take in takes:
        tracker = make_tracker(take)
        shown = [tracker.update(counts, SLICE_NS / 1e9) for counts in _slices(take)]
        wrong += _count_wrong(take, shown)
        moments.append(
            [one for face in range(len(take.landmarks)) for one in _score_face(take, face, shown)]
        )
    return moments, wrong


def score_cases(
    moments: Sequence[Sequence[_Moment]], conditions: Sequence[Mapping[str, str]]
) -> dict[str, dict[str, CaseScores]]:
    """Return the scores of each case of each condition.

    Args:
        moments: of each take.
        conditions: sensor and light of each take.
    """
    cases: dict[str, dict[str, list[_Moment]]] = {}
    for of_take, condition in zip(moments, conditions, strict=True):
        for one in of_take:
            for name, case in {**condition, **_describe_moment(one)}.items():
                cases.setdefault(name, {}).setdefault(case, []).append(one)
    return {
        name: {case: _summarize_case(found[case]) for case in sorted(found)}
        for name, found in cases.items()
    }


def _describe_moment(moment: _Moment) -> dict[str, str]:
    when = moment.when
    if when.eyes < _FAR_CELLS:
        size = f'far, under {_FAR_CELLS} cells'
    elif when.eyes > _NEAR_CELLS:
        size = f'near, over {_NEAR_CELLS} cells'
    else:
        size = f'between, {_FAR_CELLS} to {_NEAR_CELLS} cells'
    return {
        'size': size,
        'head': 'turns' if when.turning else 'slow',
        'moved': f'for {_LONG_S} s' if when.moved_s >= _LONG_S else f'for {_SETTLE_S} s',
    }


def _summarize_case(moments: Sequence[_Moment]) -> CaseScores:
    error = np.array([one.error for one in moments])
    return CaseScores(
        2 * len(moments) * SLICE_NS / 60e9,
        float(np.mean([one.found for one in moments])),
        _quantile(error, 0.5),
        _quantile(error, 0.95),
    )


def score_region(takes: Sequence[FaceTake]) -> FaceScores:
    """Score the region that follows the outline of a head, which shows no landmarks."""
    moments: list[_Moment] = []
    for take in takes:
        tracker = OutlineTracker(take.height, take.width)
        rows, columns = map(place_pixels, take.shape, tracker.shape)
        shown: list[Sequence[Face]] = []
        for counts in _slices(take):
            coarse = np.zeros((2, *tracker.shape), np.int64)
            for polarity, cells in zip(coarse, counts, strict=True):
                np.add.at(polarity, (rows[:, None], columns[None]), cells)
            seen = np.minimum(coarse, 255).astype(np.uint8)
            shown.append(tracker.update(seen, SLICE_NS / 1e9))
        for face in range(len(take.landmarks)):
            for when in _counted(take, face):
                inner = take.points[face, when.at, INNER_FACE]
                truth = align(take.landmarks[face, when.at])
                reachable = holds(truth, inner)
                if not shown[when.at]:
                    moments.append(_Moment(when, False, False, reachable, 0.0, np.nan, np.nan))
                    continue
                region = align(shown[when.at][0].landmarks)
                inside = holds(region, inner)
                iou = overlap(region, truth)
                moments.append(_Moment(when, True, inside, reachable, iou, np.nan, np.nan))
    return _summarize(takes, moments, 0)


def _slices(take: FaceTake) -> Iterator[NDArray[np.uint8]]:
    for number in range(len(take.starts) - 1):
        yield take.dense(number)


def _counted(take: FaceTake, face: int) -> Iterator[_Counted]:
    """Yield the slices that count for a face."""
    landmarks = take.landmarks[face].astype(np.float64)
    eyes = np.linalg.norm(landmarks[:, 0] - landmarks[:, 1], axis=1)
    step = np.linalg.norm(np.diff(landmarks, axis=0, prepend=landmarks[:1]), axis=2)
    speed = step.mean(axis=1) / eyes / (SLICE_NS / 1e9)
    moved_s = np.cumsum(speed > MOVING) * SLICE_NS / 1e9
    size = np.array([take.width, take.height])
    cells_per_px = take.shape[1] / take.width
    in_view = ((landmarks >= 0) & (landmarks < size)).all(axis=(1, 2))
    for at in range(0, len(landmarks), 2):
        if moved_s[at] >= _SETTLE_S and in_view[at]:
            turning = bool(speed[at] > TURNING)
            yield _Counted(at, turning, float(eyes[at]) * cells_per_px, float(moved_s[at]))


def _score_face(take: FaceTake, face: int, shown: Sequence[Sequence[Face]]) -> Iterator[_Moment]:
    for when in _counted(take, face):
        true = take.landmarks[face, when.at].astype(np.float64)
        near = [one for one in shown[when.at] if _same(one.landmarks, true)]
        inner, truth = take.points[face, when.at, INNER_FACE], align(true)
        reachable = holds(truth, inner)
        if not near:
            yield _Moment(when, False, False, reachable, 0.0, np.inf, np.nan)
            continue
        eyes = float(np.linalg.norm(true[0] - true[1]))
        errors = [float(np.linalg.norm(one.landmarks - true, axis=1).mean()) for one in near]
        best = int(np.argmin(errors))
        region = align(near[best].landmarks)
        inside = holds(region, inner)
        iou = overlap(region, truth)
        yield _Moment(when, True, inside, reachable, iou, errors[best] / eyes, near[best].sigma)


def _count_wrong(take: FaceTake, shown: Sequence[Sequence[Face]]) -> int:
    """Return how many faces were shown for a while where none is."""
    alone: dict[int, int] = {}
    for at, faces in enumerate(shown):
        for face in faces:
            if not any(_same(face.landmarks, true) for true in take.landmarks[:, at]):
                alone[face.number] = alone.get(face.number, 0) + 1
    return sum(slices * SLICE_NS / 1e9 >= _WRONG_S for slices in alone.values())


def _same(found: NDArray[np.floating], true: NDArray[np.floating]) -> bool:
    region = align(true)
    away = found.mean(axis=0) - true.mean(axis=0)
    return bool(np.hypot(*away) < 0.5 * region.side)


def _summarize(takes: Sequence[FaceTake], moments: Sequence[_Moment], wrong: int) -> FaceScores:
    minutes = sum(len(take.starts) - 1 for take in takes) * SLICE_NS / 60e9
    if not moments:
        return FaceScores(len(takes), 0.0, *(float('nan'),) * 8, wrong / max(minutes, 1e-9))
    error = np.array([one.error for one in moments])
    turning = np.array([one.when.turning for one in moments])
    sigma = np.array([one.sigma for one in moments])
    known = np.isfinite(error) & np.isfinite(sigma)
    ratio = float('nan')
    if known.any():
        # The error is that of two axes, sigma that of one.
        ratio = float(np.sqrt(np.square(error[known]).mean() / 2 / np.square(sigma[known]).mean()))
    return FaceScores(
        len(takes),
        2 * len(moments) * SLICE_NS / 60e9,
        float(np.mean([one.found for one in moments])),
        float(np.mean([one.inside for one in moments])),
        float(np.mean([one.reachable for one in moments])),
        float(np.mean([one.iou for one in moments])),
        _quantile(error, 0.5),
        _quantile(error, 0.95),
        _quantile(error[turning], 0.5),
        ratio,
        wrong / max(minutes, 1e-9),
    )


def _quantile(error: NDArray[np.float64], share: float) -> float:
    # A face that is not found has an infinite error; no interpolation, as infinities have none.
    return float(np.quantile(error, share, method='lower')) if len(error) else float('nan')
