"""`microexpr bench pipeline`: latency, rates, processor time and memory of the real nodes."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Annotated, Final

import typer

from microexpr_ros.cli import output
from microexpr_ros.cli.bench.looped_texture import LoopedTexture
from microexpr_ros.cli.bench.machine import read_machine
from microexpr_ros.cli.bench.processes import Process, Usage, measure_usage, start_node
from microexpr_ros.cli.bench.rates import parse_rates
from microexpr_ros.cli.bench.tiled_faces import TILES, TiledFaces
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.demo import playback_arguments
from microexpr_ros.cli.demo.observer import Observation, Observer
from microexpr_ros.cli.demo.results import report
from microexpr_ros.cli.demo.sources import Source, find_source
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.cli.recording_options import SensorOption, SourceOption, TimeUnitOption
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.files import open_recording
from microexpr_ros.ros import environment
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS
from microexpr_ros.topics import EVENTS_TOPIC

app = make_app()

NODES: Final = ('player', 'synchronizer', 'au_classifier', 'reconstructor')
HD_NODES: Final = (*NODES, 'overlay')
ONE_PROCESS: Final = 'one process'
PROCESS_PER_NODE: Final = 'a process per node'

_PATIENCE_S: Final = 60.0
_POLL_S: Final = 0.05

# A square within the 1280 x 720 pixels: a texture has no face that could be followed.
_HD_REGION: Final = [360, 80, 560, 560]


@dataclass(frozen=True, slots=True)
class Run:
    """The pipeline, run once.

    Attributes:
        seen: everything that it published.
        wall_s: from the first estimate to the last.
        begun: what each process had used at the first estimate, by name.
        halfway: what each process had used in the middle of the run.
        used: what each process had used at the last estimate.
    """

    seen: Observation
    wall_s: float
    begun: Mapping[str, Usage]
    halfway: Mapping[str, Usage]
    used: Mapping[str, Usage]


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Attributes:
        source: what was played.
        form: one process, or a process per node.
        faces: how many faces are followed at most.
        rate: speed of the recording.
        latency_ms: percentiles of the estimates' latency, None if it is unknown.
        real_time_factor: recording time over wall time; 1 if the pipeline keeps up.
        windows_hz: slices per second of wall time at this speed.
        events_per_s: events per second of wall time at this speed, without those thinned.
        thinned_percent: share of the events that were left out evenly to keep up.
        lost_packets: packets that were played and did not arrive.
        lost_frames: frames that were played and did not arrive.
        missed_slices: slices that did not reach the classifier.
        skipped_images: images that the reconstructor left out to keep up.
        behind: nodes that fell behind, with the least rate at which they processed their input.
        cpu_percent: processor time over wall time, by process; 100 is one core.
        threads_percent: the same by thread, in one process: `subscriptions` cuts slices and steps
            the spiking network, `reconstructor` makes images, `player` publishes packets, `read
            ahead` reads them, `executor` and `python` run services and timers, `dds...` are those
            of the middleware.
        cpu_share: share of each process in the processor time of all: of each stage, where every
            node has a process.
        memory_mb: resident memory at the end, by process.
        memory_growth_mb: how much of it came in the second half of the run.
    """

    source: str
    form: str
    faces: int
    rate: float
    latency_ms: dict[str, float | None]
    real_time_factor: float
    windows_hz: float
    events_per_s: int
    thinned_percent: float
    lost_packets: int
    lost_frames: int
    missed_slices: int
    skipped_images: int
    behind: dict[str, float]
    cpu_percent: dict[str, float]
    threads_percent: dict[str, float]
    cpu_share: dict[str, float]
    memory_mb: dict[str, int]
    memory_growth_mb: dict[str, float]


