"""`microexpr bench fleet` in small."""

import json

import pytest
from command_line import invoke

from microexpr_ros.cli.bench.fleet import app, estimate_fleet
from microexpr_ros.cli.bench.looped_texture import LoopedTexture
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS


@pytest.mark.slow
def test_recordings_per_minute_and_what_bounds_a_thousand_workers():
    for module in ('distributed', 'fsspec', 'pyarrow'):
        pytest.importorskip(module, reason='requirements/fleet.txt and requirements/parquet.txt')
    result = invoke(app, '--recordings', 2, '--seconds', 1, '--json')
    found = json.loads(result.stdout)
    assert [row['workers'] for row in found['rows']] == [1, 2]
    assert all(row['recordings_per_min'] > 0 for row in found['rows'])
    assert found['overhead_per_task_ms'] > 0
    assert found['bytes_read'] > found['bytes_written'] > 0
    # The texture is repeated as a whole, and lasts two seconds at this rate.
    assert found['seconds'] == LoopedTexture(SENSORS['vga'], 1.0, 0.3e6).duration_s > 2


def test_the_paper_says_what_it_is_worked_out_from():
    paper = estimate_fleet(
        busy_s=20.0, seconds=6.0, bytes_read=4e6, bytes_written=2e5, task_ms=2.0
    )
    assert (paper['recordings_per_s'], paper['recorded_minutes_per_s']) == (50, 5)
    assert (paper['read_mb_per_s'], paper['written_mb_per_s']) == (200, 10)
    assert (paper['scheduler_tasks_per_s'], paper['scheduler_share']) == (500, 0.1)
    assert (paper['scheduler_workers'], paper['scheduler_workers_minutes']) == (10_000, 100_000)
