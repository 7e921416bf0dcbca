"""`microexpr bench fleet`: recordings per minute on one and two workers, and what bounds more."""

from __future__ import annotations

import operator
import shutil
import tempfile
import time
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from microexpr_ros.bags import BagWriter
from microexpr_ros.cli import output
from microexpr_ros.cli.bench.looped_texture import LoopedTexture
from microexpr_ros.cli.bench.machine import read_machine
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.fleet import Reading
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.events.packets import packetize
from microexpr_ros.events.region import Region
from microexpr_ros.fleet.store import find_recordings, require_store
from microexpr_ros.jobs import run
from microexpr_ros.jobs.cluster import local_cluster, require_cluster
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS
from microexpr_ros.topics import EVENTS_TOPIC

app = make_app()

_EMPTY_TASKS: Final = 500
_PAPER_WORKERS: Final = 1000
_REGION: Final = Region(80, 0, 480, 480)


@app.command()
def fleet(
    recordings: Annotated[int, typer.Option(help='Recordings of a fleet.', min=2)] = 8,
    seconds: Annotated[
        float,
        typer.Option(help='Length of each, s, to the nearest repetition of the texture.', min=1),
    ] = 6.0,
    mev_per_s: Annotated[
        float, typer.Option(help='Their rate, in million events per second.', min=0.01)
    ] = 0.3,
    as_json: JsonOption = False,
) -> None:
    """Measure a fleet of recordings on one and on two workers.

    From that follows what would bound a thousand workers. Each worker has loaded its network
    before the clock starts, as in a long run.
    """
    require_cluster()
    require_store()
    with tempfile.TemporaryDirectory() as scratch, output.spinner('making recordings') as update:
        folder = Path(scratch)
        texture = LoopedTexture(SENSORS['vga'], seconds, mev_per_s * 1e6)
        for number in range(recordings):
            _write_recording(folder / f'{number:03d}', texture, number)
        rows = []
        task_ms = 0.0
        for workers in (1, 2):
            update(f'{workers} workers')
            with local_cluster(workers) as cluster:
                task_ms = _measure_tasks(cluster.executor)
                wall_s = _measure_fleet(folder, cluster.executor, workers)
            rows.append({'workers': workers, 'recordings_per_min': 60 * recordings / wall_s})
        read = sum(path.stat().st_size for path in folder.glob('*/*.mcap')) / recordings
        written = _mean_size(folder / 'out-2')
    busy_s = 60 / rows[0]['recordings_per_min']
    paper = estimate_fleet(busy_s, texture.duration_s, read, written, task_ms)
    result = {
        'recordings': recordings,
        'seconds': texture.duration_s,
        'mev_per_s': mev_per_s,
        'rows': rows,
        'overhead_per_task_ms': task_ms,
        'bytes_read': read,
        'bytes_written': written,
        'paper': paper,
        'machine': read_machine(),
    }
    if as_json:
        output.print_json(result)
        return
    output.print_table(
        [
            {'workers': str(row['workers']), 'recordings/min': f'{row["recordings_per_min"]:.1f}'}
            for row in rows
        ],
        text=(),
        caption=f'{recordings} recordings of {texture.duration_s:.1f} s; {task_ms:.2f} ms of '
        'overhead per task',
    )
    output.print_text(
        f'on paper {_PAPER_WORKERS} workers finish {paper["recordings_per_s"]:.0f} recordings/s, '
        f'read {paper["read_mb_per_s"]:.0f} and write {paper["written_mb_per_s"]:.0f} MB/s; the '
        f'scheduler keeps up with {paper["scheduler_workers"]:.0f} workers, with recordings of '
        f'a minute with {paper["scheduler_workers_minutes"]:.0f}'
    )


def estimate_fleet(
    busy_s: float, seconds: float, bytes_read: float, bytes_written: float, task_ms: float
) -> dict[str, float]:
    """Return what a thousand workers would ask of store and scheduler.

    The store has to give what they read per second. The scheduler is what bounds them if they end
    more tasks per second than it hands out: from `scheduler_workers` on, or with recordings of a
    minute, one task each, from `scheduler_workers_minutes` on.

    Args:
        busy_s: what one worker takes for a recording.
        seconds: length of a recording.
        bytes_read: of a recording.
        bytes_written: of a result.
        task_ms: what the scheduler takes for a task.

    Example:
        >>> paper = estimate_fleet(10.0, 60.0, 5e6, 1e6, 1.0)
        >>> paper['scheduler_share'], paper['scheduler_workers']
        (0.1, 10000.0)
    """
    per_s = _PAPER_WORKERS / busy_s
    workers = 1000 * busy_s / task_ms
    return {
        'workers': _PAPER_WORKERS,
        'recordings_per_s': per_s,
        'recorded_minutes_per_s': per_s * seconds / 60,
        'read_mb_per_s': per_s * bytes_read / 1e6,
        'written_mb_per_s': per_s * bytes_written / 1e6,
        'scheduler_tasks_per_s': 1000 / task_ms,
        'scheduler_share': per_s * task_ms / 1000,
        'scheduler_workers': workers,
        'scheduler_workers_minutes': workers * 60 / seconds,
    }


def _measure_tasks(executor: Executor) -> float:
    """Return what a task takes in which nothing is done, ms."""
    tasks = {n: partial(operator.add, n, 1) for n in range(_EMPTY_TASKS)}
    started = time.perf_counter()
    run(tasks, executor, lambda *_: None)
    return 1000 * (time.perf_counter() - started) / _EMPTY_TASKS


def _measure_fleet(folder: Path, executor: Executor, workers: int) -> float:
    """Return the wall time of a fleet, s."""
    # The networks take a while to load.
    from microexpr_ros.fleet.fleet import analyze_fleet

    # A region of its own: the network would not run where no face is found.
    settings = Reading(region=_REGION, retries=0).settings()
    sources = find_recordings([f'{folder}/*/*.mcap'])
    # As many recordings as workers, so that each loads and compiles.
    analyze_fleet(sources[:workers], str(folder / 'warm-up'), settings, executor)
    shutil.rmtree(folder / 'warm-up')
    started = time.perf_counter()
    status = analyze_fleet(sources, str(folder / f'out-{workers}'), settings, executor)
    if status.failed:
        raise RuntimeError(f'recordings of the benchmark failed: {status.failed}')
    return time.perf_counter() - started


def _mean_size(folder: Path) -> float:
    sizes = [path.stat().st_size for path in folder.glob('*.parquet')]
    return sum(sizes) / len(sizes)


def _write_recording(path: Path, texture: LoopedTexture, seed: int) -> None:
    with BagWriter(path) as writer:
        # The epoch makes them differ.
        for packet in packetize(
            texture.chunks(), texture.height, texture.width, epoch_ns=10**18 + seed
        ):
            writer.write_packet(EVENTS_TOPIC, packet)
