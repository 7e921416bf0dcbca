import re
from html.parser import HTMLParser

import pytest

from microexpr_ros.facs import CODES
from microexpr_ros.learning.report.card import tables
from microexpr_ros.learning.report.page import page
from microexpr_ros.learning.report.wording import METHODS, between, methods, number, percent

NONE = [None, None]
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


def make_report(value):
    """Return a report whose optional values are all the same number, or all missing."""
    bounds = NONE if value is None else [value, value]
    kinds = ('neutral', 'talking', 'blinking', 'head')
    scores = {
        'clip_accuracy': 0.25, 'uf1': 0.5, 'uar': 0.6, 'auc': value, 'spotting_f1': value,
        'median_delay_ms': value, 'ci95': {'clip_accuracy': [0.2, 0.3], 'uf1': [0.4, 0.6],
        'uar': [0.5, 0.7], 'spotting_f1': bounds, 'median_delay_ms': bounds},
    }  # fmt: skip
    return {
        **scores,
        'split': 'test',
        'weights': 'spiking<s>@1',
        'n_clips': 7,
        'n_identities': 3,
        'shift_drop': value,
        'ece': 0.01,
        'ece_active': 0.01,
        'ci95': {
            **scores['ci95'],
            'shift_drop': bounds,
            'ece': bounds,
            'ece_active': bounds,
            'false_alarms_per_min': dict.fromkeys(kinds, bounds),
        },
        'false_alarms_per_min': dict.fromkeys(kinds, value),
        'false_alarms': {
            k: {'per_min': value, 'ci95': bounds, 'minutes': value or 0.0} for k in kinds
        },
        'against': {} if value is None else {'rgb': {'lead': value, 'ci95': {'lead': bounds}}},
        'methods': {'events': scores, 'chance': {'clip_accuracy': 0.05}, 'other': scores},
        'per_au': {
            str(code): {'f1': value, 'auc': value, 'n': 2, 'dominant_recall': value,
                        'n_dominant': 1}
            for code in CODES
        },
        'asymmetry': {
            'named': value, 'ci95': bounds, 'auc': value, 'chance': 0.5, 'n_slices': 5,
            'n_clips': 2,
            'per_au': {} if value is None else {'12': {'named': value, 'auc': None, 'n_clips': 3}},
        },
        'confusion': [[0] * 19 for _ in range(19)],
        'by': {'light': {'bright': {**scores, 'ci95': bounds, 'n': 7}}},
        'spotting': {'right': 3, 'wrong': 4, 'missed': 5, 'names_dominant': value},
        'delay': {'found': value, 'p90_ms': value, 'all_ms': [] if value is None else [value]},
        'reliability': {'all': [], 'present': []},
        'robustness': {
            'lost_packets': [{'share': 0.0, 'clip_accuracy': 0.25}],
            'late_frames': {} if value is None else {'rgb': [{'late_ms': 0, 'clip_accuracy': 1}]},
        },
        'synops_per_s': 1.5e7,
        'spikes_per_s': 7e4,
        'twin_macs_per_s': value,
    }  # fmt: skip


@pytest.mark.parametrize('value', [None, 0.125])
def test_page_stands_alone(value):
    html = page(make_report(value))
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
    html = page(make_report(0.125))
    assert '25.0 %' in html
    assert '20.0 % to 30.0 %' in html
    assert '12.5 points' in html
    assert html.count('not measured') == 0
    assert page(make_report(None)).count('not measured') == 18 + 1 + 4 + 1


@pytest.mark.parametrize('value', [None, 0.125])
def test_card_is_made_of_even_tables(value):
    text = tables(make_report(value))
    for block in text.split('\n\n')[1:]:
        assert len({line.count('|') for line in block.splitlines()}) == 1
    assert 'None' not in text
    assert '| clip accuracy, dominant unit or none | 25.0 % (20.0 % to 30.0 %) |' in text
    assert text.count('| 45 blink |') == 1
    assert text.count('| stronger side named, 2 clips with uneven units |') == 1


def test_methods_come_in_order_and_unknown_ones_last():
    names = [key for key, _, _ in methods(make_report(None))]
    assert names == ['events', 'chance', 'other']
    every = {'methods': {key: {} for key in reversed(METHODS)}}
    assert [key for key, _, _ in methods(every)] == list(METHODS)


def test_numbers_by_hand():
    assert [number(v) for v in (None, 0, 999, 12_345, 2.5e9)] == [
        '–',
        '0',
        '999',
        '12.3 k',
        '2.5 G',
    ]
    assert between([0.1, 0.2], percent) == '10.0 % to 20.0 %'
    assert between([None, None], percent) == between(None, percent) == ''
