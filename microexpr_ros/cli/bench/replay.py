"""`microexpr bench replay`: a long recording through converter, player and decoder."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from microexpr_ros.cli.bench.rates import parse_rates
from microexpr_ros.errors import MicroexprError

if TYPE_CHECKING:
    from rich.table import Table

    from microexpr_ros.cli.bench.chain import Replay
    from microexpr_ros.cli.bench.looped_scene import LoopedScene


def replay(
    seconds: Annotated[float, typer.Option(help='length of the recording', min=0.1)] = 5.0,
    mev_per_s: Annotated[float, typer.Option(help='its rate', min=0.01)] = 20.0,
    sensor: Annotated[str, typer.Option(help='davis346, vga or hd')] = 'hd',
    width: Annotated[int | None, typer.Option(help='columns, if not those of the sensor')] = None,
    height: Annotated[int | None, typer.Option(help='rows, if not those of the sensor')] = None,
    rates: Annotated[
        str, typer.Option(help='speeds to play at, comma-separated, up to the first not held')
    ] = '1,1.5,2,3,4,6,8',
    data: Annotated[
        Path | None,
        typer.Option(envvar='MICROEXPR_TEST_DATA', help='folder with real recordings/*.db3'),
    ] = None,
    work_dir: Annotated[
        Path | None, typer.Option(help='folder for the recording; default: temporary files')
    ] = None,
    keep: Annotated[bool, typer.Option('--keep', help='leave the bag in --work-dir')] = False,
    as_json: Annotated[bool, typer.Option('--json', help='Print one JSON object.')] = False,
) -> None:
    """Measure how fast the way from a file to decoded events is.

    A scene before the model of an event sensor is written as EVT3 .raw, converted to a bag,
    played by the player and decoded in another process: at the recording's speed, then faster
    until packets are lost or the speed is not reached. --seconds 60 needs 11 GB on disk.
    """
    from rich.console import Console

    from microexpr_ros.cli.bench import chain
    from microexpr_ros.cli.bench.looped_scene import LoopedScene
    from microexpr_ros.cli.bench.machine import describe_machine
    from microexpr_ros.events.conversion import convert_recording
    from microexpr_ros.ros import environment
    from microexpr_ros.synthesis.sensors.event_sensor import SENSORS
    from microexpr_ros.topics import EVENTS_TOPIC

    environment.keep_on_loopback()
    environment.prepare()
    speeds = parse_rates(rates)
    if sensor not in SENSORS:
        raise MicroexprError(f'--sensor {sensor!r} is not known; choose of {", ".join(SENSORS)}')
    if keep and work_dir is None:
        raise MicroexprError('--keep needs a folder to keep the bag in: give --work-dir')
    if work_dir is not None:
        work_dir.mkdir(parents=True, exist_ok=True)
    seen_by = SENSORS[sensor]
    seen_by = changed(seen_by, width=width or seen_by.width, height=height or seen_by.height)
    rows: list[Replay] = []
    with (
        tempfile.TemporaryDirectory(dir=work_dir) as scratch,
        Console(stderr=True).status('filming a scene') as status,
    ):
        scene = LoopedScene(seen_by, seconds, mev_per_s * 1e6)
        folder, raw = Path(scratch), Path(scratch, 'scene.raw')
        _require_space(scene, folder)
        status.update('writing it')
        convert_recording(scene, raw)
        status.update('converting it')
        conversion = chain.convert(raw, folder / 'bag')
        raw.unlink()
        bag = chain.KnownBag('scene', folder / 'bag', EVENTS_TOPIC, scene.sums, scene.end_ns)
        if data is not None:
            status.update('playing a real recording')
            rows.append(chain.play(chain.find_longest(data / 'recordings'), 1.0))
        for rate in speeds:
            status.update(f'playing at {rate:g}x')
            rows.append(chain.play(bag, rate))
            if not rows[-1].held:
                break
        if keep and work_dir is not None:
            shutil.move(bag.path, work_dir / 'bag')
    held = [row.rate for row in rows if row.recording == bag.title and row.held]
    result = {
        'scene': {
            'width': scene.width,
            'height': scene.height,
            'seconds': round(scene.duration_s, 3),
            'events': int(scene.sums[0]),
            'end_ns': scene.end_ns,
        },
        'convert': conversion,
        'rows': [asdict(row) for row in rows],
        'fastest_rate_held': max(held, default=0.0),
        'machine': describe_machine(),
    }
    if as_json:
        print(json.dumps(result))
        return
    console = Console()
    console.print(
        f'scene: {scene.width} x {scene.height}, {scene.duration_s:.1f} s, {mev_per_s:g} Mev/s; '
        f'converted at {conversion["mev_per_s"]} Mev/s with {conversion["peak_mb"]:.0f} MB, '
        f'{sum(conversion["dropped"].values())} left out',
        highlight=False,
    )
    console.print(_table(rows))


def _require_space(scene: LoopedScene, folder: Path) -> None:
    """Refuse to fill the disk: file and bag are about as large as the encoded events."""
    from microexpr_ros.events import codecs

    _, payload = codecs.encoder('evt3', scene.height, scene.width).encode(scene.piece)
    needed, free = 2.2 * len(payload) * scene.repeats, shutil.disk_usage(folder).free
    if needed > free:
        raise MicroexprError(
            f'{scene.duration_s:.0f} s need {needed / 1e9:.1f} GB in {folder}, where '
            f'{free / 1e9:.1f} GB are free: give fewer --seconds or another --work-dir'
        )


def _table(rows: list[Replay]) -> Table:
    from rich.table import Table

    table = Table(caption='latency: from published to decoded; late: published after due')
    table.add_column('recording', overflow='fold')
    for name in ('rate', 'Mev/s', 'lost', 'latency p50, p99 ms', 'late p99 ms', 'peak MB'):
        table.add_column(name, justify='right')
    table.add_column('held')
    for row in rows:
        table.add_row(
            row.recording,
            f'{row.rate:g} x',
            f'{row.mev_per_s:.1f}',
            str(row.lost_packets),
            f'{row.latency_ms["p50"]:.1f}, {row.latency_ms["p99"]:.1f}',
            f'{row.late_ms["p99"]:.1f}' if row.late_ms else '',
            f'{max(row.peak_mb.values()):.0f}',
            'yes' if row.held else f'NO: {row.reached_rate:.2f} x',
        )
    return table
