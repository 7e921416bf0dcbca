"""What `bench decode` measures: our codecs, those of peers, and the memory as their limit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from microexpr_ros.cli.bench.checksum import sum_columns
from microexpr_ros.cli.bench.streams import Stream
from microexpr_ros.events import codecs
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.grid import GRID, accumulate
from microexpr_ros.events.region import Region

OURS: Final = 'microexpr'
MEMORY: Final = 'memory'
PEERS: Final = ('evt3', 'eventcv')

# An event is four columns of 8, 2, 2 and 1 bytes, a trigger three of 8, 1 and 1.
EVENT_BYTES: Final = 13
_TRIGGER_BYTES: Final = 10
_COUNTED_BYTES: Final = 5


@dataclass(frozen=True, slots=True)
class Workload:
    """One thing to measure.

    Attributes:
        implementation: microexpr, the name of a peer on PyPI, or memory.
        codec: encoding, with `encode` if that is what is done; or histogram.
        run: does it once.
        check: does it once and returns whether the result is right.
        read: bytes of memory that it must read.
        written: bytes of memory that it must write.
    """

    implementation: str
    codec: str
    run: Callable[[], object]
    check: Callable[[], bool]
    read: int
    written: int


def our_workloads(stream: Stream) -> Iterator[Workload]:
    """Yield what this package does with a stream: decode and encode it, count its events."""
    codec, packets = stream.encoding, tuple(zip(stream.packets, stream.time_bases, strict=True))
    columns = EVENT_BYTES * len(stream.events) + _TRIGGER_BYTES * len(stream.triggers)
    yield Workload(
        OURS,
        codec,
        lambda: deque(_decode(stream, packets), maxlen=0),
        lambda: _is_exact(stream, packets),
        stream.size,
        columns,
    )
    if len(packets) > 1:
        return

    def encode() -> tuple[bytes, int]:
        encoder = codecs.encoder(codec, stream.height, stream.width)
        time_base, payload = encoder.encode(stream.events, stream.triggers)
        return payload, time_base

    yield Workload(
        OURS,
        f'{codec} encode',
        encode,
        lambda: _is_exact(stream, [encode()]),
        columns,
        stream.size,
    )
    if codec == 'evt3':
        yield _histogram_workload(stream)


def peer_workloads(stream: Stream, names: Iterable[str], folder: Path) -> Iterator[Workload]:
    """Yield how peers decode a stream of EVT3: evt3 from memory, eventcv from a file."""
    if stream.encoding != 'evt3' or len(stream.packets) > 1:
        return
    payload, width, height = stream.packets[0], stream.width, stream.height
    path = folder / f'{stream.name}.raw'
    header = f'% evt 3.0\n% format EVT3;height={height};width={width}\n% end\n'
    path.write_bytes(header.encode('ascii') + payload)
    runs: dict[str, Callable[[], Any]] = {
        'evt3': lambda: import_module('evt3').decode_bytes(payload, width, height),
        'eventcv': lambda: import_module('eventcv').load(str(path), sensor_size=(width, height)),
    }
    columns = EVENT_BYTES * len(stream.events)
    for name in names:
        check = partial(_peer_is_exact, stream, runs[name])
        yield Workload(name, 'evt3', runs[name], check, stream.size, columns)


def memory_workload(workload: Workload) -> Workload:
    """Return the physical limit of a workload: it reads and writes as many bytes, no more."""
    source = np.ones(workload.read // 8 + 1, np.uint64)
    copied = min(workload.read, workload.written) // 8

    def move() -> None:
        target = np.empty(workload.written // 8 + 1, np.uint64)
        target[:copied] = source[:copied]
        target[copied:] = 0
        source[copied:].max()

    return Workload(MEMORY, workload.codec, move, lambda: True, workload.read, workload.written)


def _decode(
    stream: Stream, packets: Iterable[tuple[bytes, int]]
) -> Iterator[tuple[Events, Triggers]]:
    decoder = codecs.decoder(stream.encoding, stream.height, stream.width)
    return (decoder.decode(payload, time_base) for payload, time_base in packets)


def _is_exact(stream: Stream, packets: Iterable[tuple[bytes, int]]) -> bool:
    events, triggers = zip(*_decode(stream, packets), strict=True)
    return np.array_equal(
        sum(map(sum_columns, events)), sum_columns(stream.events)
    ) and np.array_equal(sum(map(sum_columns, triggers)), sum_columns(stream.triggers))


def _peer_is_exact(stream: Stream, run: Callable[[], Any]) -> bool:
    result = run()
    if hasattr(result, 'timestamp'):
        columns = result.timestamp, result.x, result.y, result.polarity
    else:
        x, y, t, p = result.numpy().T
        columns = t, x, y, p
    t_ns = np.asarray(columns[0], np.int64) * 1000
    return np.array_equal(sum_columns(Events(t_ns, *columns[1:])), sum_columns(stream.events))


def _histogram_workload(stream: Stream) -> Workload:
    """Return the counting of events in a square half as high as the sensor, as if of a face."""
    events, size = stream.events, stream.height // 2
    region = Region(stream.width // 4, stream.height // 4, size, size)
    counts = np.zeros((2, GRID, GRID), np.uint8)

    def count() -> int:
        return accumulate(events, region, counts)

    def is_right() -> bool:
        columns = (events.x, region.x), (events.y, region.y)
        inside = [(first <= v) & (v < first + size) for v, first in columns]
        return count() == int(np.count_nonzero(inside[0] & inside[1]))

    return Workload(OURS, 'histogram', count, is_right, _COUNTED_BYTES * len(events), 0)
