"""`microexpr convert`: any recording to a rosbag2 or a .raw file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microexpr_ros.topics import EVENT_FRAMES_TOPIC, EVENTS_TOPIC


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            help='.raw, .aedat4, .h5, .npy, .npz, ROS 1 .bag or rosbag2 (folder, .mcap, .db3)'
        ),
    ],
    target: Annotated[
        Path, typer.Argument(help='new file NAME.raw (EVT3), or any other name for a bag folder')
    ],
    time_unit: Annotated[
        str | None, typer.Option(help='unit of the times of arrays and columns: s, us or ns')
    ] = None,
    sensor: Annotated[
        str | None, typer.Option(help='sensor size WIDTHxHEIGHT, where the file does not say')
    ] = None,
    encoding: Annotated[
        str, typer.Option(help='encoding of the packets of a bag: evt3, libcaer, ...')
    ] = 'evt3',
    packet_ms: Annotated[float, typer.Option(help='time that a packet covers at most')] = 2.0,
    topic: Annotated[
        str, typer.Option(help='topic of events to write, and to read if a bag has several')
    ] = EVENTS_TOPIC,
    image_topic: Annotated[
        str, typer.Option(help='topic of images to write, if the recording has frames')
    ] = EVENT_FRAMES_TOPIC,
    storage: Annotated[str, typer.Option(help='storage of a bag: mcap or sqlite3')] = 'mcap',
    compression: Annotated[
        str, typer.Option(help='of an mcap bag: zstd (a fifth smaller, half as fast) or none')
    ] = 'none',
    json: Annotated[bool, typer.Option(help='print one JSON object alone')] = False,
) -> None:
    """Convert a recording of events to a rosbag2 or a Prophesee .raw file.

    The target appears as a whole or not at all. EVT3 tells times in us modulo 16.777 s, and
    mono alone tells ns.
    """
    import json as json_module
    from dataclasses import asdict

    from rich.console import Console
    from rich.progress import Progress

    from microexpr_ros.errors import MicroexprError
    from microexpr_ros.events.conversion import convert_recording
    from microexpr_ros.events.files import open_recording, parse_sensor

    if packet_ms <= 0:
        raise MicroexprError(f'--packet-ms {packet_ms:g}: give a time over 0, such as 2')
    recording = open_recording(
        source,
        time_unit=time_unit,
        sensor=None if sensor is None else parse_sensor(sensor),
        topic=topic,
    )
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(f'{source.name} to {target.name}', total=1.0)
        report = convert_recording(
            recording,
            target,
            encoding=encoding,
            packet_ns=round(packet_ms * 1_000_000),
            topic=topic,
            image_topic=image_topic,
            storage=storage,
            compression=compression,
            on_progress=lambda fraction: progress.update(task, completed=fraction),
        )
    if json:
        typer.echo(json_module.dumps(asdict(report)))
        return
    lost = [f'{count} {reason}' for reason, count in report.dropped.items() if count]
    typer.echo(
        f'{target}: {report.events_out} events, {report.triggers} triggers, '
        f'{report.frames} frames in {report.seconds:.1f} s (memory {report.peak_mb:.0f} MB); '
        f'left out: {", ".join(lost) or "nothing"}'
        + (f'; {report.times_cut} times cut to whole us' if report.times_cut else '')
        + (f'; {report.times_held} times out of order raised' if report.times_held else '')
    )
