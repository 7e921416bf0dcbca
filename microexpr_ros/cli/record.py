"""`microexpr record`: topics into a rosbag2."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from microexpr_ros.bags.recorder import BagRecorder
from microexpr_ros.cli import output as terminal
from microexpr_ros.cli.bag_options import BagCommand
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.hosting import host
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.ros.nodes.recorder import RecorderNode
from microexpr_ros.ros.recording import RecorderParameters

app = make_app()

_NODE: Final = RecorderParameters()


@app.command(cls=BagCommand)
def record(
    topics: Annotated[
        list[str] | None,
        typer.Argument(
            help='Topics to record as soon as they appear; none: those of the package.',
            show_default=False,
        ),
    ] = None,
    more_topics: Annotated[
        list[str] | None,
        typer.Option('--topics', help='The same, as `ros2 bag record` has it.'),
    ] = None,
    every_topic: Annotated[
        bool, typer.Option('--all', '-a', help='Record every topic, except hidden ones.')
    ] = _NODE.all,
    redact: Annotated[
        bool,
        typer.Option(
            '--redact',
            help='Record no pictures of persons: Action Units, movements and diagnostics alone.',
        ),
    ] = _NODE.redact,
    output: Annotated[
        Path | None,
        typer.Option('--output', '-o', help='New folder; without it, rosbag2_ and the time.'),
    ] = None,
    storage: Annotated[
        str, typer.Option('--storage', '-s', help='Format of the bag: mcap or sqlite3.')
    ] = _NODE.storage,
    compression: Annotated[
        str, typer.Option(help='Compression of mcap: zstd or none.')
    ] = _NODE.compression,
    max_bag_size: Annotated[
        int, typer.Option('--max-bag-size', '-b', help='New file at this size in bytes; 0: never.')
    ] = _NODE.max_bag_size,
    max_bag_duration: Annotated[
        float,
        typer.Option('--max-bag-duration', '-d', help='New file after this time in s; 0: never.'),
    ] = _NODE.max_bag_duration_s,
    max_cache_size: Annotated[
        int,
        typer.Option(help='Bytes that may wait for the disk; what arrives while they do is lost.'),
    ] = _NODE.max_cache_size,
    duration: Annotated[
        float, typer.Option(help='End after this time in s; 0: at Ctrl-C.')
    ] = _NODE.duration_s,
    use_sim_time: Annotated[
        bool, typer.Option('--use-sim-time', help='Take the time of messages from /clock.')
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Record topics to a rosbag2.

    `ros2 bag` and `microexpr play` read it. It ends at Ctrl-C. If the process is killed, all but
    the last second is kept. Messages that arrive faster than the disk can write are counted as
    lost.
    """
    named = [*(topics or []), *(more_topics or [])]
    parameters: dict[str, Any] = {
        'all': every_topic,
        'redact': redact,
        'output': '' if output is None else str(output),
        'storage': storage,
        'compression': compression,
        'max_bag_size': max_bag_size,
        'max_bag_duration_s': max_bag_duration,
        'max_cache_size': max_cache_size,
        'duration_s': duration,
        'use_sim_time': use_sim_time,
        'shutdown_at_end': True,
        **({'topics': named} if named else {}),
    }
    began_s = time.monotonic()

    def status(node: RecorderNode) -> str:
        return _status(node, time.monotonic() - began_s)

    node, code = host(RecorderNode, parameters, status)
    if node is not None and node.recording is not None:
        seconds = time.monotonic() - began_s
        summary = _summarize(node.recording, seconds)
        if as_json:
            terminal.print_json(summary)
        else:
            terminal.print_text(_status(node, seconds))
        if not summary['messages']:
            terminal.note('nothing was recorded: nobody published these topics')
    raise typer.Exit(code)


def _status(node: RecorderNode, seconds: float) -> str:
    """Return what the terminal shows while it records."""
    if node.recording is None:
        return 'starting'
    progress = node.recording.progress()
    messages = sum(progress.messages.values())
    return (
        f'{seconds:.0f} s  {progress.bytes / 1e6:.1f} MB  {messages} messages  '
        f'{messages / max(seconds, 1e-9):.0f} messages/s  {progress.lost} lost  '
        f'{node.recording.path}'
    )


def _summarize(recording: BagRecorder, seconds: float) -> dict[str, Any]:
    progress = recording.progress()
    topics = sorted({*progress.messages, *progress.overrun, *progress.lost_packets})
    return {
        'bag': str(recording.path),
        'seconds': round(seconds, 3),
        'messages': sum(progress.messages.values()),
        'bytes': progress.bytes,
        'files': progress.files,
        'lost': progress.lost,
        'topics': {
            topic: {
                'messages': progress.messages.get(topic, 0),
                'overrun': progress.overrun.get(topic, 0),
                'lost_packets': None
                if topic in progress.uncountable
                else progress.lost_packets.get(topic, 0),
            }
            for topic in topics
        },
    }
