"""`microexpr record`: topics into a rosbag2."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from microexpr_ros.bags.recorder import BagRecorder
    from microexpr_ros.ros.nodes.recorder import RecorderNode


def record(
    topics: Annotated[
        list[str] | None,
        typer.Argument(help='topics to record as soon as they appear; none: those of the package'),
    ] = None,
    more_topics: Annotated[
        list[str] | None, typer.Option('--topics', help='the same, as ros2 bag record has it')
    ] = None,
    every_topic: Annotated[
        bool, typer.Option('--all', '-a', help='record every topic, except hidden ones')
    ] = False,
    output: Annotated[
        Path | None, typer.Option('--output', '-o', help='new folder; default rosbag2_ and time')
    ] = None,
    storage: Annotated[str, typer.Option('--storage', '-s', help='mcap or sqlite3')] = 'mcap',
    compression: Annotated[str, typer.Option(help='of mcap: zstd or none')] = 'zstd',
    max_bag_size: Annotated[
        int, typer.Option('--max-bag-size', '-b', help='new file at this size in bytes; 0: never')
    ] = 0,
    max_bag_duration: Annotated[
        float, typer.Option('--max-bag-duration', '-d', help='new file after this time in s')
    ] = 0.0,
    max_cache_size: Annotated[
        int | None, typer.Option(help='bytes that wait for the disk at most')
    ] = None,
    duration: Annotated[float, typer.Option(help='end after this time in s; 0: at Ctrl-C')] = 0.0,
    use_sim_time: Annotated[
        bool, typer.Option('--use-sim-time', help='time messages by /clock')
    ] = False,
    as_json: Annotated[
        bool, typer.Option('--json', help='print one JSON object at the end, nothing else')
    ] = False,
) -> None:
    """Record topics to a rosbag2 that `ros2 bag` and `microexpr play` read, until Ctrl-C.

    What is older than a second survives a kill. What the disk is too slow for is counted.
    """
    import json

    from microexpr_ros.cli.hosting import host
    from microexpr_ros.ros.nodes.recorder import RecorderNode

    named = [*(topics or []), *(more_topics or [])]
    parameters: dict[str, Any] = {
        'all': every_topic,
        'output': '' if output is None else str(output),
        'storage': storage,
        'compression': compression,
        'max_bag_size': max_bag_size,
        'max_bag_duration_s': max_bag_duration,
        'duration_s': duration,
        'use_sim_time': use_sim_time,
        'shutdown_at_end': True,
        **({'topics': named} if named else {}),
        **({} if max_cache_size is None else {'max_cache_size': max_cache_size}),
    }
    began_s = time.monotonic()

    def line(node: RecorderNode) -> str:
        return _line(node, time.monotonic() - began_s)

    node, code = host(RecorderNode, parameters, line)
    if node is not None and node.recording is not None:
        seconds = time.monotonic() - began_s
        summary = _summary(node.recording, seconds)
        typer.echo(json.dumps(summary) if as_json else _line(node, seconds))
        if not summary['messages']:
            typer.echo('nothing was recorded: nobody published these topics', err=True)
    raise typer.Exit(code)


def _line(node: RecorderNode, seconds: float) -> str:
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


def _summary(recording: BagRecorder, seconds: float) -> dict[str, Any]:
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
