"""Scores of the whole chain on published recordings of real faces.

Each recording goes through the synchronizer and the classifier as any other. Labels are those of a
whole recording or of a part of it, so a unit is scored by the highest intensity that it reaches
there. The network has seen none of these persons.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.synchronizer import SynchronizerOptions
from microexpr_ros.analysis import Analysis, analyze_recording
from microexpr_ros.errors import MicroexprError
from microexpr_ros.facs import CODES, NAMES, OPENING, SPEECH, ExpressionKind
from microexpr_ros.learning import metrics
from microexpr_ros.learning.datasets import Dataset, FaceLabels, LabelledRecording, labelled
from microexpr_ros.learning.evaluation.action_unit_report import Score
from microexpr_ros.learning.evaluation.resampling import (
    Statistic,
    bootstrap,
    confidence_interval,
)
from microexpr_ros.perception.classifier import ActionUnitClassifier, Status

_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class UnitScores:
    """How one unit was found.

    Attributes:
        code: its FACS number.
        labelled: recordings whose label means it.
        others: recordings of expressions whose label does not.
        auc: area under the curve of its highest intensity, 0.5 is chance.
        found: share of `labelled` in which it became active.
        found_elsewhere: share of `others` in which it did.
    """

    code: int
    labelled: int
    others: int
    auc: Score
    found: Score
    found_elsewhere: Score


@dataclass(frozen=True, slots=True)
class RegionScores:
    """How the face region was found, at the moments that have labels.

    Attributes:
        moments: number of them.
        followed: share with a region.
        hit: share with a region whose centre is in a labelled box.
        overlap: median intersection over union with the best box, of those with a region; the
            region is a square with a margin, so 1 is out of reach.
        landmarks: share of the landmarks of hit faces that are in the region.
    """

    moments: int
    followed: float
    hit: float
    overlap: float
    landmarks: float


@dataclass(frozen=True, slots=True)
class RealFacesReport:
    """What the chain reaches on a data set of real faces; nan where its labels do not say.

    Attributes:
        dataset: name of the data set.
        title: its publication.
        split: its split.
        labels: what its labels say, and by which source.
        protocol: who is in which split.
        model: name and hash of the network.
        recordings: recordings that were scored.
        unreadable: recordings that could not be read.
        reason: why the first of those could not; empty without any.
        persons: persons in them; 0 where they are not published.
        seconds: length of all.
        followed: share of the slices with a face.
        judged: share of the slices with an estimate that counts (status OK).
        unit_accuracy: share of the recordings of one unit in which it is the strongest.
        mean_auc: mean over the units.
        units: unit by unit.
        opened: share of the recordings of speech in which unit 25 or 26 became active.
        false_alarms: expressions per minute in what shows none, by what it shows: in speech,
            those of a unit that speech does not move; in moving heads, any.
        region: how the face was found; None without labels of it.
    """

    dataset: str
    title: str
    split: str
    labels: str
    protocol: str
    model: str
    recordings: int
    unreadable: int
    reason: str
    persons: int
    seconds: float
    followed: float
    judged: float
    unit_accuracy: Score
    mean_auc: Score
    units: tuple[UnitScores, ...]
    opened: Score
    false_alarms: dict[str, Score]
    region: RegionScores | None


@dataclass(frozen=True, slots=True, eq=False)
class _Outcome:
    """What was found in one recording.

    Attributes:
        recording: what was read.
        seconds: its length.
        slices: number of slices, of those with a face, and of those that count.
        peak: float64 [18], highest intensity where the label is.
        active: bool [18], whether a unit became active there.
        alarms: expressions in what shows none.
        region: float64 [moments, 4], followed, hit, overlap and share of landmarks at each moment
            with labels; nan where there is none.
    """

    recording: LabelledRecording
    seconds: float
    slices: tuple[int, int, int]
    peak: NDArray[np.float64]
    active: NDArray[np.bool_]
    alarms: int
    region: NDArray[np.float64]


def evaluate_real_faces(
    dataset: Dataset,
    split: str,
    recordings: Sequence[LabelledRecording],
    classifier: ActionUnitClassifier,
    options: SynchronizerOptions | None = None,
    on_progress: Callable[[float], object] = lambda _: None,
) -> RealFacesReport:
    """Score the chain on recordings of a data set.

    Args:
        dataset: where they are from.
        split: its split.
        recordings: of the split.
        classifier: reads the units.
        options: how slices are cut, and where the face is, if it is not to be followed.
        on_progress: called with the fraction that is done.

    Raises:
        MicroexprError: no recording can be read.
    """
    outcomes: list[_Outcome] = []
    errors: list[MicroexprError] = []
    for number, recording in enumerate(recordings, 1):
        try:
            analysis = analyze_recording(recording.open(), classifier, options)
        except MicroexprError as error:
            errors.append(error)
        else:
            outcomes.append(_judge(recording, analysis))
        on_progress(number / len(recordings))
    if not outcomes:
        raise errors[0]
    return _score(dataset, split, outcomes, errors, classifier.model)


def _judge(recording: LabelledRecording, analysis: Analysis) -> _Outcome:
    counts = analysis.status == Status.OK
    where = counts.copy()
    if recording.interval_s is not None:
        first_s, last_s = recording.interval_s
        where &= (analysis.time_s > first_s) & (analysis.time_s <= last_s)
    units = len(CODES)
    nothing = not where.any()
    return _Outcome(
        recording,
        float(analysis.time_s[-1]) if len(analysis) else 0.0,
        (len(analysis), int((analysis.face >= 0).sum()), int(counts.sum())),
        np.zeros(units) if nothing else analysis.intensity[where].max(axis=0).astype(np.float64),
        np.zeros(units, bool) if nothing else analysis.active[where].any(axis=0),
        _count_alarms(recording, analysis),
        _judge_region(recording.faces, analysis),
    )


def _count_alarms(recording: LabelledRecording, analysis: Analysis) -> int:
    expected = SPEECH if recording.shows == labelled.SPEECH else frozenset()
    return sum(
        movement.expression.kind is ExpressionKind.EXPRESSION
        and not frozenset(movement.expression.codes) <= expected
        for movement in analysis.movements
    )


def _judge_region(faces: FaceLabels | None, analysis: Analysis) -> NDArray[np.float64]:
    if faces is None or not len(analysis):
        return np.empty((0, 4))
    rows = []
    for time_s in np.unique(faces.time_s):
        index = int(np.searchsorted(analysis.time_s, time_s))
        if index == len(analysis):
            # The recording ends before its labels do.
            continue
        now = faces.time_s == time_s
        region = analysis.region[index].astype(np.float64)
        rows.append(_compare(region, faces.boxes[now], faces.landmarks[now]))
    return np.array(rows, np.float64).reshape(-1, 4)


def _compare(
    region: NDArray[np.float64], boxes: NDArray[np.float64], landmarks: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """Return whether there is a region, whether it hits a face, and how well it fits."""
    if np.isnan(region).any():
        return 0.0, 0.0, math.nan, math.nan
    overlaps = _overlap(region, boxes)
    best = int(overlaps.argmax())
    centre = region[:2] + region[2:] / 2
    inside_box = (centre >= boxes[:, :2]) & (centre <= boxes[:, :2] + boxes[:, 2:])
    hits = np.asarray(inside_box.all(axis=1), np.bool_)
    points = landmarks[best]
    inside = ((points >= region[:2]) & (points <= region[:2] + region[2:])).all(axis=1)
    share = math.nan if np.isnan(points).any() or not hits[best] else float(inside.mean())
    return 1.0, float(hits.any()), float(overlaps[best]), share


def _overlap(region: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union of a rectangle with each of several, float64 [N]."""
    begin = np.maximum(region[:2], boxes[:, :2])
    end = np.minimum(region[:2] + region[2:], boxes[:, :2] + boxes[:, 2:])
    shared = np.maximum(end - begin, 0).prod(axis=1)
    return np.asarray(shared / (region[2:].prod() + boxes[:, 2:].prod(axis=1) - shared))


