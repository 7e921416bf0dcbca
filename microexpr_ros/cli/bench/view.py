"""`microexpr bench view`: what the live page costs the pipeline."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from microexpr_ros.cli import output
from microexpr_ros.cli.bench.machine import read_machine
from microexpr_ros.cli.bench.pipeline import NODES
from microexpr_ros.cli.bench.processes import Process, measure_usage, start_node
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.demo import playback_arguments
from microexpr_ros.cli.demo.sources import Source, find_source
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.cli.recording_options import SensorOption, SourceOption, TimeUnitOption
from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import environment
from microexpr_ros.view.server import SOCKET_PATH, ServerOptions

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

app = make_app()

_PATIENCE_S: Final = 300.0
_POLL_S: Final = 0.1
_WARM_UP_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Attributes:
        page: none, or how many watch it.
        cpu_percent: processor time of the pipeline's process over wall time; 100 is one core.
        cost_percent: how much more that is than in the row before; None in the first.
        snapshots_hz: snapshots per second that the viewer drew.
        kb_per_s: their size per second.
    """

    page: str
    cpu_percent: float
    cost_percent: float | None
    snapshots_hz: float
    kb_per_s: float


@dataclass(frozen=True, slots=True)
class Span:
    """What a span of time took.

    Attributes:
        wall_s: its length.
        cpu_s: processor time, user and system, of the pipeline's process.
        sizes: bytes of each snapshot that came.
    """

    wall_s: float
    cpu_s: float
    sizes: tuple[int, ...] = ()


@app.command()
def view(
    source: SourceOption = 'real',
    sensor: SensorOption = None,
    time_unit: TimeUnitOption = None,
    seconds: Annotated[float, typer.Option(help='Measure for so long each, in s.', min=1.0)] = 20,
    as_json: JsonOption = False,
) -> None:
    """Measure what the live page costs, with nobody watching and with one viewer.

    A recording plays again and again, with all nodes in one process: without the page, with it,
    and with one viewer, which acknowledges snapshots as a browser does and is not counted. Another
    process takes Action Units and images all the time, as they are made only for who takes them.
    Processor time is user and system. A machine that does not keep up shows less than the cost.
    """
    environment.keep_on_loopback()
    environment.prepare()
    with tempfile.TemporaryDirectory() as scratch:
        found = find_source(source, float('inf'), Path(scratch), sensor, time_unit)
        with _taking_results():
            with output.spinner('with the page'):
                unwatched, watched, start_cpu_s = _measure_page(found, seconds)
            with output.spinner('without the page'):
                without = _measure_without(found, seconds, start_cpu_s)
    rows = summarize_spans(without, unwatched, watched)
    if rows[-1].snapshots_hz < ServerOptions().rate_hz / 2:
        output.note('the machine is too busy to keep up: the page costs more than is shown')
    if as_json:
        output.print_json(
            {
                'source': found.title,
                'rows': [asdict(row) for row in rows],
                'machine': read_machine(),
            }
        )
    else:
        output.print_table([_cells(row) for row in rows], text=('page',))


def summarize_spans(without: Span, unwatched: Span, watched: Span) -> list[Row]:
    """Return a row for each span: without the page, with it, and with one viewer."""
    rows: list[Row] = []
    names = ('none', 'no viewer', 'one viewer')
    for page, span in zip(names, (without, unwatched, watched), strict=True):
        cpu_percent = 100 * span.cpu_s / span.wall_s
        rows.append(
            Row(
                page,
                round(cpu_percent, 1),
                round(cpu_percent - rows[-1].cpu_percent, 1) if rows else None,
                round(len(span.sizes) / span.wall_s, 1),
                round(sum(span.sizes) / span.wall_s / 1e3, 1),
            )
        )
    return rows


@contextmanager
def _taking_results() -> Iterator[None]:
    """Take what robots take, so that the page alone makes the difference."""
    # Of ROS, which the help does without.
    import rclpy
    from rclpy.context import Context
    from sensor_msgs.msg import Image

    from microexpr_ros.msg import ActionUnitArray
    from microexpr_ros.ros import qos, topics
    from microexpr_ros.ros.subscriptions import SubscriptionThread

    thread, context = SubscriptionThread(), Context()
    context.init()
    failures: list[Exception] = []
    subscriptions = thread.subscribe(
        rclpy.create_node('bench_view', context=context),
        (
            (ActionUnitArray, f'/{topics.ACTION_UNITS}', _ignore, qos.RESULTS),
            (Image, f'/{topics.RECONSTRUCTION}', _ignore, qos.RESULTS),
        ),
        failures.append,
        raw=True,
    )
    try:
        yield
    finally:
        thread.unsubscribe(subscriptions)
        thread.close()
        context.try_shutdown()


