"""`microexpr bench view` in small."""

import json

import pytest
from command_line import invoke

from microexpr_ros.cli.bench.view import Span, app, summarize_spans


def test_a_row_costs_what_it_takes_more_than_the_one_before():
    without, unwatched, watched = Span(2.0, 1.0), Span(4.0, 2.0), Span(2.0, 1.1, (500, 1500))
    rows = summarize_spans(without, unwatched, watched)
    assert [row.cpu_percent for row in rows] == [50, 50, 55]
    assert [row.cost_percent for row in rows] == [None, 0, 5]
    assert (rows[2].snapshots_hz, rows[2].kb_per_s) == (1, 1)


@pytest.mark.slow
def test_the_page_is_measured_on_a_pipeline(tmp_path):
    pytest.importorskip('rclpy')
    found = json.loads(invoke(app, '--source', 'synthetic', '--seconds', 2, '--json').stdout)
    assert [row['page'] for row in found['rows']] == ['none', 'no viewer', 'one viewer']
    assert all(row['cpu_percent'] > 0 for row in found['rows'])
    assert found['rows'][2]['snapshots_hz'] > 0
