from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.learning.report.charts import (
    Bar,
    bars,
    curves,
    diagram,
    histogram,
    matrix,
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


def test_bars_are_as_long_as_their_values():
    rows = [Bar('a', 0.2), Bar('b', 0.4, main=False), Bar('c', None)]
    picture = bars(rows, 'shares', lambda v: f'{v:g}')
    first, second = widths(picture)
    assert second == pytest.approx(2 * first, rel=0.01)
    assert words(picture).count('not measured') == 1
    assert {'a', 'b', 'c', '0.2', '0.4'} <= set(words(picture))


def test_nothing_sticks_out_of_a_bar_chart():
    rows = [Bar('a', 0.9, [0.8, 1.0], 0.95, 'n = 3')]
    root = read(bars(rows, 'shares', str, width=300, label_width=50))
    xs = [float(node.get('x2', node.get('cx', 0))) for node in root]
    assert max(xs) < 300 - 68


def test_matrix_shows_what_is_there():
    picture = matrix([[3, 1], [0, 7]], ['yes', 'no'], 'confusion')
    assert [w for w in words(picture) if w.isdigit()] == ['3', '1', '7']
    fills = [box.get('fill') for box in read(picture).iter(f'{SVG}rect')]
    # A full row has the full colour, an empty cell is paper.
    assert fills[3] == '#2b7a82'
    assert fills[2] == '#f4f3ef'


def test_diagram_has_a_dot_for_each_bin():
    bins = [{'confidence': 0.2, 'right': 0.1, 'n': 5}, {'confidence': 0.9, 'right': 0.9, 'n': 50}]
    small, large = read(diagram(bins, 'reliability')).iter(f'{SVG}circle')
    assert float(small.get('r')) < float(large.get('r'))
    assert float(small.get('cy')) > float(large.get('cy'))
    read(diagram([], 'nothing'))


def test_histogram_counts():
    picture = histogram([1, 2, 3, 25], 10, 'ms', 'delays')
    heights = [float(box.get('height')) for box in read(picture).iter(f'{SVG}rect')]
    assert heights[0] == pytest.approx(3 * heights[2], abs=0.05)
    assert heights[1] == 0
    assert 'median 2 ms' in words(picture)
    read(histogram([], 10, 'ms', 'nothing'))


def test_curves_are_named():
    picture = curves(
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
