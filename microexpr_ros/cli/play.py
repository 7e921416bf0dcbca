"""`microexpr play`: a rosbag2 back onto its topics."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from microexpr_ros.bags.pacing import RATES
from microexpr_ros.cli import output
from microexpr_ros.cli.bag_options import DEFAULTS, BagCommand
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.hosting import host
from microexpr_ros.cli.keyboard import DOWN, RIGHT, SPACE, UP, pressed_keys
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.ros.nodes.player import PlayerNode
from microexpr_ros.ros.playback import PlayerParameters

app = make_app()

_NODE: Final = PlayerParameters()
_RATE_STEP: Final = 0.1


@app.command(cls=BagCommand)
def play(
    bag: Annotated[Path, typer.Argument(help='rosbag2 folder, or a lone .mcap or .db3 file.')],
    rate: Annotated[
        float,
        typer.Option(
            '--rate',
            '-r',
            help='Speed; 1 is that of the recording.',
            min=RATES[0],
            max=RATES[1],
        ),
    ] = _NODE.rate,
    topics: Annotated[
        list[str] | None, typer.Option(help='Play these topics only; without it, all.')
    ] = None,
    loop: Annotated[
        bool, typer.Option('--loop', '-l', help='Begin again at the end.')
    ] = _NODE.loop,
    start_offset: Annotated[
        float, typer.Option(help='Begin this far into the bag, in s.')
    ] = _NODE.start_offset_s,
    playback_duration: Annotated[
        float, typer.Option(help='Play this much of the bag, in s; 0: to its end.')
    ] = _NODE.playback_duration_s,
    delay: Annotated[
        float, typer.Option('--delay', '-d', help='Wait before each round, in s.')
    ] = _NODE.delay_s,
    start_paused: Annotated[
        bool, typer.Option('--start-paused', '-p', help='Begin with a pause.')
    ] = _NODE.start_paused,
    # The node has a clock by default; this command and `ros2 bag play` have none.
    clock: Annotated[
        float,
        typer.Option(
            help='Publish /clock at this rate in Hz; 0: not at all. Without a value: '
            f'{DEFAULTS["--clock"]}.'
        ),
    ] = 0.0,
    remap: Annotated[
        list[str] | None,
        typer.Option('--remap', '-m', help='Other names for topics: OLD:=NEW ...'),
    ] = None,
    wait_for_subscribers: Annotated[
        float,
        typer.Option(help='Begin when every topic has a subscriber, or after this long, in s.'),
    ] = _NODE.wait_for_subscribers_s,
    as_json: JsonOption = False,
) -> None:
    """Play a rosbag2, as `ros2 bag play` does.

    Keys: space pauses and resumes, cursor up and down change the rate, cursor right or s plays
    the next message of a pause.
    """
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
        node, code = host(make, parameters, _status, ['--ros-args', *rules] if rules else [])
    if node is not None and node.playback is not None:
        if as_json:
            seconds = round(time.monotonic() - began_s, 3)
            output.print_json({'seconds': seconds, **node.summary()})
        else:
            output.print_text(_status(node))
    raise typer.Exit(code)


def _press(key: str, playing: list[PlayerNode]) -> None:
    """Do what a key stands for."""
    if not playing or playing[0].playback is None:
        return
    pacer = playing[0].playback.pacer
    if key == SPACE:
        pacer.toggle()
    elif key in (UP, DOWN):
        pacer.change(rate=pacer.rate + (_RATE_STEP if key == UP else -_RATE_STEP))
    elif key in (RIGHT, 's'):
        pacer.step()


def _status(node: PlayerNode) -> str:
    """Return what the terminal shows while it plays."""
    if node.playback is None:
        return 'starting'
    seen = node.summary()
    return (
        f'{node.state}  {seen["played_s"]:.1f} s  rate {seen["rate"]:g}  '
        f'{seen["messages"]} messages  late {seen["late_p99_ms"]:g} ms (p99)  {seen["bag"]}'
    )
