"""`microexpr bench pipeline`."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import assert_one_clear_line

pytest.importorskip('rclpy')
pytest.importorskip('microexpr_ros.msg')

from face_bags import write_face_bag
from machine import OtherLoad
from observations import make_observation

from microexpr_ros.cli.bench.pipeline import (
    HD_NODES,
    NODES,
    ONE_PROCESS,
    Run,
    prepare_texture,
    run_pipeline,
    summarize_run,
)
from microexpr_ros.cli.bench.processes import Usage
from microexpr_ros.cli.bench.tiled_faces import TILES, TiledFaces
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files import Recording
from microexpr_ros.ros import environment


def test_the_numbers_of_a_run_by_hand():
    run = Run(
        seen=make_observation(),
        wall_s=0.5,
        begun={'pipeline': Usage(2.0, 100.0, {'player': 0.5, 'python': 1.5})},
        halfway={'pipeline': Usage(2.1, 122.2)},
        used={'pipeline': Usage(2.2, 123.4, {'player': 0.55, 'python': 1.5, 'late': 0.15})},
    )
    row = summarize_run(run, 'a bag', ONE_PROCESS, rate=2.0, seconds=0.04)
    assert (row.source, row.form, row.faces) == ('a bag', ONE_PROCESS, 1)
    assert row.cpu_share == {'pipeline': 1.0}
    assert row.thinned_percent == 25.0
    assert row.cpu_percent == {'pipeline': 40.0}
    assert row.threads_percent == {'late': 30.0, 'player': 10.0, 'python': 0.0}
    assert row.memory_mb == {'pipeline': 123}
    assert row.memory_growth_mb == {'pipeline': 1.2}
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
    assert_one_clear_line(microexpr('bench', 'pipeline', '--hd', 'fast'))
    assert_one_clear_line(microexpr('bench', 'pipeline', '--faces', '1,5'))


def test_every_event_is_in_each_of_four_tiles():
    events = Events(
        np.array([0, 10**6, 5 * 10**6]),
        np.array([3, 10, 4], np.uint16),
        np.array([1, 6, 4], np.uint16),
        np.array([1, 0, 1], np.uint8),
    )
    tiles = TiledFaces(MadeRecording(events, height=7, width=11), seconds=0.002)
    [(seen, _)] = tiles.chunks()
    # The third event is later; the last column and row have no place in a tile of 5 x 3.
    np.testing.assert_array_equal(seen.t, np.repeat([0, 10**6], TILES))
    np.testing.assert_array_equal(seen.p, np.repeat([1, 0], TILES))
    places = list(zip(seen.x.tolist(), seen.y.tolist(), strict=True))
    assert places == [(1, 0), (6, 0), (1, 3), (6, 3), (4, 2), (9, 2), (4, 5), (9, 5)]


class MadeRecording(Recording):
    """A recording whose events a test gives."""

    def __init__(self, events, height, width):
        super().__init__(Path('made'), 'made', height, width)
        self._events = events

    def _read(self):
        yield self._events, Triggers.empty()


@pytest.mark.slow
def test_both_forms_are_measured(microexpr, tmp_path):
    total = write_face_bag(tmp_path / 'bag', 2.0)
    others = OtherLoad()
    result = microexpr(
        'bench', 'pipeline', '--source', 'bag', '--rates', '1', '--hd', '', '--faces', '', '--json'
    )
    assert result.returncode == 0, result.stderr
    one, each = json.loads(result.stdout)['rows']
    assert (one['form'], each['form']) == ('one process', 'a process per node')
    assert set(one['memory_mb']) == {'pipeline'}
    assert set(each['memory_mb']) == set(NODES)
    threads = {'subscriptions', 'reconstructor', 'player', 'read ahead'}
    assert threads <= set(one['threads_percent'])
    assert not each['threads_percent']
    assert sum(one['threads_percent'].values()) == pytest.approx(
        one['cpu_percent']['pipeline'], abs=5
    )
    is_ours = others.share() < 0.25
    for row in (one, each):
        assert 0 < row['latency_ms']['p50'] <= row['latency_ms']['p99']
        # Where other programs took what the pipeline needs, these measure them instead.
        if is_ours:
            assert row['lost_packets'] == 0
            assert row['real_time_factor'] > 0.8
            assert row['latency_ms']['p99'] < 1000
            assert row['windows_hz'] == pytest.approx(100, rel=0.05)
            assert row['events_per_s'] == pytest.approx(total / 2, rel=0.05)
        assert all(50 < megabytes < 2000 for megabytes in row['memory_mb'].values())
        assert 1 < sum(row['cpu_percent'].values()) < 400


@pytest.mark.slow
def test_no_slice_is_missing_of_more_events_than_many_machines_take(tmp_path, surroundings):
    environment.prepare()
    texture = prepare_texture(tmp_path, 6.0, 20.0)
    run = run_pipeline(texture, texture.seconds, 1.0, ONE_PROCESS, HD_NODES)
    row = summarize_run(run, texture.title, ONE_PROCESS, 1.0, texture.seconds)
    steps_ns = np.diff([estimate.end_ns for estimate in run.seen.estimates])
    assert (steps_ns == 10_000_000).all()
    assert row.missed_slices == 0
    assert len(steps_ns) > 100
    thinned, kept = row.thinned_percent / 100, int(run.seen.diagnostics['/synchronizer']['events'])
    # On a machine with much other work, packets are lost before the synchronizer gets them.
    if not row.lost_packets:
        assert len(steps_ns) > 100 * texture.seconds - 10
        assert kept / (1 - thinned) == pytest.approx(20e6 * texture.seconds, rel=0.02)
    assert run.seen.overlays
