"""Streams of events to measure codecs with: recordings, and the worst that sensors can send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.bags import read_packets
from microexpr_ros.events import codecs
from microexpr_ros.events.events import Events, Triggers

HEIGHT: Final = 720
WIDTH: Final = 1280

_CALLS: Final = 2000
_EVENTS_OF_CALL: Final = 16


@dataclass(frozen=True, slots=True)
class Stream:
    """Packets, and the events and triggers that they encode.

    Attributes:
        name: what the stream is, for people.
        encoding: one of codecs.ENCODINGS.
        height: rows of the sensor.
        width: columns of the sensor.
        packets: encoded packets in order.
        time_bases: of the packets, ns.
        events: events of all packets.
        triggers: triggers of all packets.
    """

    name: str
    encoding: str
    height: int
    width: int
    packets: tuple[bytes, ...]
    time_bases: tuple[int, ...]
    events: Events
    triggers: Triggers

    @property
    def size(self) -> int:
        """Bytes of all packets."""
        return sum(map(len, self.packets))

    def __len__(self) -> int:
        return len(self.events) or len(self.triggers)


def make_streams(data: Path | None, count: int) -> Iterator[Stream]:
    """Yield all streams, one after the other.

    Args:
        data: Folder with recordings/*.db3 of EVT3, None for none.
        count: Events of a synthetic stream, about.
    """
    for path in sorted(data.glob('recordings/*.db3')) if data else ():
        yield from _recorded(path)
    rng = np.random.default_rng(0)
    single = single_events(rng, count)
    for encoding in codecs.EVENT_ENCODINGS:
        yield _encoded('single events', encoding, single, Triggers.empty())
    for encoding in codecs.EVENT_ENCODINGS:
        yield _in_small_packets(encoding, single)
    for name, make in _ROWS.items():
        yield _encoded(name, 'evt3', make(rng, count), Triggers.empty())
    payload, dense = full_vectors(rng, count)
    yield Stream('full vectors', 'evt3', HEIGHT, WIDTH, (payload,), (0,), dense, Triggers.empty())
    yield _encoded('triggers', 'trigger', Events.empty(), trigger_edges(rng, count))


def _recorded(path: Path) -> Iterator[Stream]:
    """Yield a recording in one piece, and packet by packet as it was sent."""
    packets = [packet for _, packet in read_packets(path)]
    first = packets[0]
    if first.encoding != 'evt3':
        return
    whole = b''.join(packet.events for packet in packets)
    decoded = codecs.decoder(first.encoding, first.height, first.width).decode(whole)
    shape = first.encoding, first.height, first.width
    yield Stream(path.stem, *shape, (whole,), (0,), *decoded)
    payloads = tuple(packet.events for packet in packets)
    bases = tuple(packet.time_base for packet in packets)
    yield Stream(f'{path.stem}, packets', *shape, payloads, bases, *decoded)


def _encoded(name: str, encoding: str, events: Events, triggers: Triggers) -> Stream:
    base, payload = codecs.encoder(encoding, HEIGHT, WIDTH).encode(events, triggers)
    return Stream(name, encoding, HEIGHT, WIDTH, (payload,), (base,), events, triggers)


def _in_small_packets(encoding: str, events: Events) -> Stream:
    """Return the first events in packets so small that the time of a call is that of decoding."""
    events = events[: _CALLS * _EVENTS_OF_CALL]
    encoder = codecs.encoder(encoding, HEIGHT, WIDTH)
    parts = range(0, len(events), _EVENTS_OF_CALL)
    bases, payloads = zip(
        *(encoder.encode(events[start : start + _EVENTS_OF_CALL]) for start in parts), strict=True
    )
    return Stream('call', encoding, HEIGHT, WIDTH, payloads, bases, events, Triggers.empty())


def single_events(rng: np.random.Generator, count: int) -> Events:
    """Return events without neighbours: each needs words of its own, the worst case of EVT3."""
    return _events(
        _times(rng, count, count),
        rng.integers(0, WIDTH, count),
        rng.integers(0, HEIGHT, count),
        rng.integers(0, 2, count),
    )


def rows_of_8(rng: np.random.Generator, count: int) -> Events:
    """Return eight events of a row at a time, every second pixel or so."""
    sizes = np.full(count // 8, 8)
    return _runs(rng, sizes, rng.integers(1, 5, sizes.sum()))


def edges_and_noise(rng: np.random.Generator, count: int) -> Events:
    """Return runs of up to twenty events with gaps, where edges pass, and as many single ones."""
    runs = count // 6
    sizes = np.where(rng.random(runs) < 0.4, 1, rng.integers(2, 20, runs))
    return _runs(rng, sizes, 1 + (rng.random(sizes.sum()) < 0.3))


_ROWS: Final[dict[str, Callable[[np.random.Generator, int], Events]]] = {
    'rows of 8': rows_of_8,
    'edges and noise': edges_and_noise,
}


def full_vectors(rng: np.random.Generator, count: int) -> tuple[bytes, Events]:
    """Return 32 events of a row at a time, encoded as VECT_12, VECT_12 and VECT_8, and decoded."""
    rows = count // 32
    t_us = _times(rng, rows, count) // 1000
    x, y = rng.integers(0, WIDTH - 31, rows), rng.integers(0, HEIGHT, rows)
    p = rng.integers(0, 2, rows)
    words = [0x8000 | t_us >> 12 & 0xFFF, 0x6000 | t_us & 0xFFF, y, 0x3000 | p << 11 | x]
    words += [np.full(rows, word) for word in (0x4FFF, 0x4FFF, 0x50FF)]
    columns = (x[:, None] + np.arange(32)).reshape(-1)
    events = _events(np.repeat(t_us * 1000, 32), columns, np.repeat(y, 32), np.repeat(p, 32))
    return np.stack(words, axis=1).astype('<u2').tobytes(), events


def trigger_edges(rng: np.random.Generator, count: int) -> Triggers:
    """Return edges on one input, rising and falling in turn."""
    edge = (np.arange(count) & 1).astype(np.uint8)
    return Triggers(_times(rng, count, count), np.zeros(count, np.uint8), edge)


def _runs(rng: np.random.Generator, sizes: NDArray[np.int64], steps: NDArray[np.int64]) -> Events:
    """Return runs of events of one time, row and polarity, each event a step after the last."""
    first = np.cumsum(sizes) - sizes
    walked = np.cumsum(steps)
    offsets = walked - np.repeat(walked[first], sizes)
    widest = int(offsets.max()) + 1
    x = np.repeat(rng.integers(0, WIDTH - widest, len(sizes)), sizes) + offsets
    y, p = rng.integers(0, HEIGHT, len(sizes)), rng.integers(0, 2, len(sizes))
    t = _times(rng, len(sizes), int(sizes.sum()))
    return _events(np.repeat(t, sizes), x, np.repeat(y, sizes), np.repeat(p, sizes))


def _times(rng: np.random.Generator, count: int, span_us: int) -> NDArray[np.int64]:
    return np.sort(rng.integers(0, span_us, count)) * 1000


def _events(
    t: NDArray[np.int64], x: NDArray[np.int64], y: NDArray[np.int64], p: NDArray[np.int64]
) -> Events:
    return Events(t, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8))
