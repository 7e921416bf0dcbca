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
from typing import TYPE_CHECKING, Annotated, Final

import typer

from microexpr_ros.cli.bench.machine import describe_machine

if TYPE_CHECKING:
    from rich.table import Table

    from microexpr_ros.cli.bench.jobs import Job
    from microexpr_ros.cli.bench.streams import Stream

OURS: Final = 'microexpr'
MEMORY: Final = 'memory'
PEERS: Final = ('evt3', 'eventcv')


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Attributes:
        implementation: microexpr, the name of a peer on PyPI, or memory: the physical limit,
            which is how fast the same bytes are read and written when nothing is computed.
        codec: encoding, with `encode` if that is what is done; or histogram.
        stream: what is worked on.
        events: events in the stream; triggers if it has only those.
        mev_per_s: million events per second of wall time, median of the rounds.
        gb_per_s: GB of encoded bytes per second, likewise.
        bytes_per_event: bytes of memory read and written for an event.
        of_limit: the memory's time in proportion to this one's.
        times_faster_peer: rate in proportion to the faster peer's on this stream; None if there
            is none.
        agrees: the result is right: for peers, as many events as ours with the same sums of
            columns.
    """

    implementation: str
    codec: str
    stream: str
    events: int
    mev_per_s: float
    gb_per_s: float
    bytes_per_event: float
    of_limit: float
    times_faster_peer: float | None
    agrees: bool


def decode(
    data: Annotated[
        Path | None,
        typer.Option(envvar='MICROEXPR_TEST_DATA', help='folder with recordings/*.db3 of EVT3'),
    ] = None,
    events: Annotated[int, typer.Option(help='events of the synthetic streams')] = 1_000_000,
    rounds: Annotated[int, typer.Option(help='repetitions; medians are told')] = 21,
    json: Annotated[bool, typer.Option(help='print one JSON object alone')] = False,
) -> None:
    """Measure decoding, encoding and counting on one thread, next to the peers evt3 and eventcv.

    Peers take part if they can be imported: pip install evt3 eventcv. The limit is the memory:
    the same bytes in and out, and nothing computed. On a busy machine trust the ratios only.
    """
    import json as json_module

    from rich.console import Console
    from rich.progress import track

    from microexpr_ros.cli.bench.jobs import memory_job, our_jobs, peer_jobs
    from microexpr_ros.cli.bench.streams import make_streams
    from microexpr_ros.events import codecs

    # A thread pool in a peer would make the ratios meaningless.
    os.environ.setdefault('RAYON_NUM_THREADS', '1')
    codecs.compile_kernels()
    reasons = {name: _why_missing(name) for name in PEERS}
    peers = {name: reason or version(name) for name, reason in reasons.items()}
    progress = Console(stderr=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        streams = list(make_streams(data, events))
        for stream in track(streams, 'measuring', console=progress, transient=True):
            ours = list(our_jobs(stream))
            others = peer_jobs(stream, [name for name in PEERS if not reasons[name]], Path(folder))
            jobs = [*ours, *others, *map(memory_job, ours)]
            rows += _measure(stream, jobs, rounds)
    if json:
        report = {
            'rows': [asdict(row) for row in rows],
            'peers': peers,
            'machine': describe_machine(),
        }
        typer.echo(json_module.dumps(report))
        return
    console = Console()
    console.print(_table(rows))
    for name, found in peers.items():
        console.print(f'{name}: {found}', highlight=False)


def _why_missing(peer: str) -> str | None:
    """Return why a peer cannot be measured, and how to get it; None if it can."""
    try:
        import_module(peer)
    except ImportError as error:
        return f'not measured, pip install {peer} adds it ({error})'
    return None


def _is_our_evt3(job: Job) -> bool:
    return job.implementation == OURS and job.codec == 'evt3'


def _measure(stream: Stream, jobs: list[Job], rounds: int) -> list[Row]:
    agrees = [job.check() for job in jobs]
    seconds: list[list[float]] = [[] for _ in jobs]
    # In turns, so that what else the machine does falls on all alike.
    for _ in range(rounds):
        for job, times in zip(jobs, seconds, strict=True):
            start = time.perf_counter()
            job.run()
            times.append(time.perf_counter() - start)
    medians = [statistics.median(times) for times in seconds]
    found = list(zip(jobs, medians, agrees, strict=True))
    limits = {job.codec: median for job, median, _ in found if job.implementation == MEMORY}
    peer = min((median for job, median, _ in found if job.implementation in PEERS), default=0.0)
    return [
        Row(
            implementation=job.implementation,
            codec=job.codec,
            stream=stream.name,
            events=len(stream),
            mev_per_s=round(len(stream) / median / 1e6, 1),
            gb_per_s=round(stream.size / median / 1e9, 3),
            bytes_per_event=round((job.read + job.written) / max(len(stream), 1), 1),
            of_limit=round(limits[job.codec] / median, 3),
            times_faster_peer=round(peer / median, 2) if peer and _is_our_evt3(job) else None,
            agrees=right,
        )
        for job, median, right in found
    ]


def _table(rows: list[Row]) -> Table:
    from rich.table import Table

    table = Table(caption='memory: share of the rate at which the same bytes are only moved')
    for name in ('stream', 'codec', 'implementation'):
        table.add_column(name)
    for name in ('Mev/s', 'GB/s', 'faster peer', 'memory'):
        table.add_column(name, justify='right')
    table.add_column('agrees')
    stream = None
    for row in rows:
        if row.implementation == MEMORY:
            continue
        if row.stream != stream:
            table.add_section()
        table.add_row(
            row.stream if row.stream != stream else '',
            row.codec,
            row.implementation,
            f'{row.mev_per_s:.0f}',
            f'{row.gb_per_s:.2f}',
            f'x {row.times_faster_peer:.1f}' if row.times_faster_peer else '',
            f'{row.of_limit:.0%}',
            'yes' if row.agrees else 'NO',
        )
        stream = row.stream
    return table
