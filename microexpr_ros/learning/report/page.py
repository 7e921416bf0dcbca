"""A report on Action Units as one page of HTML: no script, no network, figures inside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from microexpr_ros.facs import CODES, NAMES
from microexpr_ros.learning.evaluation.action_unit_report import (
    ActionUnitReport,
    Comparison,
    FalseAlarms,
    Score,
)
from microexpr_ros.learning.report import svg
from microexpr_ros.learning.report.charts import (
    Bar,
    draw_bars,
    draw_confusion,
    draw_curves,
    draw_differences,
    draw_histogram,
    draw_reliability,
)
from microexpr_ros.learning.report.method_rows import METHODS, method_rows
from microexpr_ros.learning.report.wording import (
    DEFINITIONS,
    between,
    fraction,
    milliseconds,
    number,
    per_second,
    percent,
    points,
)

TEMPLATES: Final = Path(__file__).with_name('templates')

PAGE_WIDTH: Final = 924
"""Width of a chart that fills the page, px."""

DELAY_BIN_MS: Final = 20

COLOURS: Final = {
    'ink': svg.INK,
    'faint': svg.FAINT,
    'rule': svg.RULE,
    'main': svg.MAIN,
    'warm': svg.WARM,
}

Panels: TypeAlias = list[tuple[str, Markup]]
"""Charts side by side, with their titles."""


def render_page(report: ActionUnitReport) -> str:
    """Return a report as a page of HTML."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        # The page is escaped; its style sheet, which quotes the names of fonts, is not.
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for write in (percent, fraction, milliseconds, number):
        environment.filters[write.__name__] = write
    page = environment.get_template('action_units.html').render(
        report=report,
        tiles=_tiles(report),
        methods=method_rows(report),
        charts={
            'methods': _draw_methods(report),
            'units': _draw_units(report),
            'sides': _draw_sides(report),
            'confusion': _draw_confusion(report),
            'time': _draw_time(report),
            'confidence': _draw_confidence(report),
            'conditions': _draw_conditions(report),
            'comparisons': _draw_comparisons(report),
            'robustness': _draw_robustness(report),
            'operations': _draw_operations(report),
        },
        definitions=DEFINITIONS,
        colours=COLOURS,
        font=svg.FONT,
    )
    return page.lstrip() + '\n'


def _tiles(report: ActionUnitReport) -> list[tuple[str, str, str]]:
    """Return name, value and interval of each of the numbers at the top."""
    events = report.events
    not_compared = Comparison(Score(), Score())
    tiles = (
        ('clip accuracy', events.clip_accuracy, percent),
        ('lead over RGB', report.against.get('rgb', not_compared).lead, points),
        ('UF1 by slice', events.uf1, fraction),
        ('spotting F1', events.spotting_f1, fraction),
        ('onset to detection', events.median_delay_ms, milliseconds),
        ('false alarms/min, worst', _worst(list(report.false_alarms.values())), number),
        ('lost on split shift', report.shift_drop, points),
        ('calibration error', report.calibration.error, fraction),
    )
    return [(name, write(score.value), between(score.ci95, write)) for name, score, write in tiles]


def _worst(alarms: Sequence[FalseAlarms]) -> Score:
    known = [row.per_min for row in alarms if not math.isnan(row.per_min.value)]
    return max(known, key=lambda score: score.value, default=Score())


def _draw_methods(report: ActionUnitReport) -> Markup:
    bars = [
        Bar(row.name, row.clip_accuracy.value, row.clip_accuracy.ci95, main=row.is_network)
        for row in method_rows(report)
        if not math.isnan(row.clip_accuracy.value)
    ]
    return draw_bars(bars, 'Clip accuracy of all methods', percent, PAGE_WIDTH, 290)


def _draw_units(report: ActionUnitReport) -> Markup:
    bars = [
        Bar(f'{code} {NAMES[code]}', row.f1, dot=row.auc, note=f'{row.n} clips')
        for code, row in report.per_au.items()
    ]
    label = 'F1 and area under the curve of each unit'
    return draw_bars(bars, label, fraction, PAGE_WIDTH, 200, most=1)


