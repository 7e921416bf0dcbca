"""Scores of the whole chain: from the events of a sensor to Action Units and movements."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microexpr_ros.analysis.chain import AnalyzedSlice, read_faces
from microexpr_ros.analysis.stream import SliceStream
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.events.region import holds
from microexpr_ros.facs import CODES, PRESENT, ExpressionKind
from microexpr_ros.landmarks import EYE_DISTANCE, PLACES
from microexpr_ros.learning import metrics
from microexpr_ros.learning.evaluation.action_unit_report import Score
from microexpr_ros.learning.evaluation.face_regions import INNER_FACE, overlap
from microexpr_ros.learning.evaluation.resampling import bootstrap, confidence_interval
from microexpr_ros.learning.evaluation.spotting import match_spans
from microexpr_ros.learning.evaluation.stories import (
    BOX,
    SETTLING_NS,
    Story,
    read_story,
    true_region,
    true_slices,
)
from microexpr_ros.learning.evaluation.story_pictures import (
    METHODS,
    PictureSums,
    StoryPicture,
    paint_story,
    score_pictures,
)
from microexpr_ros.learning.prediction import Prediction
from microexpr_ros.learning.training.calibration import BACKGROUND, dominant
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor
from microexpr_ros.perception.spotting import MicroExpression


@dataclass(frozen=True, slots=True)
class FaceScores:
    """How well the face is followed, from the first second on.

    Attributes:
        iou: mean intersection over union of the region and the true one; 0 without a region.
        landmark_error: mean distance of the tracker's five landmarks from the true ones, as a
            share of the distance between the eyes, while they are known.
        place_error: the same of where the region has them, while there is a region.
        reachable_place_error: the same of the true region: no face is quite the mean face.
        inside: share of time with the whole inner face, brows to chin, inside the region.
        reachable_inside: the same of the true region: beyond it reach some chins.
    """

    iou: Score
    landmark_error: Score
    place_error: Score
    reachable_place_error: Score
    inside: Score
    reachable_inside: Score


@dataclass(frozen=True, slots=True)
class ChainScores:
    """What is found of what moves.

    Attributes:
        uf1: mean F1 of the units' presence over all slices.
        spotting_f1: F1 of expressions that overlap a true one by half, whatever their units.
        dominant_accuracy: share of the expressions whose strongest unit is named.
        false_alarms: detections per minute during which none of their units moves.
    """

    uf1: Score
    spotting_f1: Score
    dominant_accuracy: Score
    false_alarms: Score


@dataclass(frozen=True, slots=True)
class StoryPictureScores:
    """How much pictures look like the frames of the stories, which have noise of their own.

    Attributes:
        psnr: mean peak signal-to-noise ratio, dB.
        ssim: mean `metrics.ssim`.
        psnr_changed: as `psnr`, of the pixels that changed since the frame that is given; nan
            without one.
    """

    psnr: Score
    ssim: Score
    psnr_changed: Score


@dataclass(frozen=True, slots=True)
class PipelineReport:
    """The chain on the stories of a split, beside the same network on the true faces.

    Attributes:
        split: name of the split.
        model: name and hash of the network.
        painter: name and hash of the network that makes pictures.
        stories: how many.
        persons: how many.
        minutes: length of all stories together.
        expressions: true expressions, blinks and speech not counted.
        true_region: what the network gets of a known face: box or aligned.
        face: how well the face is followed.
        chain: the scores of the whole chain.
        true_faces: those of the same network on the true faces.
        pictures: scores of the chain's pictures, by the methods of `paint_story`.
    """

    split: str
    model: str
    painter: str
    stories: int
    persons: int
    minutes: float
    expressions: int
    true_region: str
    face: FaceScores
    chain: ChainScores
    true_faces: ChainScores
    pictures: Mapping[str, StoryPictureScores]


def evaluate_pipeline(
    folders: Sequence[Path],
    classifier: ActionUnitClassifier,
    reconstructor: Reconstructor,
    split: str,
    kind: str = BOX,
    on_progress: Callable[[int, int], object] = lambda *_: None,
    on_story: Callable[[Sequence[StoryPicture]], object] = lambda _: None,
) -> PipelineReport:
    """Score the chain on stories.

    Args:
        folders: of the stories.
        classifier: reads the units.
        reconstructor: makes the pictures.
        split: name of their split.
        kind: what the network gets of a known face, one of `stories.TRUE_REGIONS`.
        on_progress: called with the stories that are done, and all.
        on_story: called with the pictures of each story.

    Raises:
        MicroexprError: a story is damaged.
    """
    identities: list[int] = []
    faces: list[FaceOutcome] = []
    chain: list[StoryOutcome] = []
    known: list[StoryOutcome] = []
    pictures: list[Mapping[str, PictureSums]] = []
    for number, folder in enumerate(folders):
        on_progress(number, len(folders))
        story = read_story(folder)
        read = list(read_faces(SliceStream(open_recording(story.bag)), classifier))
        painted = list(paint_story((one.aligned.slice for one in read), reconstructor))
        on_story(painted)
        pictures.append(score_pictures(painted))
        true = true_slices(open_recording(story.bag), story, kind)
        identities.append(story.identity)
        faces.append(measure_face(story, read, kind))
        chain.append(measure_story(story, read, classifier.presence))
        known.append(measure_story(story, list(read_faces(true, classifier)), classifier.presence))
    on_progress(len(folders), len(folders))
    persons = np.array(identities, np.int64)
    return PipelineReport(
        split,
        classifier.model,
        reconstructor.model,
        len(folders),
        len(np.unique(persons)),
        sum(outcome.minutes for outcome in chain),
        sum(outcome.named[1] for outcome in chain),
        kind,
        _summarize_faces(persons, faces),
        _summarize_chain(persons, chain),
        _summarize_chain(persons, known),
        summarize_pictures(persons, pictures),
    )


@dataclass(frozen=True, slots=True)
class FaceOutcome:
    """How well the face of a story is followed; sums over slices.

    Attributes:
        slices: from the first second on.
        iou: sum of the intersections over union.
        inside: slices with the inner face inside.
        reachable: slices with the inner face inside the true region.
        located: slices with a region.
        place_error: sum of the distances of their places from the true landmarks, shares of the
            distance between the eyes.
        reachable_place_error: sum of those of the true region, in all slices.
        known: slices with landmarks.
        landmark_error: sum of their distances from the true ones, likewise.
    """

    slices: int
    iou: float
    inside: int
    reachable: int
    located: int
    place_error: float
    reachable_place_error: float
    known: int
    landmark_error: float


def measure_face(story: Story, read: Sequence[AnalyzedSlice], kind: str) -> FaceOutcome:
    """Compare the regions of a story with its true face."""
    slices = inside = reachable = located = known = 0
    iou = place_error = reachable_error = landmark_error = 0.0
    for analyzed in read:
        slice_ = analyzed.aligned.slice
        middle_ns = slice_.clock_end_ns - slice_.duration_ns // 2
        if middle_ns < SETTLING_NS:
            continue
        slices += 1
        row = story.row(middle_ns)
        truth = true_region(story.landmarks[row], kind)
        inner = story.points[row, INNER_FACE]
        reachable += holds(truth, inner)
        # The eyes of a turned head are nearer together: the true region's do not depend on it.
        eyes_px = EYE_DISTANCE * truth.side
        reachable_error += _distance(truth.to_pixels(PLACES), story.landmarks[row]) / eyes_px
        if analyzed.aligned.landmarks is not None:
            known += 1
            now = story.landmarks[story.row(slice_.clock_end_ns)]
            landmark_error += _distance(analyzed.aligned.landmarks, now) / eyes_px
        if slice_.region is None:
            continue
        located += 1
        iou += overlap(slice_.region, truth)
        inside += holds(slice_.region, inner)
        place_error += _distance(slice_.region.to_pixels(PLACES), story.landmarks[row]) / eyes_px
    return FaceOutcome(
        slices,
        iou,
        inside,
        reachable,
        located,
        place_error,
        reachable_error,
        known,
        landmark_error,
    )


def _distance(points: NDArray[np.floating], others: NDArray[np.floating]) -> float:
    """Return the mean distance of points from others, px."""
    away = points - others
    return float(np.hypot(away[:, 0], away[:, 1]).mean())


@dataclass(frozen=True, slots=True, eq=False)
class StoryOutcome:
    """What was found in a story.

    Attributes:
        minutes: its length.
        units: int64 [4, 18], as `metrics.confusion` of presence over the slices.
        spotted: expressions that were found, wrong detections, missed expressions.
        named: expressions whose strongest unit was named, and all.
        alarms: detections during which none of their units moves.
    """

    minutes: float
    units: NDArray[np.int64]
    spotted: tuple[int, int, int]
    named: tuple[int, int]
    alarms: int


def measure_story(story: Story, read: Sequence[AnalyzedSlice], presence: Presence) -> StoryOutcome:
    """Compare what was found in a story with its truth."""
    ends = np.array([one.aligned.slice.clock_end_ns for one in read], np.int64)
    rows = np.array([story.row(end) for end in ends.tolist()], np.int64)
    # Limits of the decision are those of evidence, where the network gathers it.
    estimates = [one.estimate for one in read]
    decisive = np.array([Prediction(e.intensity, e.evidence).decisive for e in estimates])
    active = np.array([one.estimate.active for one in read], np.bool_)
    true = [m for m in story.movements if m.kind is ExpressionKind.EXPRESSION]
    named = 0
    for movement in true:
        during = (ends > movement.onset_ns) & (ends - SLICE_NS < movement.offset_ns)
        if during.any():
            [unit] = dominant(decisive[during].max(axis=0)[None], presence)
            named += int(unit) == CODES.index(movement.dominant)
    found = [movement.expression for one in read for movement in one.movements]
    false = [is_false_alarm(story, detection) for detection in found]
    counted = [
        (detection.onset_ns, detection.offset_ns)
        for detection, is_false in zip(found, false, strict=True)
        if is_false or _is_expression(detection)
    ]
    right = len(match_spans(counted, [(m.onset_ns, m.offset_ns) for m in true]))
    return StoryOutcome(
        len(read) * SLICE_NS / 60e9,
        metrics.confusion(story.intensity[rows] >= PRESENT, active),
        (right, len(counted) - right, len(true) - right),
        (named, len(true)),
        sum(false),
    )


def is_false_alarm(story: Story, detection: MicroExpression) -> bool:
    """Return whether none of a detection's units is really present at any time of its span."""
    first, last = story.row(detection.onset_ns), story.row(detection.offset_ns)
    units = [CODES.index(code) for code in detection.codes]
    return not bool((story.intensity[first : last + 1, units] >= PRESENT).any())


