"""The report on Action Units as JSON: what `microexpr evaluate au --json` prints.

The JSON repeats some numbers where readers look for them first: the network's own scores, the
clip accuracies of RGB and MediaPipe, the controls. Reading it back does not need these.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.evaluation.action_unit_report import (
    ActionUnitReport,
    Asymmetry,
    Calibration,
    ClipScores,
    Comparison,
    ConditionComparison,
    ConditionScores,
    ConfidenceBin,
    DetectionDelays,
    FalseAlarms,
    Interval,
    LateFrames,
    LostPackets,
    MethodScores,
    Operations,
    ReferenceScores,
    Robustness,
    Score,
    ShiftScores,
    SideScores,
    SpottingCounts,
    UnitScores,
)
from microexpr_ros.learning.evaluation.rounding import json_values

Row = TypeVar('Row')


def report_to_json(report: ActionUnitReport) -> dict[str, Any]:
    """Return a report as values that JSON can hold; what was not measured is None."""
    network = _with_intervals(report.events)
    calibration = report.calibration
    values = {
        'split': report.split,
        **network,
        'ci95': {
            **network['ci95'],
            'false_alarms_per_min': {k: v.per_min.ci95 for k, v in report.false_alarms.items()},
            'shift_drop': report.shift_drop.ci95,
            'ece': calibration.error.ci95,
            'ece_active': calibration.error_active.ci95,
        },
        'clip_accuracy_rgb': report.clip_accuracy_of('rgb'),
        'clip_accuracy_mediapipe': report.clip_accuracy_of('mediapipe'),
        'chance': report.references['chance'].clip_accuracy,
        'false_alarms_per_min': {k: v.per_min.value for k, v in report.false_alarms.items()},
        'shift_drop': report.shift_drop.value,
        'ece': calibration.error.value,
        'ece_active': calibration.error_active.value,
        'ece_by_status': calibration.by_status,
        'controls': {
            # Those that were trained as controls come before the same weights used as such.
            'time_shuffled': report.clip_accuracy_of('time_shuffled', 'events_time_shuffled'),
            'memoryless': report.clip_accuracy_of('memoryless', 'events_memoryless'),
            'twin': report.clip_accuracy_of('twin'),
            'linear': report.clip_accuracy_of('linear'),
        },
        'against': {name: _with_intervals(row) for name, row in report.against.items()},
        'against_by': {
            name: {
                condition: {**_with_intervals(row.comparison), 'n': row.n}
                for condition, row in conditions.items()
            }
            for name, conditions in report.against_by_condition.items()
        },
        'methods': {
            **{name: _with_intervals(row) for name, row in report.methods.items()},
            **{name: _without_none(row) for name, row in report.references.items()},
        },
        'clip': report.clip,
        'per_au': {str(code): row for code, row in report.per_au.items()},
        'asymmetry': _asymmetry_values(report.asymmetry),
        'confusion': report.confusion,
        'by': {
            what: {name: _condition_values(row) for name, row in groups.items()}
            for what, groups in report.by_condition.items()
        },
        'shift': _with_intervals(report.shift) if report.shift else None,
        'shift_by_strength': {
            name: _with_intervals(row) for name, row in report.shift_by_strength.items()
        },
        'spotting': report.spotting,
        'delay': report.delay,
        'false_alarms': {
            kind: {'per_min': row.per_min.value, 'ci95': row.per_min.ci95, 'minutes': row.minutes}
            for kind, row in report.false_alarms.items()
        },
        'reliability': {'all': calibration.all_decisions, 'present': calibration.called_active},
        'robustness': {
            'lost_packets': [
                {'share': row.share, **_fields(row.scores)}
                for row in report.robustness.lost_packets
            ],
            'late_frames': {
                name: [{'late_ms': row.late_ms, **_fields(row.scores)} for row in rows]
                for name, rows in report.robustness.late_frames.items()
            },
        },
        'synops_per_s': report.operations.synops_per_s,
        'spikes_per_s': report.operations.spikes_per_s,
        'synops_per_s_by_layer': report.operations.by_layer,
        'twin_macs_per_s': report.twin_macs_per_s,
        'n_clips': report.n_clips,
        'n_identities': report.n_identities,
        'weights': report.weights,
        'boxes': report.boxes,
    }
    return json_values(values)  # type: ignore[no-any-return]


def report_from_json(values: Mapping[str, Any]) -> ActionUnitReport:
    """Return the report that `report_to_json` wrote.

    Raises:
        MicroexprError: a key is missing, or its value is of another kind.
    """
    try:
        return _report(values)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        reason = f'no {error}' if isinstance(error, KeyError) else str(error)
        raise MicroexprError(
            f'this is no report on Action Units ({reason}): '
            'write one with `microexpr evaluate au --json`'
        ) from error


def read_report(path: Path) -> ActionUnitReport:
    """Return the report in a JSON file.

    Raises:
        MicroexprError: the file cannot be read, or holds no report.
    """
    try:
        return report_from_json(json.loads(path.read_text(encoding='utf-8')))
    except (OSError, ValueError) as error:
        raise MicroexprError(f'cannot read the report {path}: {error}') from error
    except MicroexprError as error:
        raise MicroexprError(f'{path}: {error}') from error


def _report(values: Mapping[str, Any]) -> ActionUnitReport:
    rows: Mapping[str, Any] = values['methods']
    measured = {name for name, row in rows.items() if 'ci95' in row}
    reliability = values['reliability']
    return ActionUnitReport(
        weights=values['weights'],
        # Reports of before the boxes were said.
        boxes=values.get('boxes', 'coarse'),
        split=values['split'],
        n_clips=values['n_clips'],
        n_identities=values['n_identities'],
        methods={name: _method(row) for name, row in rows.items() if name in measured},
        references={
            name: ReferenceScores(**row) for name, row in rows.items() if name not in measured
        },
        against={
            name: Comparison(_score(row, 'lead'), _score(row, 'ratio'))
            for name, row in values['against'].items()
        },
        # Reports of before it was measured.
        against_by_condition={
            name: {
                condition: ConditionComparison(
                    Comparison(_score(row, 'lead'), _score(row, 'ratio')), row['n']
                )
                for condition, row in conditions.items()
            }
            for name, conditions in values.get('against_by', {}).items()
        },
        clip=_row(ClipScores, values['clip']),
        per_au={int(code): _row(UnitScores, row) for code, row in values['per_au'].items()},
        asymmetry=_read_asymmetry(values['asymmetry']),
        confusion=tuple(tuple(row) for row in values['confusion']),
        by_condition={
            what: {name: _read_condition(row) for name, row in groups.items()}
            for what, groups in values['by'].items()
        },
        spotting=_row(SpottingCounts, values['spotting']),
        delay=DetectionDelays(
            _number(values['delay']['found']),
            _number(values['delay']['p90_ms']),
            tuple(values['delay']['all_ms']),
        ),
        false_alarms={
            kind: FalseAlarms(
                Score(_number(row['per_min']), _interval(row['ci95'])), row['minutes']
            )
            for kind, row in values['false_alarms'].items()
        },
        shift=_method(values['shift']) if values['shift'] else None,
        shift_drop=_score(values, 'shift_drop'),
        shift_by_strength={
            name: ShiftScores(_score(row, 'clip_accuracy'), _score(row, 'drop'), row['n'])
            for name, row in values.get('shift_by_strength', {}).items()
        },
        calibration=Calibration(
            error=_score(values, 'ece'),
            error_active=_score(values, 'ece_active'),
            by_status={name: _number(v) for name, v in values['ece_by_status'].items()},
            all_decisions=tuple(_row(ConfidenceBin, row) for row in reliability['all']),
            called_active=tuple(_row(ConfidenceBin, row) for row in reliability['present']),
        ),
        robustness=Robustness(
            tuple(
                LostPackets(row['share'], _row(ClipScores, row))
                for row in values['robustness']['lost_packets']
            ),
            {
                name: tuple(LateFrames(row['late_ms'], _row(ClipScores, row)) for row in found)
                for name, found in values['robustness']['late_frames'].items()
            },
        ),
        operations=Operations(
            _number(values['spikes_per_s']),
            _number(values['synops_per_s']),
            values['synops_per_s_by_layer'],
        ),
        twin_macs_per_s=_number(values['twin_macs_per_s']),
    )


def _fields(row: Any) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in fields(row)}


def _with_intervals(row: MethodScores | Comparison | ShiftScores) -> dict[str, Any]:
    """Return the values of all scores, and `ci95`, the intervals of those that have one."""
    scores = _fields(row)
    return {
        **{name: s.value if isinstance(s, Score) else s for name, s in scores.items()},
        'ci95': {name: s.ci95 for name, s in scores.items() if isinstance(s, Score)},
    }


def _without_none(row: ReferenceScores) -> dict[str, float]:
    return {name: value for name, value in _fields(row).items() if value is not None}


def _condition_values(row: ConditionScores) -> dict[str, Any]:
    values = {**_fields(row), 'clip_accuracy': row.clip_accuracy.value}
    number = values.pop('n')
    return {**values, 'ci95': row.clip_accuracy.ci95, 'n': number}


def _asymmetry_values(row: Asymmetry) -> dict[str, Any]:
    return {
        'named': row.named.value,
        'auc': row.auc,
        'n_slices': row.n_slices,
        'n_clips': row.n_clips,
        'ci95': row.named.ci95,
        'chance': row.chance,
        'per_au': {str(code): unit for code, unit in row.per_au.items()},
    }


def _number(value: Any) -> Any:
    return math.nan if value is None else value


def _interval(bounds: Sequence[float | None]) -> Interval:
    low, high = map(_number, bounds)
    return low, high


def _score(row: Mapping[str, Any], name: str) -> Score:
    return Score(_number(row[name]), _interval(row['ci95'][name]))


def _row(kind: type[Row], row: Mapping[str, Any]) -> Row:
    return kind(**{field.name: _number(row[field.name]) for field in fields(kind)})  # type: ignore[arg-type]


def _method(row: Mapping[str, Any]) -> MethodScores:
    return MethodScores(
        clip_accuracy=_score(row, 'clip_accuracy'),
        uf1=_score(row, 'uf1'),
        uar=_score(row, 'uar'),
        spotting_f1=_score(row, 'spotting_f1'),
        median_delay_ms=_score(row, 'median_delay_ms'),
        auc=_number(row['auc']),
    )


def _read_condition(row: Mapping[str, Any]) -> ConditionScores:
    accuracy = Score(_number(row['clip_accuracy']), _interval(row['ci95']))
    return replace(_row(ConditionScores, row), clip_accuracy=accuracy)


def _read_asymmetry(row: Mapping[str, Any]) -> Asymmetry:
    return Asymmetry(
        named=Score(_number(row['named']), _interval(row['ci95'])),
        auc=_number(row['auc']),
        n_slices=row['n_slices'],
        n_clips=row['n_clips'],
        per_au={int(code): _row(SideScores, unit) for code, unit in row['per_au'].items()},
    )
