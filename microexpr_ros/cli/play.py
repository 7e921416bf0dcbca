"""`microexpr play`: a rosbag2 back onto its topics."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from microexpr_ros.ros.nodes.player import PlayerNode

RATE_STEP = 0.1


def play(
    bag: Annotated[Path, typer.Argument(help='rosbag2 folder, or a lone .mcap or .db3 file')],
    rate: Annotated[float, typer.Option('--rate', '-r', help='speed')] = 1.0,
    topics: Annotated[list[str] | None, typer.Option(help='play these topics only')] = None,
    loop: Annotated[bool, typer.Option('--loop', '-l', help='begin again at the end')] = False,
    start_offset: Annotated[float, typer.Option(help='begin this far into the bag, in s')] = 0.0,
    playback_duration: Annotated[
        float, typer.Option(help='play this much of the bag, in s; 0: to its end')
    ] = 0.0,
    delay: Annotated[
        float, typer.Option('--delay', '-d', help='wait before each round, in s')
    ] = 0.0,
    start_paused: Annotated[
        bool, typer.Option('--start-paused', '-p', help='begin with a pause')
    ] = False,
    clock: Annotated[
        float, typer.Option(help='publish /clock at this rate in Hz; alone: 40')
    ] = 0.0,
    remap: Annotated[
        list[str] | None,
        typer.Option('--remap', '-m', help='OLD:=NEW ...'),
    ] = None,
    wait_for_subscribers: Annotated[
        float, typer.Option(help='begin when every topic is heard, or after this long, in s')
    ] = 5.0,
    as_json: Annotated[
        bool, typer.Option('--json', help='print one JSON object at the end, nothing else')
    ] = False,
) -> None:
    """Play a rosbag2, as `ros2 bag play` does.

    Keys: space pauses and resumes, cursor up and down change the rate, cursor right or s plays
    the next message of a pause.
    """
    import json

    from microexpr_ros.cli.hosting import host
    from microexpr_ros.cli.keyboard import pressed_keys
    from microexpr_ros.ros.nodes.player import PlayerNode

    parameters: dict[str, Any] = {
        'bag': str(bag),
        'rate': rate,
        'loop': loop,
        'clock_hz': clock,
        'start_offset_s': start_offset,
        'playback_duration_s': playback_duration,
        'delay_s': delay,
        'start_paused': start_paused,
        'wait_for_subscribers_s': wait_for_subscribers,
        **({'topics': topics} if topics else {}),
    }
    playing: list[PlayerNode] = []

    def make(*args: Any, **options: Any) -> PlayerNode:
        playing.append(PlayerNode(*args, **options))
        return playing[0]

    began_s = time.monotonic()
    rules = [word for rule in remap or [] for word in ('-r', rule)]
    with pressed_keys(lambda key: _press(key, playing)):
        node, code = host(make, parameters, _line, ['--ros-args', *rules] if rules else [])
    if node is not None and node.playback is not None:
        result = {'seconds': round(time.monotonic() - began_s, 3), **node.summary()}
        typer.echo(json.dumps(result) if as_json else _line(node))
    raise typer.Exit(code)


def _press(key: str, playing: list[PlayerNode]) -> None:
    """Do what a key stands for."""
    from microexpr_ros.cli.keyboard import DOWN, RIGHT, SPACE, UP

    if not playing or playing[0].playback is None:
        return
    pacer = playing[0].playback.pacer
    if key == SPACE:
        pacer.toggle()
    elif key in (UP, DOWN):
        pacer.change(rate=pacer.rate + (RATE_STEP if key == UP else -RATE_STEP))
    elif key in (RIGHT, 's'):
        pacer.step()


def _line(node: PlayerNode) -> str:
    """Return what the terminal shows while it plays."""
    if node.playback is None:
        return 'starting'
    seen = node.summary()
    return (
        f'{node.state}  {seen["played_s"]:.1f} s  rate {seen["rate"]:g}  '
        f'{seen["messages"]} messages  late {seen["late_p99_ms"]:g} ms (p99)  {seen["bag"]}'
    )