def _is_expression(detection: MicroExpression) -> bool:
    is_blink = set(detection.codes) <= set(BACKGROUND)
    return detection.kind is ExpressionKind.EXPRESSION and not is_blink


_Rows: TypeAlias = NDArray[np.int64]


def _score(persons: NDArray[np.int64], statistic: Callable[[_Rows], float]) -> Score:
    every = np.arange(len(persons))
    return Score(statistic(every), confidence_interval(bootstrap(persons, statistic)))


def _ratio(above: ArrayLike, below: ArrayLike) -> Callable[[_Rows], float]:
    """Return the ratio of two sums over stories; nan where the second is 0."""
    tops, bottoms = np.array(above, np.float64), np.array(below, np.float64)

    def ratio(rows: _Rows) -> float:
        total = float(bottoms[rows].sum())
        return float(tops[rows].sum()) / total if total else math.nan

    return ratio


def _summarize_faces(persons: NDArray[np.int64], faces: Sequence[FaceOutcome]) -> FaceScores:
    slices = [face.slices for face in faces]
    return FaceScores(
        iou=_score(persons, _ratio([face.iou for face in faces], slices)),
        landmark_error=_score(
            persons,
            _ratio([face.landmark_error for face in faces], [face.known for face in faces]),
        ),
        place_error=_score(
            persons, _ratio([face.place_error for face in faces], [face.located for face in faces])
        ),
        reachable_place_error=_score(
            persons, _ratio([face.reachable_place_error for face in faces], slices)
        ),
        inside=_score(persons, _ratio([face.inside for face in faces], slices)),
        reachable_inside=_score(persons, _ratio([face.reachable for face in faces], slices)),
    )