@app.command()
def pipeline(
    source: SourceOption = 'real',
    sensor: SensorOption = None,
    time_unit: TimeUnitOption = None,
    seconds: Annotated[float, typer.Option(help='Play this much of it, in s.', min=1.0)] = 12.0,
    rates: Annotated[
        str, typer.Option(help='Speeds to play at, comma-separated; empty: none.')
    ] = '1,2',
    hd: Annotated[
        str,
        typer.Option(
            help='Rates of synthetic events, 1280 x 720, to play too, in Mev/s, comma-separated; '
            'empty: none. A minute at 20 needs 8 GB on disk.'
        ),
    ] = '5,20',
    faces: Annotated[
        str,
        typer.Option(
            help='Numbers of faces to follow, 1 to 4, comma-separated, in a recording that shows '
            'the source four times; empty: none.'
        ),
    ] = '1,2,4',
    as_json: JsonOption = False,
) -> None:
    """Measure latency, rates, processor time and memory of the nodes.

    The nodes run in one process, and then in a process each. So they do on synthetic events of a
    moving texture, with the overlay too; there the share of a process is that of a stage. What
    further faces cost is measured in one process: each has as many slices a second as the first.
    Processor time counts from the first to the last estimate, so that the start is left out; 100
    is one core. Memory is the resident set at the end; its growth is that of the second half.
    """
    environment.keep_on_loopback()
    environment.prepare()
    speeds = parse_rates(rates) if rates else []
    hd_rates = parse_rates(hd, 'hd') if hd else []
    face_counts = parse_faces(faces) if faces else []
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        found = find_source(source, seconds, Path(scratch), sensor, time_unit)
        played_s = min(seconds, found.seconds)
        for rate in speeds:
            for form in (ONE_PROCESS, PROCESS_PER_NODE):
                with output.spinner(f'{found.title}, rate {rate:g}, {form}'):
                    run = run_pipeline(found, played_s, rate, form, NODES)
                rows.append(summarize_run(run, found.title, form, rate, played_s))
        if face_counts:
            with output.spinner('showing the source four times'):
                tiled = prepare_tiles(found, Path(scratch), played_s)
            for count in face_counts:
                with output.spinner(f'{tiled.title}, {count} followed'):
                    run = run_pipeline(tiled, played_s, 1.0, ONE_PROCESS, NODES, count)
                rows.append(summarize_run(run, tiled.title, ONE_PROCESS, 1.0, played_s, count))
            shutil.rmtree(tiled.path)
        for mev_per_s in hd_rates:
            with output.spinner(f'making {mev_per_s:g} Mev/s of synthetic events'):
                texture = prepare_texture(Path(scratch), seconds, mev_per_s)
            for form in (ONE_PROCESS, PROCESS_PER_NODE):
                with output.spinner(f'{texture.title}, {form}'):
                    run = run_pipeline(texture, texture.seconds, 1.0, form, HD_NODES)
                rows.append(summarize_run(run, texture.title, form, 1.0, texture.seconds))
            shutil.rmtree(texture.path)
    if as_json:
        output.print_json(
            {
                'source': found.title,
                'rows': [asdict(row) for row in rows],
                'machine': read_machine(),
            }
        )
    else:
        output.print_table([_cells(row) for row in rows], text=('source', 'form'), group='source')


def prepare_texture(folder: Path, seconds: float, mev_per_s: float) -> Source:
    """Return a bag of a moving texture that fills the sensor and has this rate of events."""
    recording = LoopedTexture(SENSORS['hd'], seconds, mev_per_s * 1e6)
    path = folder / f'texture-{mev_per_s:g}'
    convert_recording(recording, path)
    title = f'texture, {recording.width} x {recording.height}, {mev_per_s:g} Mev/s'
    return Source(path, EVENTS_TOPIC, None, title, recording.duration_s)


def prepare_tiles(source: Source, folder: Path, seconds: float) -> Source:
    """Return a bag that shows the beginning of another one four times."""
    recording = TiledFaces(open_recording(source.path, topic=source.events_topic), seconds)
    path = folder / 'tiles'
    convert_recording(recording, path)
    return Source(path, EVENTS_TOPIC, None, f'four times {source.title}', seconds)


def parse_faces(text: str) -> list[int]:
    """Return the numbers in a list of faces.

    Raises:
        MicroexprError: one of them is no number from 1 to 4.

    Example:
        >>> parse_faces('1,4')
        [1, 4]
    """
    words = text.split(',')
    if not all(word in map(str, range(1, TILES + 1)) for word in words):
        raise MicroexprError(f'--faces {text}: give numbers from 1 to {TILES}, such as 1,2,4')
    return list(map(int, words))


