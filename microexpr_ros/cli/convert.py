"""`microexpr convert`: any recording or video to a rosbag2 or a file of events."""

from __future__ import annotations

from dataclasses import asdict
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer

from microexpr_ros.bags import redact_bag
from microexpr_ros.bags.folder import COMPRESSIONS, STORAGES
from microexpr_ros.cli import output
from microexpr_ros.cli.commands import default_of, make_app
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.cli.recording_options import SensorOption, TimeUnitOption
from microexpr_ros.cli.video import open_source
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.conversion import Conversion, convert_recording
from microexpr_ros.events.files import KNOWN_FORMATS, parse_sensor
from microexpr_ros.events.writers import BAG, FORMATS, choose_format

app = make_app()

_NS_PER_MS = 1_000_000
_TOPIC = default_of(convert_recording, 'topic')


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help=f'{KNOWN_FORMATS}, or a video.')],
    target: Annotated[
        Path,
        typer.Argument(
            help='New file NAME.raw (EVT3), .h5 (DSEC), .hdf5 (Metavision), .npz or .csv, or any '
            'other name for a folder: a bag, or with --to evreal the arrays of EVREAL.'
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(help=f'Format, if the name does not give it: {", ".join(FORMATS)}.'),
    ] = None,
    time_unit: TimeUnitOption = None,
    sensor: SensorOption = None,
    encoding: Annotated[
        str, typer.Option(help='Encoding of the packets of a bag: evt3, libcaer, ...')
    ] = default_of(convert_recording, 'encoding'),
    packet_ms: Annotated[
        float, typer.Option(help='Time that a packet covers at most, in ms.')
    ] = default_of(convert_recording, 'packet_ns') / _NS_PER_MS,
    topic: Annotated[
        str | None,
        typer.Option(
            help='Topic of events to read, if a bag has several, and to write; without it, '
            f'{_TOPIC} is written.'
        ),
    ] = None,
    target_topic: Annotated[
        str | None, typer.Option(help='Topic of events to write, if not that of --topic.')
    ] = None,
    image_topic: Annotated[
        str, typer.Option(help='Topic of images to write, if the recording has frames.')
    ] = default_of(convert_recording, 'image_topic'),
    storage: Annotated[
        str, typer.Option(help=f'Storage of a bag: {" or ".join(STORAGES)}.')
    ] = default_of(convert_recording, 'storage'),
    compression: Annotated[
        str,
        typer.Option(
            help=f'Compression of an mcap bag: {" or ".join(COMPRESSIONS)}. zstd is a fifth '
            'smaller and half as fast.'
        ),
    ] = default_of(convert_recording, 'compression'),
    redact: Annotated[
        bool,
        typer.Option(
            '--redact',
            help='Of a rosbag2, copy no pictures of persons: Action Units, movements and '
            'diagnostics alone.',
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Convert a recording of events, or a video, to a rosbag2 or a file of events.

    Frames of a video become events by a model of the sensor; a bag holds the frames, too. The
    target appears as a whole or not at all. EVT3 stores times in us modulo 16.777 s; only
    the encoding mono of a bag stores ns.
    """
    if packet_ms <= 0:
        raise MicroexprError(f'--packet-ms {packet_ms:g}: give a time over 0, such as 2')
    if redact:
        if choose_format(target, to) != BAG:
            raise MicroexprError(f'--redact makes a bag, which {target} is not: give a folder')
        _require_defaults(
            {
                'time_unit': time_unit,
                'sensor': sensor,
                'encoding': encoding,
                'topic': topic,
                'target_topic': target_topic,
                'image_topic': image_topic,
                'packet_ns': round(packet_ms * _NS_PER_MS),
            }
        )
        _redact(source, target, storage, compression, as_json)
        return
    size = None if sensor is None else parse_sensor(sensor)
    recording = open_source(source, time_unit=time_unit, sensor=size, topic=topic)
    # Where there is no choice, `open_recording` does not look at the name.
    if topic is not None and recording.topic not in ('', topic):
        raise MicroexprError(
            f'--topic {topic}: the only events of {source} are {recording.topic}: leave --topic '
            f'out, or give --target-topic {topic} to write them as that'
        )
    with output.progress_bar(f'{source.name} to {target.name}') as bar:
        report = convert_recording(
            recording,
            target,
            to=to,
            encoding=encoding,
            packet_ns=round(packet_ms * _NS_PER_MS),
            topic=next(name for name in (target_topic, topic, _TOPIC) if name is not None),
            image_topic=image_topic,
            storage=storage,
            compression=compression,
            on_progress=bar.update,
        )
    if as_json:
        output.print_json(asdict(report))
    else:
        output.print_text(f'{target}: {_summarize(report)}')
        for place in report.damage:
            output.note(place)
        if report.topics_left_out:
            output.note(f'not copied: {", ".join(report.topics_left_out)}')


def _require_defaults(given: dict[str, Any]) -> None:
    """Refuse options of which a redacted bag would take no notice."""
    known = signature(convert_recording).parameters
    for name, value in given.items():
        if value not in (None, known[name].default if name in known else None):
            option = '--' + name.replace('packet_ns', 'packet_ms').replace('_', '-')
            raise MicroexprError(f'--redact copies messages as they are: leave out {option}')


def _redact(source: Path, target: Path, storage: str, compression: str, as_json: bool) -> None:
    with output.progress_bar(f'{source.name} to {target.name}') as bar:
        report = redact_bag(
            source, target, storage=storage, compression=compression, on_progress=bar.update
        )
    if as_json:
        output.print_json(asdict(report))
        return
    output.print_text(f'{target}: {_list(report.kept)}; left out: {_list(report.left_out)}')
    for place in report.damage:
        output.note(place)


def _list(messages: dict[str, int]) -> str:
    return ', '.join(f'{topic} {count}' for topic, count in messages.items()) or 'nothing'


def _summarize(report: Conversion) -> str:
    dropped = [f'{count} {reason}' for reason, count in report.dropped.items() if count]
    cut = f'; {report.times_cut} times cut to whole us' if report.times_cut else ''
    held = f'; {report.times_held} times out of order raised' if report.times_held else ''
    return (
        f'{report.events_out} events, {report.triggers} triggers, {report.frames} frames in '
        f'{report.seconds:.1f} s (memory {report.peak_mb:.0f} MB); left out: '
        f'{", ".join(dropped) or "nothing"}{cut}{held}'
    )