def _summarize_chain(persons: NDArray[np.int64], stories: Sequence[StoryOutcome]) -> ChainScores:
    units = np.stack([story.units for story in stories])
    right, wrong, missed = np.array([story.spotted for story in stories]).T

    def uf1(rows: _Rows) -> float:
        return metrics.mean_of_known(metrics.f1_of(units[rows].sum(0)))

    return ChainScores(
        uf1=_score(persons, uf1),
        spotting_f1=_score(persons, _ratio(2 * right, 2 * right + wrong + missed)),
        dominant_accuracy=_score(
            persons,
            _ratio([s.named[0] for s in stories], [s.named[1] for s in stories]),
        ),
        false_alarms=_score(
            persons, _ratio([s.alarms for s in stories], [s.minutes for s in stories])
        ),
    )


def summarize_pictures(
    persons: NDArray[np.int64], stories: Sequence[Mapping[str, PictureSums]]
) -> dict[str, StoryPictureScores]:
    """Return the scores of stories together; those of each are by method."""

    def summarize(sums: Sequence[PictureSums]) -> StoryPictureScores:
        number, changed = [one.pictures for one in sums], [one.changed for one in sums]
        return StoryPictureScores(
            _score(persons, _ratio([one.psnr for one in sums], number)),
            _score(persons, _ratio([one.ssim for one in sums], number)),
            _score(persons, _ratio([one.psnr_changed for one in sums], changed)),
        )

    return {name: summarize([story[name] for story in stories]) for name in METHODS}


