"""`microexpr bench pipeline`: latency, rates, processor time and memory of the real nodes."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from microexpr_ros.cli.bench.processes import Usage, start_node, usages
from microexpr_ros.cli.bench.rates import parse_rates
from microexpr_ros.errors import MicroexprError

NODES = ('player', 'synchronizer', 'au_classifier', 'reconstructor')
_PATIENCE_S = 60.0


def pipeline(
    source: Annotated[
        str, typer.Option(help='real (downloaded once), synthetic, or the path of a recording.')
    ] = 'real',
    seconds: Annotated[float, typer.Option(help='Play this much of it.', min=1.0)] = 12.0,
    rates: Annotated[str, typer.Option(help='Speeds to play at, comma-separated.')] = '1,2',
    as_json: Annotated[bool, typer.Option('--json', help='Print one JSON object.')] = False,
) -> None:
    """Measure the pipeline in one process and with a process per node.

    Processor time counts from the first to the last estimate, so that start-up is left out; 100
    is one core. Memory is the resident set at the end.
    """
    from rich.console import Console

    from microexpr_ros.cli.bench.machine import describe_machine
    from microexpr_ros.cli.demo import sources
    from microexpr_ros.ros import environment

    environment.keep_on_loopback()
    environment.prepare()
    console = Console(stderr=True)
    speeds = parse_rates(rates)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        found = sources.find(source, seconds, Path(scratch), lambda *_: None)
        for rate in speeds:
            for composed in (True, False):
                form = 'one process' if composed else 'a process per node'
                with console.status(f'{found.title}, rate {rate:g}, {form}'):
                    rows.append(_measure(found, min(seconds, found.seconds), rate, composed))
    result = {'source': found.title, 'rows': rows, 'machine': describe_machine()}
    if as_json:
        print(json.dumps(result))
        return
    from rich.table import Table

    table = Table(title=found.title)
    for name in rows[0]:
        table.add_column(name)
    for row in rows:
        table.add_row(*(json.dumps(value).strip('"{}') for value in row.values()))
    console.print(table)


def _measure(source: Any, seconds: float, rate: float, composed: bool) -> dict[str, Any]:
    """Play the source once and return one row."""
    with tempfile.TemporaryFile('w+') as log:
        return _measure_logged(source, seconds, rate, composed, log)


def _measure_logged(
    source: Any, seconds: float, rate: float, composed: bool, log: IO[str]
) -> dict[str, Any]:
    from microexpr_ros.cli.demo import playback_arguments
    from microexpr_ros.cli.demo.observer import Observer
    from microexpr_ros.cli.demo.outputs import report

    arguments = playback_arguments(source, seconds, rate)
    # The player's process ends with the bag; composed, that is the only one.
    *others, leader = ('pipeline',) if composed else NODES[::-1]
    observer = Observer(lambda _: None)
    processes = {name: start_node(name, arguments, log) for name in others}
    begun: dict[str, Usage] = {}
    used: dict[str, Usage] = {}
    began_s = ended_s = 0.0
    estimates = -1
    try:
        # A node tells how it is once it has loaded its network.
        _wait_until(lambda: {f'/{name}' for name in others} <= observer.seen.diagnostics.keys())
        processes[leader] = start_node(leader, arguments, log)
        while processes[leader].poll() is None:
            if observer.seen.estimates and not begun:
                began_s = time.monotonic()
                begun = usages(processes)
            if begun and len(observer.seen.estimates) > estimates:
                estimates = len(observer.seen.estimates)
                ended_s = time.monotonic()
                used = usages(processes)
            time.sleep(0.05)
    finally:
        for process in processes.values():
            process.terminate()
            process.wait()
        seen = observer.close()
    log.seek(0)
    lines = log.read().splitlines()
    if not used:
        raise MicroexprError(
            f'nothing came out of the pipeline for {source.path}: {" | ".join(lines[-3:])}'
        )
    numbers = report(seen, seconds)
    wall_s = max(ended_s - began_s, 1e-9)
    return {
        'form': 'one process' if composed else 'a process per node',
        'rate': rate,
        'latency_ms': numbers['latency_ms'],
        'real_time_factor': numbers['real_time_factor'],
        'windows_hz': round(numbers['windows'] / seconds * rate, 1),
        'events_per_s': round(numbers['events'] / seconds * rate),
        'lost_packets': numbers['lost_packets'],
        'cpu_percent': {
            name: round(100 * (now.cpu_s - begun[name].cpu_s) / wall_s, 1)
            for name, now in used.items()
        },
        'memory_mb': {name: round(now.memory_mb) for name, now in used.items()},
    }


def _wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; what comes of its not being met in time is told elsewhere."""
    until_s = time.monotonic() + _PATIENCE_S
    while not condition() and time.monotonic() < until_s:
        time.sleep(0.05)