def _draw_sides(report: ActionUnitReport) -> Markup:
    sides = report.asymmetry
    note = f'{sides.n_clips} clips'
    bars = [
        Bar('all units', sides.named.value, sides.named.ci95, dot=sides.auc, note=note),
        *(
            Bar(f'{code} {NAMES[code]}', row.named, dot=row.auc, note=f'{row.n_clips} clips')
            for code, row in sides.per_au.items()
        ),
        Bar('chance', sides.chance, main=False),
    ]
    label = 'How often the stronger side is named rightly'
    return draw_bars(bars, label, percent, PAGE_WIDTH, 200, most=1)


def _draw_confusion(report: ActionUnitReport) -> Markup:
    names = [*map(str, CODES), 'none']
    return draw_confusion(report.confusion, names, 'True and found dominant unit of each clip')


def _draw_time(report: ActionUnitReport) -> Panels:
    delay, alarms = 'Delay from onset to detection', 'False alarms per minute'
    bars = [
        Bar(kind, row.per_min.value, row.per_min.ci95, note=f'{row.minutes:.1f} min')
        for kind, row in report.false_alarms.items()
    ]
    return [
        (delay, draw_histogram(report.delay.all_ms, DELAY_BIN_MS, 'ms', delay)),
        (alarms, draw_bars(bars, alarms, number, label_width=90)),
    ]


def _draw_confidence(report: ActionUnitReport) -> Panels:
    every, active = report.calibration.all_decisions, report.calibration.called_active
    return [
        ('All decisions', draw_reliability(every, 'Reliability of all decisions')),
        (
            'Units called active',
            draw_reliability(active, 'Reliability of units that are called active'),
        ),
    ]


def _draw_conditions(report: ActionUnitReport) -> Panels:
    scores = [
        row.clip_accuracy for groups in report.by_condition.values() for row in groups.values()
    ]
    ends = [score.value if math.isnan(score.ci95[1]) else score.ci95[1] for score in scores]
    # One scale for all panels, so that their bars can be compared.
    most = max(ends, default=1.0)
    return [
        (
            what.capitalize(),
            draw_bars(
                [
                    Bar(
                        name,
                        row.clip_accuracy.value,
                        row.clip_accuracy.ci95,
                        note=f'{row.n} clips',
                    )
                    for name, row in groups.items()
                ],
                f'Clip accuracy by {what}',
                percent,
                label_width=90,
                most=most,
            ),
        )
        for what, groups in report.by_condition.items()
    ]


def _draw_comparisons(report: ActionUnitReport) -> Panels:
    return [
        (
            f'Lead over {METHODS.get(baseline, baseline)}',
            draw_differences(
                [
                    Bar(
                        condition.capitalize(),
                        row.comparison.lead.value,
                        row.comparison.lead.ci95,
                        note=f'{row.n} clips',
                    )
                    for condition, row in conditions.items()
                ],
                f'Lead in clip accuracy over {baseline} by condition',
                points,
                label_width=110,
            ),
        )
        for baseline, conditions in report.against_by_condition.items()
    ]


def _draw_robustness(report: ActionUnitReport) -> Panels:
    accuracy = 'clip accuracy'
    lost = {
        'events': [
            (100 * row.share, row.scores.clip_accuracy) for row in report.robustness.lost_packets
        ]
    }
    late = {
        name: [(row.late_ms, row.scores.clip_accuracy) for row in rows]
        for name, rows in report.robustness.late_frames.items()
    }
    panels = []
    if lost['events']:
        title = 'Clip accuracy against lost packets'
        panels.append(
            ('Lost packets', draw_curves(lost, 'slices lost in bursts, %', accuracy, title))
        )
    if late:
        title = 'Clip accuracy against late frames'
        panels.append(
            ('Late frames', draw_curves(late, 'frames behind events, ms', accuracy, title))
        )
    return panels


def _draw_operations(report: ActionUnitReport) -> Markup:
    bars = [
        Bar('spiking network', report.operations.synops_per_s, note='synaptic operations'),
        Bar('twin', report.twin_macs_per_s, note='multiply-adds', main=False),
    ]
    return draw_bars(bars, 'Operations per second of stream', per_second, PAGE_WIDTH, 200)