def _score(
    dataset: Dataset,
    split: str,
    outcomes: Sequence[_Outcome],
    errors: Sequence[MicroexprError],
    model: str,
) -> RealFacesReport:
    names = [one.recording.person for one in outcomes]
    known = sorted({name for name in names if name})
    # Without names there is no telling whether two recordings show one person.
    persons = np.array([known.index(name) if name else -1 for name in names], np.int64)
    shows = np.array([one.recording.shows for one in outcomes])
    columns = [CODES.index(code) for code in dataset.units]
    peak = np.array([one.peak for one in outcomes])[:, columns]
    active = np.array([one.active for one in outcomes])[:, columns]
    truth = np.array(
        [[code in one.recording.units for code in dataset.units] for one in outcomes], bool
    ).reshape(len(outcomes), len(columns))
    posed = np.flatnonzero(shows == labelled.EXPRESSION)
    spoken = np.flatnonzero(shows == labelled.SPEECH)
    single = posed[truth[posed].sum(axis=1) == 1]
    slices, followed, judged = np.sum([one.slices for one in outcomes], axis=0).tolist()

    def score(which: NDArray[np.int64], statistic: Statistic) -> Score:
        """Return a statistic of some recordings, with an interval if persons are known."""
        if len(which) == 0:
            return Score()
        value = statistic(which)
        if persons[which].min() < 0 or math.isnan(value):
            return Score(value)
        samples = bootstrap(persons[which], lambda drawn: statistic(which[drawn]))
        return Score(value, confidence_interval(samples))

    def area(column: int) -> Statistic:
        return lambda which: _area(truth[which, column], peak[which, column])

    units = tuple(
        UnitScores(
            code,
            int(truth[posed, k].sum()),
            int((~truth[posed, k]).sum()),
            score(posed, area(k)),
            score(posed[truth[posed, k]], _share_of(active[:, k])),
            score(posed[~truth[posed, k]], _share_of(active[:, k])),
        )
        for k, code in enumerate(dataset.units)
        if len(posed)
    )
    opening = [k for k, code in enumerate(dataset.units) if code in OPENING]
    alarms = np.array([one.alarms for one in outcomes], np.float64)
    seconds = np.array([one.seconds for one in outcomes])
    quiet = {
        kind: np.flatnonzero(shows == kind)
        for kind in (labelled.HEAD, labelled.SPEECH)
        if (shows == kind).any()
    }
    return RealFacesReport(
        dataset.name,
        dataset.title,
        split,
        dataset.labels,
        dataset.protocol,
        model,
        len(outcomes),
        len(errors),
        str(errors[0]) if errors else '',
        len(known),
        float(seconds.sum()),
        followed / slices if slices else math.nan,
        judged / slices if slices else math.nan,
        score(
            single,
            lambda which: float((peak[which].argmax(1) == truth[which].argmax(1)).mean()),
        ),
        score(
            posed,
            lambda which: metrics.mean_of_known(
                np.array([area(k)(which) for k in range(len(columns))])
            ),
        ),
        units,
        score(spoken, _share_of(np.asarray(active[:, opening].any(axis=1), np.bool_))),
        {
            kind: score(
                which,
                lambda some: float(
                    alarms[some].sum() / max(seconds[some].sum(), 1e-9) * _MINUTE_S
                ),
            )
            for kind, which in quiet.items()
        },
        _score_region(np.concatenate([one.region for one in outcomes])),
    )


