"""`microexpr bench decode`: how fast events are decoded, encoded and counted."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from microexpr_ros.cli import output
from microexpr_ros.cli.bench.files import file_workloads
from microexpr_ros.cli.bench.machine import read_machine
from microexpr_ros.cli.bench.streams import Stream, make_streams
from microexpr_ros.cli.bench.workloads import (
    MEMORY,
    OURS,
    PEERS,
    Workload,
    memory_workload,
    our_workloads,
    peer_workloads,
)
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.events import codecs

app = make_app()

_IN_FILES = 'single events'
"""The stream of which files in every format are read."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Attributes:
        implementation: microexpr, the name of a peer on PyPI, or memory: the physical limit,
            which is how fast the same bytes are read and written when nothing is computed.
        codec: encoding, with `encode` if that is what is done; format with `file` if a file is
            read; or histogram.
        stream: the stream that is decoded, encoded or counted.
        events: events in the stream; triggers if it has only those.
        mev_per_s: million events per second of wall time, median of the rounds.
        gb_per_s: GB of encoded bytes per second, likewise.
        us_per_packet: time of one packet in us, which of the stream `call` is that of a call.
        bytes_per_event: bytes of memory read and written for an event.
        of_limit: time of the memory over this one's time.
        times_faster_peer: rate over the faster peer's rate on this stream; None if there is none.
        agrees: the result is right: for peers, as many events as ours with the same sums of
            columns.
    """

    implementation: str
    codec: str
    stream: str
    events: int
    mev_per_s: float
    gb_per_s: float
    us_per_packet: float
    bytes_per_event: float
    of_limit: float
    times_faster_peer: float | None
    agrees: bool


@app.command()
def decode(
    data: Annotated[
        Path | None,
        typer.Option(envvar='MICROEXPR_TEST_DATA', help='Folder with recordings/*.db3 of EVT3.'),
    ] = None,
    events: Annotated[int, typer.Option(help='Events of each synthetic stream.')] = 1_000_000,
    rounds: Annotated[
        int, typer.Option(help='Repetitions; the result is their median.', min=1)
    ] = 21,
    as_json: JsonOption = False,
) -> None:
    """Measure decoding, encoding and counting of events, and reading files of them.

    All runs on one thread, next to the peers evt3 and eventcv if they are installed: pip install
    evt3 eventcv. The limit is the memory: reading and writing as many bytes, and nothing else.
    Files are in the disk's cache. On a busy machine only the ratios are of use.
    """
    # A thread pool in a peer would make the ratios meaningless.
    os.environ.setdefault('RAYON_NUM_THREADS', '1')
    codecs.compile_kernels()
    reasons = {name: _why_missing(name) for name in PEERS}
    peers = {name: reason or version(name) for name, reason in reasons.items()}
    installed = [name for name in PEERS if not reasons[name]]
    rows: list[Row] = []
    streams = list(make_streams(data, events))
    with tempfile.TemporaryDirectory() as folder, output.progress_bar('measuring') as bar:
        for number, stream in enumerate(streams):
            bar.update(number, len(streams), f'measuring {stream.name}')
            ours = list(our_workloads(stream))
            if stream.name == _IN_FILES and stream.encoding == 'evt3':
                ours += file_workloads(stream, Path(folder))
            others = peer_workloads(stream, installed, Path(folder))
            rows += _measure(stream, [*ours, *others, *map(memory_workload, ours)], rounds)
    if as_json:
        output.print_json(
            {'rows': [asdict(row) for row in rows], 'peers': peers, 'machine': read_machine()}
        )
        return
    output.print_table(
        [_cells(row) for row in rows if row.implementation != MEMORY],
        text=('stream', 'codec', 'implementation', 'agrees'),
        group='stream',
        caption='memory: share of the rate at which as many bytes are only moved',
    )
    for name, found in peers.items():
        output.print_text(f'{name}: {found}')


def _why_missing(peer: str) -> str | None:
    """Return why a peer cannot be measured, and how to get it; None if it can."""
    try:
        import_module(peer)
    except ImportError as error:
        return f'not measured, pip install {peer} adds it ({error})'
    return None


def _is_our_evt3(workload: Workload) -> bool:
    return workload.implementation == OURS and workload.codec == 'evt3'


def _measure(stream: Stream, workloads: list[Workload], rounds: int) -> list[Row]:
    agrees = [workload.check() for workload in workloads]
    seconds: list[list[float]] = [[] for _ in workloads]
    # In turns, so that other load on the machine slows all of them alike.
    for _ in range(rounds):
        for workload, times in zip(workloads, seconds, strict=True):
            start = time.perf_counter()
            workload.run()
            times.append(time.perf_counter() - start)
    medians = [statistics.median(times) for times in seconds]
    found = list(zip(workloads, medians, agrees, strict=True))
    limits = {one.codec: median for one, median, _ in found if one.implementation == MEMORY}
    peer = min((median for one, median, _ in found if one.implementation in PEERS), default=0.0)
    return [
        Row(
            implementation=workload.implementation,
            codec=workload.codec,
            stream=stream.name,
            events=len(stream),
            mev_per_s=float(f'{len(stream) / median / 1e6:.4g}'),
            gb_per_s=round(stream.size / median / 1e9, 3),
            us_per_packet=round(median / len(stream.packets) * 1e6, 2),
            bytes_per_event=round((workload.read + workload.written) / max(len(stream), 1), 1),
            of_limit=round(limits[workload.codec] / median, 3),
            times_faster_peer=round(peer / median, 2) if peer and _is_our_evt3(workload) else None,
            agrees=right,
        )
        for workload, median, right in found
    ]


def _cells(row: Row) -> dict[str, str]:
    return {
        'stream': row.stream,
        'codec': row.codec,
        'implementation': row.implementation,
        'Mev/s': f'{row.mev_per_s:.0f}',
        'GB/s': f'{row.gb_per_s:.2f}',
        'us/packet': f'{row.us_per_packet:.1f}',
        'faster peer': f'x {row.times_faster_peer:.1f}' if row.times_faster_peer else '',
        'memory': f'{row.of_limit:.0%}',
        'agrees': 'yes' if row.agrees else 'NO',
    }
