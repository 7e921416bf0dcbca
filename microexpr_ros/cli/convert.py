"""`microexpr convert`: any recording to a rosbag2 or a .raw file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    source: Annotated[Path, typer.Argument(help='.raw, .npy, .npz, .mcap, .db3 or bag folder')],
    target: Annotated[
        Path, typer.Argument(help='new file NAME.raw (EVT3), or any other name for a bag folder')
    ],
    time_unit: Annotated[
        str | None, typer.Option(help='unit of the times of an array: s, us or ns')
    ] = None,
    sensor: Annotated[
        str | None, typer.Option(help='sensor size WIDTHxHEIGHT, where the file does not say')
    ] = None,
    encoding: Annotated[
        str, typer.Option(help='encoding of the packets of a bag: evt3, libcaer, ...')
    ] = 'evt3',
    packet_ms: Annotated[float, typer.Option(help='time that a packet covers at most')] = 2.0,
    topic: Annotated[
        str, typer.Option(help='topic to write, and to read if a bag has several')
    ] = '/event_camera/events',
    storage: Annotated[str, typer.Option(help='storage of a bag: mcap or sqlite3')] = 'mcap',
    json: Annotated[bool, typer.Option(help='print one JSON object alone')] = False,
) -> None:
    """Convert a recording of events to a rosbag2 or a Prophesee .raw file.

    The target appears as a whole or not at all. EVT3 tells times in us modulo 16.777 s.
    """
    import json as json_module
    from dataclasses import asdict

    from rich.console import Console
    from rich.progress import Progress

    from microexpr_ros.events.conversion import convert_recording
    from microexpr_ros.events.files import open_recording, parse_sensor

    recording = open_recording(
        source,
        time_unit=time_unit,
        sensor=None if sensor is None else parse_sensor(sensor),
        topic=topic,
    )
    with Progress(console=Console(stderr=True), disable=json) as progress:
        task = progress.add_task(f'{source.name} to {target.name}', total=1.0)
        report = convert_recording(
            recording,
            target,
            encoding=encoding,
            packet_ns=round(packet_ms * 1_000_000),
            topic=topic,
            storage=storage,
            on_progress=lambda fraction: progress.update(task, completed=fraction),
        )
    if json:
        typer.echo(json_module.dumps(asdict(report)))
        return
    typer.echo(
        f'{target}: {report.events_out} events, {report.triggers} triggers, '
        f'{report.dropped} dropped, {report.seconds:.1f} s, {report.peak_mb:.0f} MB'
    )
