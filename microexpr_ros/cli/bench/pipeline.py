"""`microexpr bench pipeline`: latency, rates, processor time and memory of the real nodes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Annotated, Final

import typer

from microexpr_ros.cli import output
from microexpr_ros.cli.bench.machine import read_machine
from microexpr_ros.cli.bench.processes import Process, Usage, measure_usage, start_node
from microexpr_ros.cli.bench.rates import parse_rates
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.demo import playback_arguments
from microexpr_ros.cli.demo.observer import Observation, Observer
from microexpr_ros.cli.demo.results import report
from microexpr_ros.cli.demo.sources import Source, prepare_source
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.cli.recording_options import SensorOption, SourceOption, TimeUnitOption
from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import environment

app = make_app()

NODES: Final = ('player', 'synchronizer', 'au_classifier', 'reconstructor')
ONE_PROCESS: Final = 'one process'
PROCESS_PER_NODE: Final = 'a process per node'

_PATIENCE_S: Final = 60.0
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Run:
    """The pipeline, run once.

    Attributes:
        seen: everything that it published.
        wall_s: from the first estimate to the last.
        begun: what each process had used at the first estimate, by name.
        used: what each process had used at the last estimate.
    """

    seen: Observation
    wall_s: float
    begun: Mapping[str, Usage]
    used: Mapping[str, Usage]


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Attributes:
        form: one process, or a process per node.
        rate: speed of the recording.
        latency_ms: percentiles of the estimates' latency, None if it is unknown.
        real_time_factor: recording time over wall time; 1 if the pipeline keeps up.
        windows_hz: slices per second of wall time at this speed.
        events_per_s: events per second of wall time at this speed.
        lost_packets: packets that were played and did not arrive.
        lost_frames: frames that were played and did not arrive.
        missed_slices: slices that did not reach the classifier.
        skipped_images: images that the reconstructor left out to keep up.
        behind: nodes that fell behind, with the least rate at which they processed their input.
        cpu_percent: processor time over wall time, by process; 100 is one core.
        memory_mb: resident memory at the end, by process.
    """

    form: str
    rate: float
    latency_ms: dict[str, float | None]
    real_time_factor: float
    windows_hz: float
    events_per_s: int
    lost_packets: int
    lost_frames: int
    missed_slices: int
    skipped_images: int
    behind: dict[str, float]
    cpu_percent: dict[str, float]
    memory_mb: dict[str, int]


@app.command()
def pipeline(
    source: SourceOption = 'real',
    sensor: SensorOption = None,
    time_unit: TimeUnitOption = None,
    seconds: Annotated[float, typer.Option(help='Play this much of it, in s.', min=1.0)] = 12.0,
    rates: Annotated[str, typer.Option(help='Speeds to play at, comma-separated.')] = '1,2',
    as_json: JsonOption = False,
) -> None:
    """Measure latency, rates, processor time and memory of the nodes.

    The nodes run in one process, and then in a process each. Processor time counts from the first
    to the last estimate, so that the start is left out; 100 is one core. Memory is the resident
    set at the end.
    """
    environment.keep_on_loopback()
    environment.prepare()
    speeds = parse_rates(rates)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        with output.progress_bar('looking for the recording') as bar:
            found = prepare_source(
                source,
                seconds,
                Path(scratch),
                lambda title, done: bar.update(done, title=title),
                sensor=sensor,
                time_unit=time_unit,
            )
        played_s = min(seconds, found.seconds)
        for rate in speeds:
            for form in (ONE_PROCESS, PROCESS_PER_NODE):
                with output.spinner(f'{found.title}, rate {rate:g}, {form}'):
                    run = _run(found, played_s, rate, form)
                rows.append(summarize_run(run, form, rate, played_s))
    if as_json:
        output.print_json(
            {
                'source': found.title,
                'rows': [asdict(row) for row in rows],
                'machine': read_machine(),
            }
        )
    else:
        output.print_table([_cells(row) for row in rows], text=('form',), title=found.title)