def _share_of(flags: NDArray[np.bool_]) -> Statistic:
    return lambda which: float(flags[which].mean())


def _area(truth: NDArray[np.bool_], peak: NDArray[np.float64]) -> float:
    if truth.all() or not truth.any():
        return math.nan
    return metrics.area_under_curve(truth, peak)


def _score_region(moments: NDArray[np.float64]) -> RegionScores | None:
    if not len(moments):
        return None
    overlaps = moments[~np.isnan(moments[:, 2]), 2]
    return RegionScores(
        len(moments),
        float(moments[:, 0].mean()),
        float(moments[:, 1].mean()),
        float(np.median(overlaps)) if len(overlaps) else math.nan,
        metrics.mean_of_known(moments[:, 3]),
    )


def format_real_faces(report: RealFacesReport) -> str:
    """Return a report as Markdown."""
    lines = [
        f'{report.title}, split {report.split}: {report.recordings} recordings, '
        f'{report.persons or "an unknown number of"} persons, {report.seconds:.1f} s; network '
        f'{report.model}.',
        f'Labels: {report.labels}. Persons: {report.protocol}.',
        '',
        '| | |',
        '|---|---:|',
        f'| slices with a face | {_number(report.followed)} |',
        f'| slices that count (status OK) | {_number(report.judged)} |',
    ]
    rows = {
        'recordings of one unit, it is the strongest': report.unit_accuracy,
        'area under the curve, mean over units': report.mean_auc,
        'recordings of speech, unit 25 or 26 found': report.opened,
        **{f'false alarms a minute, {kind}': one for kind, one in report.false_alarms.items()},
    }
    lines += [f'| {name} | {_format(one)} |' for name, one in rows.items() if _known(one)]
    if report.region is not None:
        region = report.region
        lines += [
            f'| moments with labels of faces | {region.moments} |',
            f'| of those with a region | {_number(region.followed)} |',
            f'| of those with the centre in a face | {_number(region.hit)} |',
            f'| overlap (IoU), median | {_number(region.overlap)} |',
            f'| landmarks in the region | {_number(region.landmarks)} |',
        ]
    if report.unreadable:
        lines.append(f'| recordings that cannot be read | {report.unreadable} |')
    if report.units:
        lines += ['', '| unit | labelled | AUC | found | found elsewhere |', '|---|' + '---:|' * 4]
        lines += [
            f'| {one.code} {NAMES[one.code]} | {one.labelled} of {one.labelled + one.others} | '
            f'{_format(one.auc)} | {_format(one.found)} | {_format(one.found_elsewhere)} |'
            for one in report.units
        ]
    return '\n'.join(lines)


def _known(score: Score) -> bool:
    return not math.isnan(score.value)


def _format(score: Score) -> str:
    if math.isnan(score.ci95[0]):
        return _number(score.value)
    return f'{score.value:.3f} ({score.ci95[0]:.3f} to {score.ci95[1]:.3f})'


def _number(value: float) -> str:
    return '' if math.isnan(value) else f'{value:.3f}'
