import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from small_reports import make_report

from microexpr_ros.learning.evaluation.reconstruction import (
    ConditionReport,
    Coverage,
    PictureScores,
    ReconstructionReport,
)
from microexpr_ros.learning.evaluation.resting_faces import RestReport, RestScores
from microexpr_ros.learning.report import (
    format_action_units,
    format_reconstruction,
    render_page,
)
from microexpr_ros.learning.report.method_rows import METHODS, method_rows
from microexpr_ros.learning.report.wording import (
    between,
    number,
    percent,
)

VOID = {'meta'}


class Balance(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = []
        self.seen = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)


@pytest.mark.parametrize('value', [math.nan, 0.125])
def test_page_stands_alone(value):
    html = render_page(make_report(value))
    reader = Balance()
    reader.feed(html)
    assert reader.open == []
    assert {'table', 'svg', 'h1'} <= reader.seen
    assert not {'script', 'link', 'img', 'iframe'} & reader.seen
    assert set(re.findall(r'https?://[^"\' ]+', html)) == {'http://www.w3.org/2000/svg'}
    assert 'spiking&lt;s&gt;@1' in html
    assert 'None' not in html
    assert 'nan' not in html.lower().replace('dominant', '')


def test_page_says_what_was_found():
    html = render_page(make_report(0.125))
    assert '25.0 %' in html
    assert '20.0 % to 30.0 %' in html
    assert '12.5 points' in html
    assert html.count('not measured') == 0
    assert render_page(make_report(math.nan)).count('not measured') == 18 + 1 + 4 + 1


@pytest.mark.parametrize('value', [math.nan, 0.125])
def test_card_is_made_of_even_tables(value):
    text = format_action_units(make_report(value))
    for block in text.split('\n\n')[1:]:
        assert len({line.count('|') for line in block.splitlines()}) == 1
    assert 'None' not in text
    assert ' nan ' not in text
    assert '| clip accuracy, dominant unit or none | 25.0 % (20.0 % to 30.0 %) |' in text
    assert text.count('| 45 blink |') == 1
    assert text.count('| stronger side named, 2 clips with uneven units |') == 1


def test_methods_come_in_order_and_unknown_ones_last():
    report = make_report(math.nan)
    names = [row.key for row in method_rows(report)]
    assert names == ['events', 'always_positive', 'chance', 'other']
    every = replace(report, methods=dict.fromkeys(reversed(METHODS), report.events), references={})
    assert [row.key for row in method_rows(every)] == list(METHODS)


def test_a_reference_has_only_the_scores_that_apply():
    rows = {row.key: row for row in method_rows(make_report(0.125))}
    chance, present = rows['chance'], rows['always_positive']
    assert (chance.clip_accuracy.value, chance.auc) == (0.05, 0.5)
    assert (present.uf1, present.uar) == (0.1, 0.5)
    unknown = (chance.uf1, chance.uar, chance.median_delay_ms, present.clip_accuracy.value)
    assert all(map(math.isnan, unknown))
    assert [row.is_network for row in rows.values()].count(True) == 1


def test_numbers_by_hand():
    assert [number(v) for v in (math.nan, 0, 999, 12_345, 2.5e9)] == [
        '–',
        '0',
        '999',
        '12.3 k',
        '2.5 G',
    ]
    assert between((0.1, 0.2), percent) == '10.0 % to 20.0 %'
    assert between((math.nan, math.nan), percent) == between((0.1, math.nan), percent) == ''


def test_names_from_outside_are_escaped_everywhere():
    name = '<script>&"'
    report = make_report(0.125)
    report = replace(
        report,
        split=name,
        methods={**report.methods, name: report.events},
        by_condition={name: {name: report.by_condition['light']['bright']}},
        robustness=replace(
            report.robustness, late_frames={name: report.robustness.late_frames['rgb']}
        ),
    )
    html = render_page(report)
    assert '<script' not in html.lower()
    # Split; method in chart and table; condition as title, label and bar; the curve.
    assert html.lower().count('&lt;script&gt;&amp;') == 1 + 2 + 3 + 1


def test_without_rgb_there_is_no_lead():
    html = render_page(make_report(math.nan))
    tile = re.search(r'lead over RGB</span><b>(.*?)</b>', html)
    assert tile
    assert tile.group(1) == '–'
    assert 'Late frames' not in html
    assert 'Late frames' in render_page(make_report(0.125))


def test_the_style_names_its_fonts():
    html = render_page(make_report(0.125))
    style = html[html.index('<style>') : html.index('</style>')]
    assert "'Segoe UI'" in style
    assert '&#' not in style


def test_the_worst_kind_of_calm_is_shown():
    report = make_report(math.nan)
    talking = replace(
        report.false_alarms['talking'], per_min=replace(report.shift_drop, value=3.0)
    )
    html = render_page(replace(report, false_alarms={**report.false_alarms, 'talking': talking}))
    assert re.search(r'false alarms/min, worst</span><b>3</b>', html)


def test_pictures_are_tables():
    measured = PictureScores(24.5, 0.75, 20.25, 0.875)
    whole = PictureScores(30.0, 0.9, math.nan, math.nan)
    young = ConditionReport(
        24,
        {'network': measured, 'direct integration': whole},
        Coverage(0.9, 0.875),
        {'dim': {'network': measured}},
        {'hd': {'network': measured}},
        {'moving': {'network': whole}},
    )
    alone = ConditionReport(12, {'network': whole}, Coverage(0.91, math.nan), {}, {})
    report = ReconstructionReport('test', {'0-30': young}, None, alone, alone, 12, 3, 'cvae-w4@1')
    parts = format_reconstruction(report).rstrip().split('\n\n')
    summary, scores, coverage, lights, sensors, motions = parts
    assert 'cvae-w4@1, split test: 12 clips of 3 persons' in summary
    assert '| frame 0-30 ms old | **network** | 24.50 dB | 0.750 | 20.25 dB | 0.875 |' in scores
    assert '| events alone | **network** | 30.00 dB | 0.900 | – | – |' in scores
    assert '| a reference in another light | **network** | 30.00 dB |' in scores
    assert 'same light' not in scores
    assert '| frame 0-30 ms old | 24 | 90.0 % | 87.5 % |' in coverage
    assert '| frame 0-30 ms old | dim | network | 24.50 dB | 20.25 dB |' in lights
    assert '| frame 0-30 ms old | hd | network | 24.50 dB | 20.25 dB |' in sensors
    assert '| frame 0-30 ms old | moving | network | 30.00 dB | – |' in motions
    rest = RestReport(24, 20, RestScores(0.012, 0.001, 0.41, 17.5, 17.25, 0.74, 0.735), 0.031)
    shift = replace(report, split='shift', n_clips=6)
    more = format_reconstruction(replace(report, rest=rest, shift=shift)).rstrip().split('\n\n')
    assert more[:6] == parts
    assert 'come to rest, events alone: 24 takes' in more[6]
    for row in (
        '| change of low frequencies | 1.2 % |',
        '| the same, worst take | 3.1 % |',
        '| flicker, grey levels | 0.41 |',
        '| last second | 17.25 dB, SSIM 0.735 |',
    ):
        assert row in more[6]
    assert 'split shift: 6 clips' in more[7]
    assert more[8:] == parts[1:]