def summarize_run(
    run: Run, source: str, form: str, rate: float, seconds: float, faces: int = 1
) -> Row:
    """Return the numbers of a run.

    Args:
        run: The run.
        source: What was played.
        form: ONE_PROCESS or PROCESS_PER_NODE.
        rate: Speed that the recording was played at.
        seconds: How much of the recording was played.
        faces: How many faces were followed at most.
    """
    numbers = report(run.seen, seconds)
    wall_s = max(run.wall_s, 1e-9)
    cpu_s = {name: used.cpu_s - run.begun[name].cpu_s for name, used in run.used.items()}
    all_s = max(sum(cpu_s.values()), 1e-9)
    threads_s: dict[str, float] = {}
    if form == ONE_PROCESS:
        [(name, usage)] = run.used.items()
        before = run.begun[name].threads_s
        threads_s = {one: s - before.get(one, 0.0) for one, s in usage.threads_s.items()}
    return Row(
        source=source,
        form=form,
        faces=faces,
        rate=rate,
        latency_ms=numbers['latency_ms'],
        real_time_factor=numbers['real_time_factor'],
        windows_hz=round(numbers['windows'] / seconds * rate, 1),
        events_per_s=round(numbers['events'] / seconds * rate),
        thinned_percent=numbers['thinned_percent'],
        lost_packets=numbers['lost_packets'],
        lost_frames=numbers['lost_frames'],
        missed_slices=numbers['missed_slices'],
        skipped_images=numbers['skipped_images'],
        behind=numbers['behind'],
        cpu_percent={name: round(100 * used_s / wall_s, 1) for name, used_s in cpu_s.items()},
        threads_percent={
            name: round(100 * threads_s[name] / wall_s, 1)
            for name in sorted(threads_s, key=threads_s.__getitem__, reverse=True)
        },
        cpu_share={name: round(used_s / all_s, 3) for name, used_s in cpu_s.items()},
        memory_mb={name: round(used.memory_mb) for name, used in run.used.items()},
        memory_growth_mb={
            name: round(used.memory_mb - run.halfway[name].memory_mb, 1)
            for name, used in run.used.items()
        },
    )


def run_pipeline(
    source: Source, seconds: float, rate: float, form: str, nodes: Sequence[str], faces: int = 1
) -> Run:
    """Play the source once."""
    arguments = playback_arguments(source, seconds, rate)
    if nodes == HD_NODES:
        arguments += ['-p', f'pipeline:nodes:=[{", ".join(nodes)}]']
        arguments += ['-p', f'synchronizer:region:={_HD_REGION}']
    arguments += ['-p', f'synchronizer:faces:={faces}']
    # The player's process ends with the bag; in one process, that is the only one.
    names = ('pipeline',) if form == ONE_PROCESS else nodes[::-1]
    with tempfile.TemporaryFile('w+') as log:
        run = _run_logged(names, arguments, log)
        log.seek(0)
        lines = log.read().splitlines()
    if not run.used:
        raise MicroexprError(
            f'the pipeline estimated nothing for {source.path}: {" | ".join(lines[-3:])}'
        )
    return run


def _run_logged(names: Sequence[str], arguments: list[str], log: IO[str]) -> Run:
    """Start processes, the last of which ends the run, and observe them until then."""
    *others, leader = names
    observer = Observer(lambda _: None)
    processes: dict[str, Process] = {}
    begun: dict[str, Usage] = {}
    history: list[dict[str, Usage]] = []
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
                history.append(measure_usage(processes))
            time.sleep(_POLL_S)
    finally:
        for process in processes.values():
            process.terminate()
            process.wait()
        seen = observer.close()
    used = history[-1] if history else {}
    halfway = history[len(history) // 2] if history else {}
    return Run(seen, ended_s - began_s, begun, halfway, used)


def _wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; if it is not met in time, the run finds no estimates."""
    until_s = time.monotonic() + _PATIENCE_S
    while not condition() and time.monotonic() < until_s:
        time.sleep(_POLL_S)


def _cells(row: Row) -> dict[str, str]:
    latency = row.latency_ms
    p50, p99 = ('' if value is None else f'{value:.1f}' for value in latency.values())
    return {
        'source': row.source,
        'form': row.form,
        'faces': str(row.faces),
        'rate': f'{row.rate:g} x',
        'latency p50, p99 ms': f'{p50}, {p99}',
        'real time': f'{row.real_time_factor:.2f}',
        'slices/s': f'{row.windows_hz:.0f}',
        'kev/s': f'{row.events_per_s / 1e3:.0f}',
        'thinned %': f'{row.thinned_percent:.0f}',
        'lost': _counts(
            packets=row.lost_packets,
            frames=row.lost_frames,
            slices=row.missed_slices,
            images=row.skipped_images,
        ),
        'behind': '\n'.join(f'{name} {factor:.2f}' for name, factor in row.behind.items()),
        'CPU %': _lines(row.cpu_percent | _busy(row.threads_percent)),
        'memory MB': _lines(row.memory_mb),
        'growth MB': _lines(row.memory_growth_mb),
    }


def _busy(threads_percent: Mapping[str, float]) -> dict[str, float]:
    """Return the threads that use at least 1 % of a core."""
    return {f'- {name}': percent for name, percent in threads_percent.items() if percent >= 1}


def _counts(**lost: int) -> str:
    return '\n'.join(f'{name} {count}' for name, count in lost.items() if count) or '0'


def _lines(numbers: Mapping[str, float]) -> str:
    return '\n'.join(f'{name} {number:.0f}' for name, number in numbers.items())
