import math
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.learning.evaluation.action_unit_report import ConfidenceBin
from microexpr_ros.learning.report.charts import (
    Bar,
    draw_bars,
    draw_confusion,
    draw_curves,
    draw_differences,
    draw_histogram,
    draw_reliability,
    ticks,
)
from microexpr_ros.learning.report.svg import element, text

SVG = '{http://www.w3.org/2000/svg}'


def read(picture):
    root = ET.fromstring(picture)
    assert root.tag == f'{SVG}svg'
    assert root.get('aria-label')
    return root


def widths(picture):
    return [float(box.get('width')) for box in read(picture).iter(f'{SVG}rect')]


def words(picture):
    return [node.text for node in read(picture).iter(f'{SVG}text')]


def test_text_is_escaped():
    assert '&lt;b&gt; &amp;' in text(0, 0, '<b> &')
    assert element('g', title='"') == '<g title="&quot;"/>'
    # Elements among the children stay, plain text does not become one.
    assert element('g', element('p', x=1), '<b>', x=1) == '<g x="1"><p x="1"/>&lt;b&gt;</g>'


def test_bars_are_as_long_as_their_values():
    rows = [Bar('a', 0.2), Bar('b', 0.4, main=False), Bar('c', math.nan)]
    picture = draw_bars(rows, 'shares', lambda v: f'{v:g}')
    first, second = widths(picture)
    assert second == pytest.approx(2 * first, rel=0.01)
    assert words(picture).count('not measured') == 1
    assert {'a', 'b', 'c', '0.2', '0.4'} <= set(words(picture))


def test_nothing_sticks_out_of_a_bar_chart():
    rows = [Bar('a', 0.9, (0.8, 1.0), 0.95, 'n = 3')]
    root = read(draw_bars(rows, 'shares', str, width=300, label_width=50))
    xs = [float(node.get('x2', node.get('cx', 0))) for node in root]
    assert max(xs) < 300 - 68


def test_what_is_nan_is_not_drawn():
    rows = [Bar('a', 0.5, (math.nan, 0.6), dot=math.nan), Bar('b', math.nan, dot=0.5)]
    picture = draw_bars(rows, 'shares', str)
    assert 'nan' not in picture
    root = read(picture)
    # No whisker, no dot, no second bar: only the line at the left.
    assert len(list(root.iter(f'{SVG}line'))) == 1
    assert not list(root.iter(f'{SVG}circle'))
    assert len(widths(picture)) == 1
    assert words(draw_bars([Bar('a', math.nan)], 'shares', str)).count('not measured') == 1


def test_differences_lie_on_their_side_of_zero():
    rows = [
        Bar('worse', -0.1, (-0.3, 0.1)),
        Bar('better', 0.2, (0.1, 0.3), note='7 clips'),
        Bar('unknown', math.nan),
    ]
    drawn = draw_differences(rows, 'leads', lambda v: f'{v:g}')
    root = read(drawn)
    zero, *whiskers = list(root.iter(f'{SVG}line'))
    worse, better = list(root.iter(f'{SVG}circle'))
    middle = float(zero.get('x1'))
    # Twice as far to the other side, and sure of it.
    assert float(better.get('cx')) - middle == pytest.approx(
        2 * (middle - float(worse.get('cx'))), rel=0.01
    )
    assert (worse.get('fill'), better.get('fill')) == ('white', better.get('stroke'))
    assert float(whiskers[0].get('x1')) < middle < float(whiskers[0].get('x2'))
    assert float(whiskers[1].get('x1')) > middle
    assert {'worse', 'better', '7 clips', 'not measured'} <= set(words(drawn))
    assert 'nan' not in drawn


def test_confusion_shows_what_is_counted():
    picture = draw_confusion([[3, 1], [0, 7]], ['yes', 'no'], 'confusion')
    assert [w for w in words(picture) if w.isdigit()] == ['3', '1', '7']
    fills = [box.get('fill') for box in read(picture).iter(f'{SVG}rect')]
    # A full row has the full colour, an empty cell is paper.
    assert fills[3] == '#2b7a82'
    assert fills[2] == '#f4f3ef'


def test_diagram_has_a_dot_for_each_bin():
    bins = [ConfidenceBin(0.2, 0.1, 5), ConfidenceBin(0.9, 0.9, 50)]
    small, large = read(draw_reliability(bins, 'reliability')).iter(f'{SVG}circle')
    assert float(small.get('r')) < float(large.get('r'))
    assert float(small.get('cy')) > float(large.get('cy'))
    read(draw_reliability([], 'nothing'))


def test_histogram_counts():
    picture = draw_histogram([1, 2, 3, 25], 10, 'ms', 'delays')
    heights = [float(box.get('height')) for box in read(picture).iter(f'{SVG}rect')]
    assert heights[0] == pytest.approx(3 * heights[2], abs=0.05)
    assert heights[1] == 0
    assert 'median 2 ms' in words(picture)
    read(draw_histogram([], 10, 'ms', 'nothing'))


def test_curves_are_named():
    picture = draw_curves(
        {'events': [(0, 0.5), (10, 0.4)], 'rgb': [(0, 0.2), (10, 0.1)]}, 'x', 'y', 'c'
    )
    assert {'events', 'rgb', 'x', 'y'} <= set(words(picture))
    assert len(list(read(picture).iter(f'{SVG}circle'))) == 4


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e4))
def test_ticks_are_few_even_and_inside(low, extent):
    values = ticks(low, low + extent)
    assert 2 <= len(values) <= 6
    assert values[0] == pytest.approx(low, abs=1e-6)
    assert values[-1] <= low + extent * (1 + 1e-6)
