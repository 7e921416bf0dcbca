"""The tables of the model card, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from microexpr_ros.facs import CODES, NAMES
from microexpr_ros.learning.report.wording import (
    between,
    fraction,
    methods,
    number,
    percent,
    points,
)


def tables(report: dict[str, Any]) -> str:
    """Return what `evaluate_action_units` found, as JSON values, as tables of Markdown."""
    parts = [
        f'{report["weights"]}, split {report["split"]}: {report["n_clips"]} clips of '
        f'{report["n_identities"]} persons. In brackets: 95 % over persons.',
        _headline(report),
        _methods(report),
        _units(report),
        _conditions(report),
        _robustness(report),
    ]
    return '\n\n'.join(part for part in parts if part) + '\n'


def _headline(report: dict[str, Any]) -> str:
    spread, alarms = report['ci95'], report['false_alarms_per_min']
    rows = [
        ('clip accuracy, dominant unit or none', 'clip_accuracy', percent),
        ('mean F1 of the units, by slice (UF1)', 'uf1', fraction),
        ('mean recall of the units, by slice (UAR)', 'uar', fraction),
        ('spotting F1, overlap at least 0.5', 'spotting_f1', fraction),
        ('onset to detection, median', 'median_delay_ms', _ms),
        ('clip accuracy lost on the split shift', 'shift_drop', points),
        ('calibration error of the confidence', 'ece', fraction),
        ('the same, of units called active', 'ece_active', fraction),
    ]
    cells = [[name, _with(write(report[key]), spread[key], write)] for name, key, write in rows]
    cells += [
        [f'false alarms per minute, {kind}', _with(number(rate), spread_of, number)]
        for (kind, rate), spread_of in zip(
            alarms.items(), spread['false_alarms_per_min'].values(), strict=True
        )
    ]
    sides = report['asymmetry']
    cells += [
        [
            f'stronger side named, {sides["n_clips"]} clips with uneven units',
            _with(percent(sides['named']), sides['ci95'], percent),
        ],
        ['stronger side, AUC of left minus right', fraction(sides['auc'])],
        ['synaptic operations', number(report['synops_per_s'], '/s')],
        ['multiply-adds of the twin', number(report['twin_macs_per_s'], '/s')],
    ]
    return _table(('', ''), cells)


def _methods(report: dict[str, Any]) -> str:
    head = ('method, same clips', 'clip accuracy', 'UF1', 'UAR', 'AUC', 'spotting F1', 'delay')
    cells = []
    for key, name, row in methods(report):
        spread = row.get('ci95', {})
        cells.append(
            [
                f'**{name}**' if key == 'events' else name,
                _with(percent(row.get('clip_accuracy')), spread.get('clip_accuracy'), percent),
                *(fraction(row.get(k)) for k in ('uf1', 'uar', 'auc', 'spotting_f1')),
                _ms(row.get('median_delay_ms')),
            ]
        )
    return _table(head, cells)


def _units(report: dict[str, Any]) -> str:
    cells = []
    for code in CODES:
        row = report['per_au'][str(code)]
        cells.append(
            [
                f'{code} {NAMES[code]}',
                *(fraction(row[key]) for key in ('f1', 'auc')),
                str(row['n']),
                fraction(row['dominant_recall']),
                str(row['n_dominant']),
            ]
        )
    return _table(('unit', 'F1', 'AUC', 'clips', 'found as dominant', 'clips'), cells)


def _conditions(report: dict[str, Any]) -> str:
    cells = [
        [
            f'{what}: {name}',
            _with(percent(row['clip_accuracy']), row['ci95'], percent),
            *(fraction(row[key]) for key in ('uf1', 'spotting_f1')),
            _ms(row['median_delay_ms']),
            str(row['n']),
        ]
        for what, groups in report['by'].items()
        for name, row in groups.items()
    ]
    return _table(('condition', 'clip accuracy', 'UF1', 'spotting F1', 'delay', 'clips'), cells)


def _robustness(report: dict[str, Any]) -> str:
    found = report['robustness']
    cells = [
        [f'events, {100 * row["share"]:g} % of slices lost', percent(row['clip_accuracy'])]
        for row in found['lost_packets']
    ]
    cells += [
        [f'{name}, frames {row["late_ms"]:g} ms late', percent(row['clip_accuracy'])]
        for name, rows in found['late_frames'].items()
        for row in rows
    ]
    return _table(('disturbed', 'clip accuracy'), cells)


def _ms(value: float | None) -> str:
    return number(value, 'ms')


def _with(value: str, interval: Sequence[float | None] | None, write: Any) -> str:
    bounds = between(interval, write)
    return f'{value} ({bounds})' if bounds else value


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join(f'| {" | ".join(row)} |' for row in lines)
