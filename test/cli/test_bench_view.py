"""`microexpr bench view` in small."""

import json
from urllib.parse import urlsplit

import pytest
from browser import wait_until
from command_line import invoke
from view_pages import LivePipeline, serving

from microexpr_ros.cli.bench.view import Span, app, draw, summarize_spans, watch
from microexpr_ros.view.server import MOST_UNSHOWN


def test_a_row_costs_what_it_takes_more_than_the_one_before():
    without, unwatched, watched = Span(2.0, 1.0), Span(4.0, 2.0), Span(2.0, 1.1, (500, 1500))
    rows = summarize_spans(without, unwatched, watched)
    assert [row.cpu_percent for row in rows] == [50, 50, 55]
    assert [row.cost_percent for row in rows] == [None, 0, 5]
    assert (rows[2].snapshots_hz, rows[2].kb_per_s) == (1, 1)


def test_a_viewer_gets_snapshots_as_long_as_it_acknowledges_them():
    pipeline = LivePipeline()
    with serving(pipeline.compose) as server, watch(urlsplit(server.url).port) as viewer:
        sizes = wait_until(lambda: draw(viewer, 2.0)[MOST_UNSHOWN:], 60)
    assert min(sizes) > 1000


@pytest.mark.slow
def test_the_page_is_measured_on_a_pipeline(tmp_path):
    pytest.importorskip('rclpy')
    found = json.loads(invoke(app, '--source', 'synthetic', '--seconds', 2, '--json').stdout)
    assert [row['page'] for row in found['rows']] == ['none', 'no viewer', 'one viewer']
    assert all(row['cpu_percent'] > 0 for row in found['rows'])
    assert found['rows'][2]['snapshots_hz'] > 0
