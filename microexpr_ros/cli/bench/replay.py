"""`microexpr bench replay`: a long recording through converter, player and decoder."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict
from dataclasses import replace as changed
from pathlib import Path
from typing import Annotated

import typer

from microexpr_ros.cli import output
from microexpr_ros.cli.bench import replay_steps
from microexpr_ros.cli.bench.looped_texture import LoopedTexture
from microexpr_ros.cli.bench.machine import read_machine
from microexpr_ros.cli.bench.rates import parse_rates
from microexpr_ros.cli.bench.replay_steps import KnownBag, Replay
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import codecs
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.ros import environment
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS
from microexpr_ros.topics import EVENTS_TOPIC

app = make_app()

_SOURCES = {'raw': '.raw', 'metavision': '.hdf5'}
"""Formats that are as small as the bag and keep the sensor's times, and their suffixes."""


@app.command()
def replay(
    seconds: Annotated[float, typer.Option(help='Length of the recording, in s.', min=0.1)] = 5.0,
    mev_per_s: Annotated[
        float, typer.Option(help='Its rate, in million events per second.', min=0.01)
    ] = 20.0,
    sensor: Annotated[str, typer.Option(help=f'Sensor: {", ".join(SENSORS)}.')] = 'hd',
    width: Annotated[
        int | None, typer.Option(help='Columns; without it, those of the sensor.')
    ] = None,
    height: Annotated[
        int | None, typer.Option(help='Rows; without it, those of the sensor.')
    ] = None,
    rates: Annotated[
        str,
        typer.Option(help='Speeds to play at, comma-separated, up to the first one not held.'),
    ] = '1,1.5,2,3,4,6,8',
    data: Annotated[
        Path | None,
        typer.Option(envvar='MICROEXPR_TEST_DATA', help='Folder with real recordings/*.db3.'),
    ] = None,
    work_dir: Annotated[
        Path | None,
        typer.Option(help='Folder for the recording; without it, a temporary one.'),
    ] = None,
    keep: Annotated[bool, typer.Option('--keep', help='Leave the bag in --work-dir.')] = False,
    source: Annotated[
        str, typer.Option(help=f'File that is converted: {", ".join(_SOURCES)}.')
    ] = 'raw',
    as_json: JsonOption = False,
) -> None:
    """Measure a long recording from the file to decoded events.

    Events of a moving texture are written as a file, converted to a bag, played by the player
    and decoded in another process: at the recording's speed, then faster until packets are lost
    or the speed is not reached. --seconds 60 needs 11 GB on disk.
    """
    environment.keep_on_loopback()
    environment.prepare()
    speeds = parse_rates(rates)
    if sensor not in SENSORS:
        raise MicroexprError(f'--sensor {sensor!r} is not known; choose of {", ".join(SENSORS)}')
    if source not in _SOURCES:
        raise MicroexprError(f'--source {source!r} is not known; choose of {", ".join(_SOURCES)}')
    if keep and work_dir is None:
        raise MicroexprError('--keep needs a folder to keep the bag in: give --work-dir')
    if work_dir is not None:
        work_dir.mkdir(parents=True, exist_ok=True)
    seen_by = SENSORS[sensor]
    seen_by = changed(seen_by, width=width or seen_by.width, height=height or seen_by.height)
    rows: list[Replay] = []
    with (
        tempfile.TemporaryDirectory(dir=work_dir) as scratch,
        output.spinner('making events') as update,
    ):
        recording = LoopedTexture(seen_by, seconds, mev_per_s * 1e6)
        folder, scene = Path(scratch), Path(scratch, f'scene{_SOURCES[source]}')
        _require_space(recording, folder)
        update('writing them')
        convert_recording(recording, scene)
        update('converting them')
        conversion = replay_steps.convert(scene, folder / 'bag')
        scene.unlink()
        path = folder / 'bag'
        bag = KnownBag('scene', path, EVENTS_TOPIC, recording.sums, recording.end_ns)
        if data is not None:
            update('playing a real recording')
            longest = replay_steps.find_longest(data / 'recordings')
            rows.append(replay_steps.play(longest, 1.0))
        for rate in speeds:
            update(f'playing at {rate:g}x')
            rows.append(replay_steps.play(bag, rate))
            if not rows[-1].held:
                break
        if keep and work_dir is not None:
            shutil.move(bag.path, work_dir / 'bag')
    if as_json:
        held = [row.rate for row in rows if row.recording == bag.title and row.held]
        output.print_json(
            {
                'scene': {
                    'width': recording.width,
                    'height': recording.height,
                    'seconds': round(recording.duration_s, 3),
                    'events': int(recording.sums[0]),
                    'end_ns': recording.end_ns,
                    'source': source,
                },
                'convert': conversion,
                'rows': [asdict(row) for row in rows],
                'fastest_rate_held': max(held, default=0.0),
                'machine': read_machine(),
            }
        )
        return
    output.print_text(
        f'scene: {recording.width} x {recording.height}, {recording.duration_s:.1f} s, '
        f'{mev_per_s:g} Mev/s; converted at {conversion["mev_per_s"]} Mev/s with '
        f'{conversion["peak_mb"]:.0f} MB, {sum(conversion["dropped"].values())} left out'
    )
    output.print_table(
        [_cells(row) for row in rows],
        text=('recording', 'held'),
        caption='latency: from published to decoded; late: published after due',
    )


def _require_space(recording: LoopedTexture, folder: Path) -> None:
    """Refuse to fill the disk: file and bag are about as large as the encoded events."""
    encoder = codecs.encoder('evt3', recording.height, recording.width)
    _, payload = encoder.encode(recording.piece)
    needed, free = 2.2 * len(payload) * recording.repeats, shutil.disk_usage(folder).free
    if needed > free:
        raise MicroexprError(
            f'{recording.duration_s:.0f} s need {needed / 1e9:.1f} GB in {folder}, where '
            f'{free / 1e9:.1f} GB are free: give fewer --seconds or another --work-dir'
        )


def _cells(row: Replay) -> dict[str, str]:
    return {
        'recording': row.recording,
        'rate': f'{row.rate:g} x',
        'Mev/s': f'{row.mev_per_s:.1f}',
        'lost': str(row.lost_packets),
        'latency p50, p99 ms': f'{row.latency_ms["p50"]:.1f}, {row.latency_ms["p99"]:.1f}',
        'late p99 ms': f'{row.late_ms["p99"]:.1f}' if row.late_ms else '',
        'peak MB': f'{max(row.peak_mb.values()):.0f}',
        'held': 'yes' if row.held else f'NO: {row.reached_rate:.2f} x',
    }
