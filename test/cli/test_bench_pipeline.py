"""`microexpr bench pipeline`."""

import json

import pytest
from command_line import assert_one_clear_line

pytest.importorskip('rclpy')
pytest.importorskip('microexpr_ros.msg')

from face_bags import write_face_bag
from machine import OtherLoad
from observations import make_observation

from microexpr_ros.cli.bench.pipeline import NODES, ONE_PROCESS, Run, summarize_run
from microexpr_ros.cli.bench.processes import Usage


def test_the_numbers_of_a_run_by_hand():
    run = Run(
        seen=make_observation(),
        wall_s=0.5,
        begun={'pipeline': Usage(cpu_s=2.0, memory_mb=100.0)},
        used={'pipeline': Usage(cpu_s=2.2, memory_mb=123.4)},
    )
    row = summarize_run(run, ONE_PROCESS, rate=2.0, seconds=0.04)
    assert row.cpu_percent == {'pipeline': 40.0}
    assert row.memory_mb == {'pipeline': 123}
    # Four slices and 900 events of 40 ms, at twice the speed.
    assert row.windows_hz == 200.0
    assert row.events_per_s == 45_000
    assert row.lost_packets == 2
    assert (row.lost_frames, row.missed_slices, row.skipped_images) == (2, 4, 6)
    assert row.behind == {'synchronizer': 0.75}
    assert row.latency_ms == {'p50': 3.0, 'p99': 3.98}
    assert row.real_time_factor == 0.5


def test_rates_that_are_none_are_one_clear_line(microexpr):
    assert_one_clear_line(microexpr('bench', 'pipeline', '--rates', 'fast'))


@pytest.mark.slow
def test_both_forms_are_measured(microexpr, tmp_path):
    write_face_bag(tmp_path / 'bag', 2.0)
    others = OtherLoad()
    result = microexpr('bench', 'pipeline', '--source', 'bag', '--rates', '1', '--json')
    assert result.returncode == 0, result.stderr
    one, each = json.loads(result.stdout)['rows']
    assert (one['form'], each['form']) == ('one process', 'a process per node')
    assert set(one['memory_mb']) == {'pipeline'}
    assert set(each['memory_mb']) == set(NODES)
    is_ours = others.share() < 0.25
    for row in (one, each):
        assert 0 < row['latency_ms']['p50'] <= row['latency_ms']['p99']
        # Where other programs took what the pipeline needs, these measure them instead.
        if is_ours:
            assert row['lost_packets'] == 0
            assert row['real_time_factor'] > 0.8
            assert row['latency_ms']['p99'] < 1000
            assert row['windows_hz'] == pytest.approx(100, rel=0.05)
            assert row['events_per_s'] == pytest.approx(200_000, rel=0.05)
        assert all(50 < megabytes < 2000 for megabytes in row['memory_mb'].values())
        assert 1 < sum(row['cpu_percent'].values()) < 400
