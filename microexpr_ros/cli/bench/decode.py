"""`microexpr bench decode`: how fast events are decoded, encoded and counted."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from microexpr_ros.cli.bench.machine import describe_machine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from microexpr_ros.events.events import Events

_OURS = 'microexpr_ros'


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Attributes:
        implementation: microexpr_ros, or the name of a peer on PyPI.
        codec: encoding, and what is done if that is not decoding.
        stream: what is decoded.
        events: events in the stream.
        mev_per_s: million events per second of wall time, median of the rounds.
        gb_per_s: GB of encoded bytes per second, likewise.
        agrees: the events are as many as ours, with the same sums of columns.
    """

    implementation: str
    codec: str
    stream: str
    events: int
    mev_per_s: float
    gb_per_s: float
    agrees: bool


@dataclass(frozen=True, slots=True)
class _Stream:
    name: str
    encoding: str
    height: int
    width: int
    time_bases: tuple[int, ...]
    packets: tuple[bytes, ...]
    events: Events


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

    Peers take part if they can be imported. On a busy machine trust the ratios only.
    """
    import json as json_module

    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from microexpr_ros.events import codecs

    # A thread pool in a peer would make the ratios meaningless.
    os.environ.setdefault('RAYON_NUM_THREADS', '1')
    codecs.compile_kernels()
    rows: list[Row] = []
    with (
        Progress(console=Console(stderr=True), disable=json) as progress,
        tempfile.TemporaryDirectory() as folder,
    ):
        for stream in progress.track(list(_streams(data, events)), description='decoding'):
            rows += _measure(stream, rounds, Path(folder))
    if json:
        report = {'rows': [asdict(row) for row in rows], 'machine': describe_machine()}
        typer.echo(json_module.dumps(report))
        return
    table = Table('implementation', 'codec', 'stream', 'Mev/s', 'GB/s', 'agrees')
    for row in rows:
        table.add_row(
            row.implementation,
            row.codec,
            row.stream,
            f'{row.mev_per_s:.0f}',
            f'{row.gb_per_s:.2f}',
            'yes' if row.agrees else 'NO',
        )
    Console().print(table)


def _streams(data: Path | None, count: int) -> Iterator[_Stream]:
    import numpy as np

    from microexpr_ros.events import codecs
    from microexpr_ros.events.bags import read_packets
    from microexpr_ros.events.events import Events

    recordings = sorted(data.glob('recordings/*evt3*.db3')) if data else []
    recordings += sorted(data.glob('recordings/test_events_*.db3')) if data else []
    for path in recordings:
        packets = [packet for _, packet in read_packets(path)]
        first = packets[0]
        decoder = codecs.decoder(first.encoding, first.height, first.width)
        payloads = tuple(packet.events for packet in packets)
        bases = tuple(packet.time_base for packet in packets)
        whole, _ = decoder.decode(b''.join(payloads))
        shape = first.encoding, first.height, first.width
        yield _Stream(path.stem, *shape, (0,), (b''.join(payloads),), whole)
        yield _Stream(f'{path.stem}, packets', *shape, bases, payloads, whole)

    rng = np.random.default_rng(0)
    height, width = 720, 1280

    def single() -> Events:
        t = np.sort(rng.integers(0, count, count)) * 1000
        x, y = rng.integers(0, width, count), rng.integers(0, height, count)
        p = rng.integers(0, 2, count)
        return Events(t, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8))

    def rows() -> Events:
        # Eight events of one row at a time, as sensors send where an edge passes.
        size = 8
        groups = count // size
        t = np.repeat(np.sort(rng.integers(0, count, groups)) * 1000, size)
        y = np.repeat(rng.integers(0, height, groups), size)
        p = np.repeat(rng.integers(0, 2, groups), size)
        steps = np.cumsum(rng.integers(1, 5, (groups, size)), axis=1)
        x = (rng.integers(0, width - 4 * size, groups)[:, None] + steps - 1).reshape(-1)
        return Events(t, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8))

    for name, events in (('single events', single()), ('rows of 8', rows())):
        for encoding in codecs.ENCODINGS if name == 'single events' else ('evt3',):
            if encoding == 'trigger':
                continue
            base, payload = codecs.encoder(encoding, height, width).encode(events)
            yield _Stream(name, encoding, height, width, (base,), (payload,), events)


def _measure(stream: _Stream, rounds: int, folder: Path) -> list[Row]:
    import numpy as np

    from microexpr_ros.events import codecs
    from microexpr_ros.events.histogram import GRID, accumulate
    from microexpr_ros.events.region import Region

    shape = stream.encoding, stream.height, stream.width

    def decode_ours() -> Iterator[Events]:
        decoder = codecs.decoder(*shape)
        for payload, base in zip(stream.packets, stream.time_bases, strict=True):
            yield decoder.decode(payload, base)[0]

    def decode_and_forget() -> None:
        deque(decode_ours(), maxlen=0)

    runs: dict[tuple[str, str], Callable[[], Any]] = {(_OURS, stream.encoding): decode_and_forget}
    if len(stream.packets) == 1:
        region = Region(
            stream.width // 4, stream.height // 4, stream.height // 2, stream.height // 2
        )
        counts = np.zeros((2, GRID, GRID), np.uint8)
        runs[_OURS, f'{stream.encoding} encode'] = lambda: codecs.encoder(*shape).encode(
            stream.events
        )
        if stream.encoding == 'evt3':
            runs[_OURS, 'histogram'] = lambda: accumulate(stream.events, region, counts)
            runs.update(_peers(stream, folder))

    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    want = _sums(stream.events)
    agrees = {key: _sums(run()) in (None, want) for key, run in runs.items()}
    agrees[_OURS, stream.encoding] = _sums(list(decode_ours())) == want
    # In turns, so that what else the machine does falls on all alike.
    for _ in range(rounds):
        for key, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[key].append(time.perf_counter() - start)
    size = sum(map(len, stream.packets))
    return [
        Row(
            implementation,
            codec,
            stream.name,
            len(stream.events),
            round(len(stream.events) / statistics.median(seconds[implementation, codec]) / 1e6, 1),
            round(size / statistics.median(seconds[implementation, codec]) / 1e9, 3),
            agrees[implementation, codec],
        )
        for implementation, codec in runs
    ]


def _peers(stream: _Stream, folder: Path) -> dict[tuple[str, str], Callable[[], Any]]:
    """Return how peers decode a stream of EVT3: evt3 from memory, eventcv from a file."""
    runs: dict[tuple[str, str], Callable[[], Any]] = {}
    payload, width, height = stream.packets[0], stream.width, stream.height
    if find_spec('evt3'):
        evt3 = import_module('evt3')
        runs['evt3', 'evt3'] = lambda: evt3.decode_bytes(payload, width, height)
    if find_spec('eventcv'):
        eventcv = import_module('eventcv')
        path = folder / f'{stream.name}.raw'
        header = f'% evt 3.0\n% format EVT3;height={height};width={width}\n% end\n'
        path.write_bytes(header.encode('ascii') + payload)
        runs['eventcv', 'evt3'] = lambda: eventcv.load(str(path), sensor_size=(width, height))
    return runs


def _sums(result: Any) -> tuple[int, ...] | None:
    """Return the number of events and sums of columns, None if a result is not events."""
    from microexpr_ros.events.events import Events

    if isinstance(result, list):
        parts = [_sums(part) or () for part in result]
        return tuple(map(sum, zip(*parts, strict=True)))
    columns: list[NDArray[Any]]
    if isinstance(result, Events):
        columns = [result.t // 1000, result.x, result.y, result.p]
    elif hasattr(result, 'timestamp'):
        columns = [result.timestamp, result.x, result.y, result.polarity]
    elif hasattr(result, 'numpy'):
        x, y, t, p = result.numpy().T
        columns = [t, x, y, p]
    else:
        return None
    return len(columns[0]), *(int(column.sum(dtype='int64')) for column in columns)