def summarize_run(run: Run, form: str, rate: float, seconds: float) -> Row:
    """Return the numbers of a run.

    Args:
        run: The run.
        form: ONE_PROCESS or PROCESS_PER_NODE.
        rate: Speed that the recording was played at.
        seconds: How much of the recording was played.
    """
    numbers = report(run.seen, seconds)
    wall_s = max(run.wall_s, 1e-9)
    return Row(
        form=form,
        rate=rate,
        latency_ms=numbers['latency_ms'],
        real_time_factor=numbers['real_time_factor'],
        windows_hz=round(numbers['windows'] / seconds * rate, 1),
        events_per_s=round(numbers['events'] / seconds * rate),
        lost_packets=numbers['lost_packets'],
        lost_frames=numbers['lost_frames'],
        missed_slices=numbers['missed_slices'],
        skipped_images=numbers['skipped_images'],
        behind=numbers['behind'],
        cpu_percent={
            name: round(100 * (used.cpu_s - run.begun[name].cpu_s) / wall_s, 1)
            for name, used in run.used.items()
        },
        memory_mb={name: round(used.memory_mb) for name, used in run.used.items()},
    )


def _run(source: Source, seconds: float, rate: float, form: str) -> Run:
    """Play the source once."""
    with tempfile.TemporaryFile('w+') as log:
        run = _run_logged(source, seconds, rate, form, log)
        log.seek(0)
        lines = log.read().splitlines()
    if not run.used:
        raise MicroexprError(
            f'the pipeline estimated nothing for {source.path}: {" | ".join(lines[-3:])}'
        )
    return run


def _run_logged(source: Source, seconds: float, rate: float, form: str, log: IO[str]) -> Run:
    arguments = playback_arguments(source, seconds, rate)
    # The player's process ends with the bag; in one process, that is the only one.
    *others, leader = ('pipeline',) if form == ONE_PROCESS else NODES[::-1]
    observer = Observer(lambda _: None)
    processes: dict[str, Process] = {}
    begun: dict[str, Usage] = {}
    used: dict[str, Usage] = {}
    began_s = ended_s = 0.0
    estimates = -1
    try:
        for name in others:
            processes[name] = start_node(name, arguments, log)
        # A node publishes diagnostics once it has loaded its network.
        _wait_until(lambda: {f'/{name}' for name in others} <= observer.seen.diagnostics.keys())
        processes[leader] = start_node(leader, arguments, log)
        while processes[leader].poll() is None:
            if observer.seen.estimates and not begun:
                began_s = time.monotonic()
                begun = measure_usage(processes)
            if begun and len(observer.seen.estimates) > estimates:
                estimates = len(observer.seen.estimates)
                ended_s = time.monotonic()
                used = measure_usage(processes)
            time.sleep(_POLL_S)
    finally:
        for process in processes.values():
            process.terminate()
            process.wait()
        seen = observer.close()
    return Run(seen, ended_s - began_s, begun, used)


def _wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; if it is not met in time, the run finds no estimates."""
    until_s = time.monotonic() + _PATIENCE_S
    while not condition() and time.monotonic() < until_s:
        time.sleep(_POLL_S)


def _cells(row: Row) -> dict[str, str]:
    latency = row.latency_ms
    p50, p99 = ('' if value is None else f'{value:.1f}' for value in latency.values())
    return {
        'form': row.form,
        'rate': f'{row.rate:g} x',
        'latency p50, p99 ms': f'{p50}, {p99}',
        'real time': f'{row.real_time_factor:.2f}',
        'slices/s': f'{row.windows_hz:.0f}',
        'kev/s': f'{row.events_per_s / 1e3:.0f}',
        'lost': _counts(
            packets=row.lost_packets,
            frames=row.lost_frames,
            slices=row.missed_slices,
            images=row.skipped_images,
        ),
        'behind': '\n'.join(f'{name} {factor:.2f}' for name, factor in row.behind.items()),
        'CPU %': _lines(row.cpu_percent),
        'memory MB': _lines(row.memory_mb),
    }


def _counts(**lost: int) -> str:
    return '\n'.join(f'{name} {count}' for name, count in lost.items() if count) or '0'


def _lines(numbers: Mapping[str, float]) -> str:
    return '\n'.join(f'{name} {number:.0f}' for name, number in numbers.items())