def format_pipeline(report: PipelineReport) -> str:
    """Return the report as tables in Markdown."""
    face = report.face
    rows = [
        f'{report.stories} stories of {report.persons} persons ({report.split}), '
        f'{report.minutes:.1f} minutes, {report.expressions} expressions; {report.model}',
        '',
        '| the face, events only | |',
        '|---|---|',
        f'| IoU of the region | {_number(face.iou)} |',
        f'| landmark error, of the distance between the eyes | {_percent(face.landmark_error)} |',
        f'| the same of where the region has them | {_percent(face.place_error)} |',
        f'| the same of the true region | {_percent(face.reachable_place_error)} |',
        f'| inner face inside the region, share of time | {_percent(face.inside)} |',
        f'| the same of the true region | {_percent(face.reachable_inside)} |',
        '',
        f'| | chain | true faces ({report.true_region}) |',
        '|---|---|---|',
    ]
    scores: tuple[tuple[str, str, Callable[[Score], str]], ...] = (
        ('UF1', 'uf1', _number),
        ('spotting F1', 'spotting_f1', _number),
        ('dominant unit per expression', 'dominant_accuracy', _percent),
        ('false alarms per minute', 'false_alarms', _number),
    )
    for title, name, to_text in scores:
        both = (getattr(one, name) for one in (report.chain, report.true_faces))
        rows.append(f'| {title} | {" | ".join(map(to_text, both))} |')
    rows += [
        '',
        f'| pictures of {report.painter} | PSNR, dB | SSIM | PSNR of changed pixels, dB |',
        '|---|---|---|---|',
    ]
    for name, one in report.pictures.items():
        values = _decibels(one.psnr), _number(one.ssim), _decibels(one.psnr_changed)
        rows.append(f'| {name} | {" | ".join(values)} |')
    return '\n'.join(rows)


def _number(score: Score) -> str:
    return _with_interval(score, lambda value: f'{value:.3f}')


def _decibels(score: Score) -> str:
    return _with_interval(score, lambda value: f'{value:.1f}')


def _percent(score: Score) -> str:
    return _with_interval(score, lambda value: f'{100 * value:.1f} %')


def _with_interval(score: Score, to_text: Callable[[float], str]) -> str:
    if math.isnan(score.value):
        return 'not measured'
    low, high = score.ci95
    interval = '' if math.isnan(low) else f' ({to_text(low)} to {to_text(high)})'
    return to_text(score.value) + interval
