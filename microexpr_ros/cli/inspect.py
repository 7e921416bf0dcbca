"""`microexpr inspect`: what a bag or a recording holds, and what is wrong with it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Final

import typer

from microexpr_ros.cli import output
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.cli.recording_options import SensorOption, TimeUnitOption
from microexpr_ros.events.files import KNOWN_FORMATS, parse_sensor
from microexpr_ros.events.inspection import (
    EventsReport,
    FramesReport,
    Inspection,
    TopicReport,
    inspect,
)

app = make_app()

_NS: Final = 1e9


@app.command('inspect')
def inspect_recording(
    source: Annotated[Path, typer.Argument(help=f'{KNOWN_FORMATS}.')],
    time_unit: TimeUnitOption = None,
    sensor: SensorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a bag or a recording holds, and what is wrong with it.

    Topics, rates, gaps in `seq`, clocks, frames against events, and damage. All of it is read.
    """
    with output.progress_bar(source.name) as bar:
        found = inspect(
            source,
            time_unit=time_unit,
            sensor=None if sensor is None else parse_sensor(sensor),
            on_progress=bar.update,
        )
    if as_json:
        output.print_json(asdict(found))
    else:
        _print(found)


def _print(found: Inspection) -> None:
    output.print_text(_summarize(found))
    if found.topics:
        output.print_table([_topic_row(topic) for topic in found.topics], text=('topic', 'type'))
    readable = [report for report in found.events if not report.error]
    if readable:
        output.print_table([_events_row(report) for report in readable], text=('events', 'format'))
    if found.frames:
        output.print_table([_frames_row(report) for report in found.frames], text=('frames',))
    for line in _problems(found):
        output.print_text(line)


def _summarize(found: Inspection) -> str:
    began = ''
    if found.start_ns:
        start = datetime.fromtimestamp(found.start_ns / _NS, timezone.utc)
        began = f' from {start:%Y-%m-%d %H:%M:%S} UTC'
    state = '' if found.complete else ', incomplete'
    return f'{found.path}: {found.duration_s:.3f} s{began}{state}'


def _topic_row(topic: TopicReport) -> dict[str, str]:
    is_foreign = topic.encoding != 'cdr' or not topic.type
    encoding = topic.encoding or 'unknown'
    kind = f'{topic.type or "no type"} ({encoding}, not of ROS 2)' if is_foreign else topic.type
    gaps = f'{topic.seq_gaps} ({topic.seq_missing} packets)' if topic.seq_gaps else ''
    return {
        'topic': topic.name,
        'type': kind,
        'messages': str(topic.messages),
        'Hz': f'{topic.rate_hz:.1f}',
        'longest pause, ms': f'{topic.longest_pause_s * 1e3:.1f}',
        'gaps in seq': gaps,
    }


def _events_row(report: EventsReport) -> dict[str, str]:
    clock = report.clock
    drift = None if clock is None else clock.drift_ppm
    return {
        'events': report.topic or 'recording',
        'format': f'{report.kind} {report.sensor[0]}x{report.sensor[1]}',
        'count': str(report.events),
        'per s': f'{report.events_hz:.0f}',
        'triggers': str(report.triggers),
        'stamp - sensor, s': '' if clock is None else f'{clock.offset_s:.6f}',
        'drift, ppm': '' if drift is None else f'{drift:.1f}',
        'late p50/p99, ms': (
            '' if clock is None else f'{clock.late_p50_ms:.2f}/{clock.late_p99_ms:.2f}'
        ),
    }


def _frames_row(report: FramesReport) -> dict[str, str]:
    return {
        'frames': report.topic or 'recording',
        'count': str(report.frames),
        'Hz': f'{report.rate_hz:.2f}',
        'longest pause, ms': f'{report.longest_pause_s * 1e3:.1f}',
        'first - first event, s': '' if report.first_s is None else f'{report.first_s:+.3f}',
        'last - last event, s': '' if report.last_s is None else f'{report.last_s:+.3f}',
    }


def _problems(found: Inspection) -> list[str]:
    """Return a line for each thing that is wrong."""
    lines = []
    for topic in found.topics:
        if topic.out_of_order:
            lines.append(f'{topic.name}: {topic.out_of_order} messages out of order')
        lines += [
            f'{topic.name}: {missing} packets missing at {at_s:.3f} s'
            for at_s, missing in topic.largest_gaps
        ]
    for report in found.events:
        name = report.topic or 'recording'
        if report.error:
            lines.append(f'{name}: not read: {report.error}')
        if report.times_held:
            lines.append(f'{name}: {report.times_held} times out of order')
        lines += [f'{name}: {count} {reason}' for reason, count in report.left_out.items()]
    lines += [
        f'not read: {name}: metadata.yaml does not name it' for name in found.files_not_in_metadata
    ]
    lines += [f'damaged: {place}' for place in found.damage]
    return lines