def _ignore(message: bytes, published_ns: int, received_ns: int) -> None:
    pass


def _measure_page(source: Source, seconds: float) -> tuple[Span, Span, float]:
    """Return the span without a viewer, that with one, and the processor time of the start."""
    port = _find_free_port()

    def is_shown() -> bool:
        with suppress(OSError, TimeoutError), watch(port) as viewer:
            # The page subscribes when somebody watches, and has to wait for the next slice.
            return bool(viewer.recv(timeout=_WARM_UP_S))
        return False

    with _playing(source, [*NODES, 'view'], ['-p', f'view:port:={port}']) as process:
        _wait_until(process, is_shown)
        start_cpu_s = _cpu_s(process)
        time.sleep(_WARM_UP_S)
        unwatched = _measure(process, partial(_sleep, seconds))
        with watch(port) as viewer:
            draw(viewer, _WARM_UP_S)
            watched = _measure(process, lambda: draw(viewer, seconds))
    return unwatched, watched, start_cpu_s


def _measure_without(source: Source, seconds: float, start_cpu_s: float) -> Span:
    with _playing(source, list(NODES), []) as process:
        # Whoever subscribed to what shows that it has started would be a cost.
        _wait_until(process, lambda: _cpu_s(process) > start_cpu_s)
        time.sleep(_WARM_UP_S)
        return _measure(process, partial(_sleep, seconds))


def _sleep(seconds: float) -> tuple[int, ...]:
    time.sleep(seconds)
    return ()


@contextmanager
def watch(port: int) -> Iterator[ClientConnection]:
    """Watch the page that this machine serves at a port."""
    # The server's library, which only a viewer needs here.
    from websockets.sync.client import connect
    from websockets.typing import Origin

    address = f'127.0.0.1:{port}'
    origin = Origin(f'http://{address}')
    with connect(f'ws://{address}{SOCKET_PATH}', origin=origin, proxy=None) as viewer:
        viewer.send('')
        yield viewer


def draw(viewer: ClientConnection, seconds: float) -> tuple[int, ...]:
    """Acknowledge snapshots as a browser does; return their sizes."""
    sizes: list[int] = []
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        with suppress(TimeoutError):
            sizes.append(len(viewer.recv(timeout=left_s)))
            viewer.send('drawn')
    return tuple(sizes)


def _measure(process: Process, watch: Callable[[], tuple[int, ...]]) -> Span:
    began_s, used_s = time.monotonic(), _cpu_s(process)
    sizes = watch()
    return Span(time.monotonic() - began_s, _cpu_s(process) - used_s, sizes)


@contextmanager
def _playing(source: Source, nodes: list[str], arguments: list[str]) -> Iterator[Process]:
    """Play a recording again and again through a pipeline in a process of its own."""
    chosen = ['-p', f'pipeline:nodes:=[{", ".join(nodes)}]', '-p', 'player:loop:=true']
    with tempfile.TemporaryFile('w+') as log:
        process = start_node(
            'pipeline', [*playback_arguments(source, 0.0, 1.0), *chosen, *arguments], log
        )
        try:
            yield process
        except MicroexprError as error:
            log.seek(0)
            raise MicroexprError(f'{error}: {" | ".join(log.read().splitlines()[-3:])}') from error
        finally:
            process.terminate()
            process.wait()


def _wait_until(process: Process, condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + _PATIENCE_S
    while not condition():
        if process.poll() is not None or time.monotonic() > until_s:
            raise MicroexprError(f'the pipeline did not start in {_PATIENCE_S:g} s')
        time.sleep(_POLL_S)


def _cpu_s(process: Process) -> float:
    used = measure_usage({'': process})
    return used[''].cpu_s if used else 0.0


def _find_free_port() -> int:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return int(free.getsockname()[1])


def _cells(row: Row) -> dict[str, str]:
    return {
        'page': row.page,
        'CPU %': f'{row.cpu_percent:.1f}',
        'page costs %': '' if row.cost_percent is None else f'{row.cost_percent:+.1f}',
        'snapshots/s': f'{row.snapshots_hz:.1f}' if row.snapshots_hz else '',
        'kB/s': f'{row.kb_per_s:.0f}' if row.kb_per_s else '',
    }
