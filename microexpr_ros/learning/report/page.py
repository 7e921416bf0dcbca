"""The report as one page of HTML: no script, no network, figures inside."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from microexpr_ros.facs import CODES, NAMES
from microexpr_ros.learning.report.charts import (
    Bar,
    bars,
    curves,
    diagram,
    histogram,
    matrix,
)
from microexpr_ros.learning.report.svg import FAINT, FONT, INK, MAIN, RULE, WARM
from microexpr_ros.learning.report.wording import (
    between,
    fraction,
    methods,
    number,
    percent,
    points,
)

STYLE: Final = f"""
  body {{ margin: 0; background: #fbfaf7; color: {INK}; font: 16px/1.55 {FONT}; }}
  main {{ max-width: 980px; margin: 0 auto; padding: 56px 28px 80px; }}
  h1 {{ font-size: 30px; line-height: 1.2; font-weight: 600; margin: 0 0 8px; }}
  h2 {{ font-size: 19px; font-weight: 600; margin: 56px 0 4px; }}
  h3 {{ font-size: 14px; font-weight: 600; margin: 16px 0 8px; }}
  p {{ max-width: 680px; margin: 4px 0 16px; }}
  .faint {{ color: {FAINT}; font-size: 14px; }}
  .tiles {{ display: flex; flex-wrap: wrap; gap: 12px; margin: 28px 0 0; }}
  .tile {{ flex: 1 1 190px; background: white; border: 1px solid {RULE}; border-radius: 8px;
           padding: 14px 16px; }}
  .tile b {{ display: block; font-size: 26px; font-weight: 600; color: {MAIN}; }}
  .pair {{ display: flex; flex-wrap: wrap; gap: 12px 40px; align-items: flex-start; }}
  .pair > div {{ flex: 1 1 420px; }}
  svg {{ max-width: 100%; height: auto; }}
  table {{ border-collapse: collapse; width: 100%; font-size: 14px; margin: 12px 0 24px;
           font-variant-numeric: tabular-nums; }}
  th {{ text-align: right; font-weight: 500; color: {FAINT}; padding: 6px 10px;
        border-bottom: 1px solid {FAINT}; }}
  td {{ text-align: right; padding: 6px 10px; border-bottom: 1px solid {RULE}; }}
  th:first-child, td:first-child {{ text-align: left; padding-left: 0; }}
  tr.ours td {{ font-weight: 600; color: {MAIN}; }}
  dt {{ font-weight: 600; font-size: 14px; }}
  dd {{ margin: 0 0 10px; font-size: 14px; max-width: 680px; }}
"""

DEFINITIONS: Final = (
    (
        'Clip accuracy',
        'One answer for each clip of about a second: the unit whose peak is furthest over its '
        'threshold, or none of 18.',
    ),
    (
        'UF1, UAR, AUC',
        'Over all slices of 10 ms, mean of the units: a unit is present where its true intensity '
        'reaches 0.05, and found where the published threshold with hysteresis says so. UAR is '
        'the mean recall of present and absent: 0.5 is chance.',
    ),
    (
        'Left or right',
        'Units and slices of 10 ms in which the true intensities of the two sides differ by at '
        'least 0.1: the share in which the stronger side is read as the stronger, a tie counting '
        'half, and the area under the curve of left minus right.',
    ),
    (
        'Spotting F1',
        'Detections of the package’s own spotter, matched one to one to true expressions '
        'where the intersection over union of both intervals is at least 0.5 (as in MEGC). '
        'Blinks that are really there count neither way.',
    ),
    (
        'False alarms',
        'Detections none of whose units really moves at any time of their span, per minute of '
        'streams without any expression.',
    ),
    (
        'Delay',
        'From the true onset to the end of the slice in which the dominant unit becomes present; '
        'of the expressions whose unit was found before their end.',
    ),
    (
        'Calibration error',
        'Expected calibration error of the published confidence that present or absent is right, '
        '15 bins of equal width, without the 0.2 s of warm-up at the start of each clip.',
    ),
    (
        'Intervals',
        'Middle 95 % of 1000 bootstrap draws of persons, so that clips of one person stay '
        'together.',
    ),
    (
        'Synaptic operations',
        'Additions of a weight to a neuron, counted on the clips: what is silent costs nothing. '
        'A multiply-add of a dense network is counted whether or not its input is zero.',
    ),
)


def page(report: dict[str, Any]) -> str:
    """Return what `evaluate_action_units` found, as JSON values, as a page of HTML."""
    sections = (
        _head(report),
        _tiles(report),
        _comparison(report),
        _units(report),
        _sides(report),
        _confusion(report),
        _time(report),
        _confidence(report),
        _conditions(report),
        _robustness(report),
        _cost(report),
        _definitions(),
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>Action Units: {escape(report["weights"])}</title><style>{STYLE}</style></head>'
        f'<body><main>{"".join(sections)}</main></body></html>\n'
    )


def _head(report: dict[str, Any]) -> str:
    return (
        '<h1>Action Units from events</h1><p class="faint">'
        f'{escape(report["weights"])} on the split {escape(report["split"])}: '
        f'{report["n_clips"]} synthetic clips of {report["n_identities"]} persons. These numbers '
        'say how the network does on made worlds; they say nothing about real faces.</p>'
    )


def _tiles(report: dict[str, Any]) -> str:
    spread, alarms = report['ci95'], report['false_alarms']
    known = [row for row in alarms.values() if row['per_min'] is not None]
    worst = max(known, key=lambda row: row['per_min'], default={'per_min': None, 'ci95': None})
    rgb = report['against'].get('rgb', {'lead': None, 'ci95': {'lead': None}})
    tiles = (
        ('clip accuracy', report['clip_accuracy'], spread['clip_accuracy'], percent),
        ('lead over RGB', rgb['lead'], rgb['ci95']['lead'], points),
        ('UF1 by slice', report['uf1'], spread['uf1'], fraction),
        ('spotting F1', report['spotting_f1'], spread['spotting_f1'], fraction),
        ('onset to detection', report['median_delay_ms'], spread['median_delay_ms'], _ms),
        ('false alarms/min, worst', worst['per_min'], worst['ci95'], number),
        ('lost on split shift', report['shift_drop'], spread['shift_drop'], points),
        ('calibration error', report['ece'], spread['ece'], fraction),
    )
    return '<div class="tiles">{}</div>'.format(
        ''.join(
            f'<div class="tile"><span class="faint">{name}</span><b>{write(value)}</b>'
            f'<span class="faint">{between(bounds, write) or "&nbsp;"}</span></div>'
            for name, value, bounds, write in tiles
        )
    )


def _comparison(report: dict[str, Any]) -> str:
    rows = methods(report)
    head = ('', 'clip accuracy', 'UF1', 'UAR', 'AUC', 'spotting F1', 'delay')
    table = ''.join(
        f'<tr{" class=ours" if key == "events" else ""}><td>{escape(name)}</td>'
        f'<td>{percent(row.get("clip_accuracy"))}</td>'
        + ''.join(f'<td>{fraction(row.get(k))}</td>' for k in ('uf1', 'uar', 'auc', 'spotting_f1'))
        + f'<td>{_ms(row.get("median_delay_ms"))}</td></tr>'
        for key, name, row in rows
    )
    chart = bars(
        [
            Bar(
                name,
                row['clip_accuracy'],
                row.get('ci95', {}).get('clip_accuracy'),
                main=key == 'events',
            )
            for key, name, row in rows
            if row.get('clip_accuracy') is not None
        ],
        'Clip accuracy of all methods',
        percent,
        width=924,
        label_width=290,
    )
    return _section(
        'All methods, the same clips',
        'Clip accuracy with its interval, then all scores.',
        chart,
        f'<table><tr>{"".join(f"<th>{name}</th>" for name in head)}</tr>{table}</table>',
    )


def _units(report: dict[str, Any]) -> str:
    rows = [(code, report['per_au'][str(code)]) for code in CODES]
    chart = bars(
        [
            Bar(f'{code} {NAMES[code]}', row['f1'], dot=row['auc'], note=f'{row["n"]} clips')
            for code, row in rows
        ],
        'F1 and area under the curve of each unit',
        fraction,
        width=924,
        label_width=200,
        most=1,
    )
    return _section(
        'Unit by unit',
        f'Over all slices: F1 of presence (bar, number) and area under the curve '
        f'(<span style="color:{WARM}">●</span>, 0.5 is chance). Rare units are hard to count on.',
        chart,
    )


def _sides(report: dict[str, Any]) -> str:
    found = report['asymmetry']
    rows = [
        Bar(
            'all units',
            found['named'],
            found['ci95'],
            dot=found['auc'],
            note=f'{found["n_clips"]} clips',
        ),
        *(
            Bar(
                f'{code} {NAMES[int(code)]}',
                row['named'],
                dot=row['auc'],
                note=f'{row["n_clips"]} clips',
            )
            for code, row in found['per_au'].items()
        ),
        Bar('chance', found['chance'], main=False),
    ]
    chart = bars(
        rows,
        'How often the stronger side is named rightly',
        percent,
        width=924,
        label_width=200,
        most=1,
    )
    return _section(
        'Left or right',
        'Where a unit is stronger on one side: how often that side is named (bar, number) and '
        f'area under the curve (<span style="color:{WARM}">●</span>, 0.5 is chance).',
        chart,
    )


def _confusion(report: dict[str, Any]) -> str:
    names = [*map(str, CODES), 'none']
    return _section(
        'What is taken for what',
        'Dominant unit of each clip, in numbers of clips; the shade is the share of the row.',
        matrix(report['confusion'], names, 'True and found dominant unit of each clip'),
    )


def _time(report: dict[str, Any]) -> str:
    delays, alarms, spotting = report['delay'], report['false_alarms'], report['spotting']
    left = histogram(delays['all_ms'], 20, 'ms', 'Delay from onset to detection')
    right = bars(
        [
            Bar(kind, row['per_min'], row['ci95'], note=f'{row["minutes"]:.1f} min')
            for kind, row in alarms.items()
        ],
        'False alarms per minute',
        number,
        label_width=90,
    )
    return _section(
        'In time',
        f'{percent(delays["found"])} of the dominant units are found before their movement ends. '
        f'Spotting: {spotting["right"]} expressions found, {spotting["missed"]} missed, '
        f'{spotting["wrong"]} detections too many; {percent(spotting["names_dominant"])} of '
        'those found also name the dominant unit.',
        _pair(('Delay from onset to detection', left), ('False alarms per minute', right)),
    )


def _confidence(report: dict[str, Any]) -> str:
    bins = report['reliability']
    return _section(
        'Is it as sure as it should be?',
        'Each dot is a bin of confidence; its area tells how many decisions it holds. On the '
        'dashed line, confidence is what it says.',
        _pair(
            ('All decisions', diagram(bins['all'], 'Reliability of all decisions')),
            (
                'Units said to be present',
                diagram(bins['present'], 'Reliability where a unit is said to be present'),
            ),
        ),
    )


def _conditions(report: dict[str, Any]) -> str:
    highest = max(
        (
            row['ci95'][1] or row['clip_accuracy']
            for groups in report['by'].values()
            for row in groups.values()
        ),
        default=1.0,
    )
    panels = [
        (
            what.capitalize(),
            bars(
                [
                    Bar(name, row['clip_accuracy'], row['ci95'], note=f'{row["n"]} clips')
                    for name, row in groups.items()
                ],
                f'Clip accuracy by {what}',
                percent,
                label_width=90,
                most=highest,
            ),
        )
        for what, groups in report['by'].items()
    ]
    return _section(
        'Under which conditions',
        'Clip accuracy; a clip with several distractors counts in each.',
        _pair(*panels),
    )


def _robustness(report: dict[str, Any]) -> str:
    found = report['robustness']
    lost = [(100 * row['share'], row['clip_accuracy']) for row in found['lost_packets']]
    panels = [
        (
            'Lost packets',
            curves(
                {'events': lost}, 'slices lost in bursts, %', 'clip accuracy',
                'Clip accuracy against lost packets',
            ),
        )
    ]  # fmt: skip
    if found['late_frames']:
        late = {
            name: [(row['late_ms'], row['clip_accuracy']) for row in rows]
            for name, rows in found['late_frames'].items()
        }
        chart = curves(late, 'frames behind events, ms', 'clip accuracy', 'Against late frames')
        panels.append(('Frames out of step', chart))
    return _section('When the stream is damaged', '', _pair(*panels))


def _cost(report: dict[str, Any]) -> str:
    rows = [
        Bar('spiking network', report['synops_per_s'], note='synaptic operations'),
        Bar('twin', report['twin_macs_per_s'], note='multiply-adds', main=False),
    ]
    chart = bars(rows, 'Operations per second of stream', _per_second, 924, label_width=200)
    return _section(
        'What a second of stream costs',
        f'{number(report["spikes_per_s"])} spikes per second.',
        chart,
    )


def _definitions() -> str:
    items = ''.join(f'<dt>{name}</dt><dd>{text}</dd>' for name, text in DEFINITIONS)
    return _section('What the numbers mean', '', f'<dl>{items}</dl>')


def _section(title: str, words: str, *content: str) -> str:
    paragraph = f'<p class="faint">{words}</p>' if words else ''
    return f'<section><h2>{title}</h2>{paragraph}{"".join(content)}</section>'


def _pair(*panels: tuple[str, str]) -> str:
    inner = ''.join(f'<div><h3>{title}</h3>{chart}</div>' for title, chart in panels)
    return f'<div class="pair">{inner}</div>'


def _ms(value: float | None) -> str:
    return number(value, 'ms')


def _per_second(value: float | None) -> str:
    return number(value, '/s')
