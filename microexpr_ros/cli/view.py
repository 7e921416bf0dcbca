"""`microexpr view`: a live page of what the pipeline sees and finds, in a browser."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from microexpr_ros.bags.pacing import RATES
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.demo import (
    LIVE_NODES,
    PLAYBACK_NODES,
    playback_arguments,
    require_recording_options_unused,
    webcam_arguments,
)
from microexpr_ros.cli.demo.sources import find_source, find_webcam
from microexpr_ros.cli.hosting import host as host_node
from microexpr_ros.cli.recording_options import SensorOption, TimeUnitOption
from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import environment
from microexpr_ros.ros.nodes.pipeline import make_nodes
from microexpr_ros.ros.nodes.view import ViewNode
from microexpr_ros.ros.playback import PlayerParameters
from microexpr_ros.ros.process import run_nodes
from microexpr_ros.view import ServerOptions

app = make_app()

_SERVER: Final = ServerOptions()
_PLAYER: Final = PlayerParameters()


@app.command()
def view(
    recording: Annotated[
        str | None,
        typer.Argument(
            help='real (a face, downloaded once), synthetic (a face, made once), or the path of a '
            'recording or video: start a pipeline that plays it again and again. webcam or '
            'webcam:DEVICE: start one that watches it. Without it: watch the pipeline that runs.',
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help='Address to serve the page at; 0.0.0.0: all. Others need a token.')
    ] = _SERVER.host,
    port: Annotated[
        int, typer.Option(help='Port to serve the page at; 0: any that is free.', min=0, max=65535)
    ] = _SERVER.port,
    token: Annotated[
        str,
        typer.Option(
            help='What a viewer must know, at least 8 characters.', envvar='MICROEXPR_VIEW_TOKEN'
        ),
    ] = _SERVER.token,
    rate: Annotated[
        float,
        typer.Option(help='Speed of the recording.', min=RATES[0], max=RATES[1]),
    ] = _PLAYER.rate,
    sensor: SensorOption = None,
    time_unit: TimeUnitOption = None,
) -> None:
    """Serve a live page: events, reconstruction, Action Units, movements, health.

    It works offline and on a tablet. The connection is not encrypted: keep it on this machine, or
    put a TLS proxy before it.
    """
    options = ServerOptions(host, port, token)
    if recording is None:
        if sensor is not None or time_unit is not None:
            raise MicroexprError('--sensor and --time-unit are for a recording; name one')
        parameters = {'host': host, 'port': port, 'token': token}
        _, code = host_node(ViewNode, parameters, _summarize)
        raise typer.Exit(code)
    environment.keep_on_loopback()
    device = find_webcam(recording)
    if device is None:
        _play(recording, options, rate, sensor, time_unit)
    else:
        require_recording_options_unused(sensor, time_unit, rate)
        _run(webcam_arguments(device), LIVE_NODES, {}, options)


def _play(
    recording: str,
    options: ServerOptions,
    rate: float,
    sensor: str | None,
    time_unit: str | None,
) -> None:
    """Run a pipeline on a recording, with the page, until it is interrupted."""
    with tempfile.TemporaryDirectory(prefix='microexpr_view_') as scratch:
        source = find_source(recording, float('inf'), Path(scratch), sensor, time_unit)
        playback = playback_arguments(source, 0.0, rate)
        _run(playback, PLAYBACK_NODES, {'player:loop': True}, options)


def _run(
    arguments: list[str], nodes: Sequence[str], more: dict[str, Any], options: ServerOptions
) -> None:
    """Run a pipeline, with the page, until it is interrupted.

    Args:
        arguments: of the pipeline, for ROS.
        nodes: those that the arguments are for.
        more: further parameters.
        options: of the page.
    """
    parameters: dict[str, Any] = {
        'pipeline:nodes': [*nodes, 'view'],
        'view:host': options.host,
        'view:port': options.port,
        'view:token': options.token,
        **more,
    }
    # JSON is YAML with all texts quoted: a token of digits stays a text. The last one wins.
    chosen = [
        word
        for name, value in parameters.items()
        for word in ('-p', f'{name}:={json.dumps(value)}')
    ]
    run_nodes(make_nodes, ['--ros-args', *arguments, *chosen])


def _summarize(node: ViewNode) -> str:
    """Return what the terminal shows while the page is served."""
    if node.server is None:
        return 'starting'
    return f'open {node.server.url}  viewers: {node.viewers}  Ctrl-C ends'
