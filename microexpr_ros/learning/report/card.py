"""Reports as tables of Markdown: for the terminal and the model card."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import TypeAlias

from microexpr_ros.facs import CODES, NAMES
from microexpr_ros.learning.evaluation.action_unit_report import ActionUnitReport
from microexpr_ros.learning.evaluation.reconstruction import (
    ConditionReport,
    PictureScores,
    ReconstructionReport,
)
from microexpr_ros.learning.evaluation.resting_faces import RestReport
from microexpr_ros.learning.report.method_rows import method_rows
from microexpr_ros.learning.report.wording import (
    NOTHING,
    fraction,
    milliseconds,
    number,
    per_second,
    percent,
    points,
    with_interval,
)

ScoresByKind: TypeAlias = Mapping[str, Mapping[str, PictureScores]]
"""By kind, and by method."""


def format_action_units(report: ActionUnitReport) -> str:
    """Return a report on Action Units as tables of Markdown."""
    parts = [
        f'{report.weights}, split {report.split}: {report.n_clips} clips of '
        f'{report.n_identities} persons in {report.boxes} boxes. In brackets: 95 % confidence '
        'intervals over persons.',
        _headline(report),
        _methods(report),
        _units(report),
        _conditions(report),
        *([_comparisons(report)] if report.against_by_condition else []),
        _robustness(report),
    ]
    return '\n\n'.join(parts) + '\n'


def format_reconstruction(report: ReconstructionReport) -> str:
    """Return a report on reconstructed pictures as tables of Markdown."""
    head = ('made from', 'method', 'PSNR', 'SSIM', 'PSNR, changed', 'correlation of change')
    conditions = [
        *((f'frame {age} ms old', row) for age, row in report.by_frame_age.items()),
        ('a reference in the same light', report.with_reference),
        ('a reference in another light', report.with_reference_other_light),
        ('events alone', report.events_only),
    ]
    rows = [(name, row) for name, row in conditions if row is not None]
    cells = [
        [
            name,
            f'**{method}**' if method == 'network' else method,
            _decibels(scores.psnr),
            fraction(scores.ssim),
            _decibels(scores.psnr_changed),
            fraction(scores.correlation),
        ]
        for name, row in rows
        for method, scores in row.methods.items()
    ]
    coverage = [
        [name, str(row.n), percent(row.coverage.all), percent(row.coverage.changed)]
        for name, row in rows
    ]

    def table_by(title: str, kinds_of: Callable[[ConditionReport], ScoresByKind]) -> str:
        by_kind = [
            [name, kind, method, _decibels(scores.psnr), _decibels(scores.psnr_changed)]
            for name, row in rows
            for kind, methods in kinds_of(row).items()
            for method, scores in methods.items()
        ]
        return _table(('made from', title, 'method', 'PSNR', 'PSNR, changed'), by_kind)

    parts = [
        f'{report.weights}, split {report.split}: {report.n_clips} clips of '
        f'{report.n_identities} persons.',
        _table(head, cells),
        _table(('made from', 'pictures', 'coverage of 90 %', 'of changed pixels'), coverage),
        table_by('light', attrgetter('by_light')),
        table_by('sensor', attrgetter('by_sensor')),
        table_by('head in the frame', attrgetter('by_motion')),
    ]
    if report.rest is not None:
        parts.append(_format_rest(report.rest))
    if report.shift is not None:
        parts.append(format_reconstruction(report.shift).rstrip())
    return '\n\n'.join(parts) + '\n'


def _format_rest(report: RestReport) -> str:
    found = report.scores
    rows = [
        ('change of low frequencies', percent(found.drift)),
        ('the same, worst take', percent(report.worst_drift)),
        ('the same of the true pictures', percent(found.true_drift)),
        ('flicker, grey levels', f'{found.flicker:.2f}'),
        ('first second', f'{_decibels(found.psnr_first)}, SSIM {fraction(found.ssim_first)}'),
        ('last second', f'{_decibels(found.psnr_last)}, SSIM {fraction(found.ssim_last)}'),
    ]
    head = f'faces that have come to rest, events alone: {report.n_clips} takes', ''
    return _table(head, [list(row) for row in rows])


def _headline(report: ActionUnitReport) -> str:
    events, sides, calibration = report.events, report.asymmetry, report.calibration
    rows = [
        ('clip accuracy, dominant unit or none', events.clip_accuracy, percent),
        ('mean F1 of the units, by slice (UF1)', events.uf1, fraction),
        ('mean recall of the units, by slice (UAR)', events.uar, fraction),
        ('spotting F1, overlap at least 0.5', events.spotting_f1, fraction),
        ('onset to detection, median', events.median_delay_ms, milliseconds),
        ('clip accuracy lost on the split shift', report.shift_drop, points),
        *(
            (f'clip accuracy lost on {name} expressions of shift', row.drop, points)
            for name, row in report.shift_by_strength.items()
        ),
        ('calibration error of the confidence', calibration.error, fraction),
        ('the same, of units called active', calibration.error_active, fraction),
    ]
    rows += [
        (f'false alarms per minute, {kind}', row.per_min, number)
        for kind, row in report.false_alarms.items()
    ]
    uneven = f'stronger side named, {sides.n_clips} clips with uneven units'
    rows.append((uneven, sides.named, percent))
    cells = [[name, with_interval(score, write)] for name, score, write in rows]
    cells += [
        ['stronger side, AUC of left minus right', fraction(sides.auc)],
        ['synaptic operations', per_second(report.operations.synops_per_s)],
        ['multiply-adds of the twin', per_second(report.twin_macs_per_s)],
    ]
    return _table(('', ''), cells)


def _methods(report: ActionUnitReport) -> str:
    head = ('method, same clips', 'clip accuracy', 'UF1', 'UAR', 'AUC', 'spotting F1', 'delay')
    cells = [
        [
            f'**{row.name}**' if row.is_network else row.name,
            with_interval(row.clip_accuracy, percent),
            fraction(row.uf1),
            fraction(row.uar),
            fraction(row.auc),
            fraction(row.spotting_f1),
            milliseconds(row.median_delay_ms),
        ]
        for row in method_rows(report)
    ]
    return _table(head, cells)


def _units(report: ActionUnitReport) -> str:
    cells = []
    for code in CODES:
        row = report.per_au[code]
        cells.append(
            [
                f'{code} {NAMES[code]}',
                fraction(row.f1),
                fraction(row.auc),
                str(row.n),
                fraction(row.dominant_recall),
                str(row.n_dominant),
            ]
        )
    return _table(('unit', 'F1', 'AUC', 'clips', 'found as dominant', 'clips'), cells)


def _conditions(report: ActionUnitReport) -> str:
    cells = [
        [
            f'{what}: {name}',
            with_interval(row.clip_accuracy, percent),
            fraction(row.uf1),
            fraction(row.spotting_f1),
            milliseconds(row.median_delay_ms),
            str(row.n),
        ]
        for what, groups in report.by_condition.items()
        for name, row in groups.items()
    ]
    return _table(('condition', 'clip accuracy', 'UF1', 'spotting F1', 'delay', 'clips'), cells)


def _comparisons(report: ActionUnitReport) -> str:
    cells = [
        [
            f'{baseline}, {condition}',
            with_interval(row.comparison.lead, points),
            with_interval(row.comparison.ratio, fraction),
            str(row.n),
        ]
        for baseline, conditions in report.against_by_condition.items()
        for condition, row in conditions.items()
    ]
    return _table(('events against, same clips', 'lead', 'times as many right', 'clips'), cells)


def _robustness(report: ActionUnitReport) -> str:
    cells = [
        [f'events, {100 * row.share:g} % of slices lost', percent(row.scores.clip_accuracy)]
        for row in report.robustness.lost_packets
    ]
    cells += [
        [f'{name}, frames {row.late_ms:g} ms late', percent(row.scores.clip_accuracy)]
        for name, rows in report.robustness.late_frames.items()
        for row in rows
    ]
    return _table(('disturbed', 'clip accuracy'), cells)


def _decibels(value: float) -> str:
    return NOTHING if math.isnan(value) else f'{value:.2f} dB'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join(f'| {" | ".join(row)} |' for row in lines)
