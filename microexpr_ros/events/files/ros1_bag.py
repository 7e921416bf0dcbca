"""Bags of ROS 1: their chunks and connections, as far as a bag can be read.

http://wiki.ros.org/Bags/Format/2.0 describes the format.
"""

from __future__ import annotations

import struct
from bz2 import BZ2Decompressor
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]

from microexpr_ros.bags.damage import Damage, DamagedPlace

_MAGIC: Final = b'#ROSBAG V2.0\n'
_LENGTH: Final = struct.Struct('<I')
_TIME: Final = struct.Struct('<II')
_NS: Final = 1_000_000_000

_MAX_HEADER: Final = 1 << 20

# Kinds of records.
_MESSAGE: Final = 2
_BAG_HEADER: Final = 3
_INDEX: Final = 4
_CHUNK: Final = 5
_CHUNK_INFO: Final = 6
_CONNECTION: Final = 7

_DECOMPRESSORS: Final = {'bz2': BZ2Decompressor, 'lz4': LZ4FrameDecompressor}
_UNREADABLE: Final = (ValueError, LookupError, OSError, EOFError, RuntimeError, struct.error)
"""What reading and decompressing damaged records raises."""


class Connection(NamedTuple):
    """Topic and type, as ROS 2 writes it, of the messages of a publisher."""

    topic: str
    type: str


class _Record(NamedTuple):
    """A record: its kind, the fields of its header, and where its data lie."""

    kind: int
    fields: Mapping[str, bytes]
    start: int
    stop: int


@dataclass(slots=True)
class _Chunk:
    """A chunk of messages.

    Attributes:
        offset: of its record in the file.
        start: first byte of its data.
        stop: byte after its data; beyond the file's end if that is cut off.
        compression: none, bz2 or lz4.
        counts: number of messages by connection, empty as long as it is not known.
        start_ns: time of its first message.
    """

    offset: int
    start: int
    stop: int
    compression: str
    counts: Counter[int] = field(default_factory=Counter)
    start_ns: int = 0


class Ros1Bag:
    """A bag that was looked through once; no file is kept open.

    What is damaged costs only itself: a chunk that cannot be decompressed is left out, behind a
    record that is damaged reading goes on at the next chunk that the bag's index names, and a bag
    without index is read chunk by chunk.

    Attributes:
        path: the file.
        is_ended: whether its recorder ended it, so that it has an index.
        damage: damaged places that are known without reading the messages.

    Raises:
        ValueError: It is not such a bag, or nothing of it can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: list[DamagedPlace] = []
        self._connections: dict[int, Connection] = {}
        self._chunks: dict[int, _Chunk] = {}
        self._infos: dict[int, tuple[int, Counter[int]]] = {}
        with path.open('rb') as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise ValueError('it does not begin as a bag of version 2.0')
            header = _read_record(file, len(_MAGIC))
            if header.kind != _BAG_HEADER or header.fields.get('encryptor'):
                raise ValueError('its header is damaged, or it is encrypted')
            size = file.seek(0, 2)
            index = int.from_bytes(header.fields['index_pos'], 'little')
            self.is_ended = header.stop <= index < size and self._read_index(file, index, size)
            self._read_chunks(file, header.stop, index if self.is_ended else size)
            self._complete(file)
        if not self._connections:
            raise ValueError('it has no messages that can be read')

    @property
    def topics(self) -> dict[str, str]:
        """Types of the topics by their names."""
        return {connection.topic: connection.type for connection in self._connections.values()}

    @property
    def counts(self) -> Counter[str]:
        """Number of messages by topic, as far as it is known."""
        counts: Counter[str] = Counter(dict.fromkeys(self.topics, 0))
        for chunk in self._chunks.values():
            counts.update(self._by_topic(chunk.counts))
        return counts

    def messages(self, topic: str, damage: Damage) -> Iterator[bytes]:
        """Iterate over the messages of a topic, in the order of their times.

        Args:
            topic: Its name.
            damage: Where damaged places are counted.
        """
        numbers = {n for n, connection in self._connections.items() if connection.topic == topic}
        waiting: list[tuple[int, int, bytes]] = []
        order = 0
        with self.path.open('rb') as file:
            for chunk in sorted(self._chunks.values(), key=lambda chunk: chunk.start_ns):
                while waiting and waiting[0][0] <= chunk.start_ns:
                    yield heappop(waiting)[2]
                for time_ns, data in self._read_chunk(file, chunk, numbers, damage):
                    heappush(waiting, (time_ns, order, data))
                    order += 1
        while waiting:
            yield heappop(waiting)[2]

    def _by_topic(self, counts: Mapping[int, int]) -> Counter[str]:
        topics: Counter[str] = Counter()
        for number, count in counts.items():
            known = self._connections.get(number)
            topics[known.topic if known else ''] += count
        return topics

    def _read_index(self, file: BinaryIO, place: int, size: int) -> bool:
        """Read the connections and what the chunks hold; return whether that is whole."""
        try:
            while place < size:
                record = _read_record(file, place)
                if record.kind == _CONNECTION:
                    self._set_connection(record, _read_data(file, record))
                elif record.kind == _CHUNK_INFO:
                    data = _read_data(file, record)
                    counts = Counter(dict(struct.iter_unpack('<II', data)))
                    chunk = int.from_bytes(record.fields['chunk_pos'], 'little')
                    self._infos[chunk] = _to_ns(record.fields['start_time']), counts
                place = record.stop
        except _UNREADABLE as error:
            self._add_damage(place, f'its index is damaged ({error})', {})
            return False
        return True

    def _read_chunks(self, file: BinaryIO, place: int, end: int) -> None:
        """Find the chunks between two places, and what the records behind them say of them."""
        while place < end:
            place, reason = self._read_records(file, place, end)
            if reason:
                following = min((chunk for chunk in self._infos if chunk > place), default=end)
                lost: Counter[str] = Counter()
                for chunk, (_, counts) in self._infos.items():
                    if place <= chunk < following and chunk not in self._chunks:
                        lost.update(self._by_topic(counts))
                self._add_damage(place, reason, lost if self.is_ended else None)
                place = following

    def _read_records(self, file: BinaryIO, place: int, end: int) -> tuple[int, str]:
        """Read records up to the first that is damaged; return where it is and what is wrong."""
        newest: _Chunk | None = None
        try:
            while place < end:
                record = _read_record(file, place)
                if record.kind == _CHUNK:
                    newest = self._add_chunk(place, record)
                elif record.kind == _INDEX and newest is not None:
                    self._count_chunk(newest, record, _read_data(file, record))
                elif record.kind == _CONNECTION:
                    self._set_connection(record, _read_data(file, record))
                elif record.kind not in (_INDEX, _CHUNK_INFO):
                    raise ValueError(f'it is of the unknown kind {record.kind}')
                place = record.stop
        except _UNREADABLE as error:
            return place, f'a record is damaged ({error})'
        return place, ''

    def _add_chunk(self, place: int, record: _Record) -> _Chunk:
        compression = record.fields['compression'].decode()
        if compression != 'none' and compression not in _DECOMPRESSORS:
            raise ValueError(f'compression {compression} is not known')
        chunk = _Chunk(place, record.start, record.stop, compression)
        if place in self._infos:
            chunk.start_ns, chunk.counts = self._infos[place]
        self._chunks[place] = chunk
        return chunk

    def _count_chunk(self, chunk: _Chunk, record: _Record, data: bytes) -> None:
        """Count the messages of a connection, unless the bag's index has counted them."""
        if chunk.offset in self._infos:
            return
        times = [seconds * _NS + ns for seconds, ns, _ in struct.iter_unpack('<III', data)]
        chunk.start_ns = min(times) if not chunk.counts else min(chunk.start_ns, *times)
        chunk.counts[int.from_bytes(record.fields['conn'], 'little')] += len(times)

    def _complete(self, file: BinaryIO) -> None:
        """Look into chunks for what the records outside of them do not say."""
        for chunk in self._chunks.values():
            is_counted = bool(chunk.counts)
            if is_counted and chunk.counts.keys() <= self._connections.keys():
                continue
            times = []
            reasons: list[str] = []
            for record, data in _iterate_chunk(file, chunk, reasons.append):
                if record.kind == _CONNECTION:
                    self._set_connection(record, data)
                elif record.kind == _MESSAGE and not is_counted:
                    chunk.counts[int.from_bytes(record.fields['conn'], 'little')] += 1
                    times.append(_to_ns(record.fields['time']))
            if times:
                chunk.start_ns = min(times)
            if reasons and not is_counted:
                self._add_damage(chunk.offset, reasons[0], None)

    def _read_chunk(
        self, file: BinaryIO, chunk: _Chunk, numbers: Collection[int], damage: Damage
    ) -> Iterator[tuple[int, bytes]]:
        """Iterate over times in ns and data of the messages of some connections in a chunk."""
        left = chunk.counts.copy()
        reasons: list[str] = []
        for record, data in _iterate_chunk(file, chunk, reasons.append):
            if record.kind == _MESSAGE:
                number = int.from_bytes(record.fields['conn'], 'little')
                left[number] -= 1
                if number in numbers:
                    yield _to_ns(record.fields['time']), data
        left = +left
        if left or reasons:
            reason = reasons[0] if reasons else 'it has fewer messages than its index says'
            # Of a bag that is cut off, only what could be read of the last chunk was counted.
            is_known = bool(left) or chunk.offset in self._infos
            counts = self._by_topic(left) if is_known else None
            damage.add(DamagedPlace(self.path.name, chunk.offset, reason, counts))

    def _set_connection(self, record: _Record, data: bytes) -> None:
        fields = _to_fields(data)
        package, _, name = fields['type'].decode().rpartition('/')
        kind = f'{package.removesuffix("/msg")}/msg/{name}'
        number = int.from_bytes(record.fields['conn'], 'little')
        self._connections.setdefault(number, Connection(record.fields['topic'].decode(), kind))

    def _add_damage(self, place: int, reason: str, counts: Mapping[str, int] | None) -> None:
        self.damage.append(DamagedPlace(self.path.name, place, reason, counts))


def _iterate_chunk(
    file: BinaryIO, chunk: _Chunk, complain: Callable[[str], object]
) -> Iterator[tuple[_Record, bytes]]:
    """Iterate over the records in a chunk and their data, and say why if that is not all."""
    file.seek(chunk.start)
    data = file.read(chunk.stop - chunk.start)
    is_cut = len(data) < chunk.stop - chunk.start
    try:
        if chunk.compression != 'none':
            decompressor = _DECOMPRESSORS[chunk.compression]()
            data = decompressor.decompress(data)
            is_cut |= not decompressor.eof
    except _UNREADABLE as error:
        complain(f'a chunk cannot be decompressed ({error})')
        return
    place = 0
    while place < len(data):
        try:
            (size,) = _LENGTH.unpack_from(data, place)
            record = _to_record(data[place + 4 : place + 4 + size], data, place + 4 + size)
            content = data[record.start : record.stop]
            if len(content) < record.stop - record.start:
                raise EOFError('its last message is cut off')
            if record.kind == _MESSAGE:
                _to_ns(record.fields['time'])
                record.fields['conn']
        except _UNREADABLE as error:
            complain('a chunk is cut off' if is_cut else f'a chunk is damaged ({error})')
            return
        yield record, content
        place = record.stop
    if is_cut:
        complain('a chunk is cut off')


def _read_record(file: BinaryIO, place: int) -> _Record:
    """Return the record at a place of a file; its data may be cut off."""
    file.seek(place)
    (size,) = _LENGTH.unpack(file.read(4))
    if size > _MAX_HEADER:
        raise ValueError('a record has no header')
    header = file.read(size)
    record = _to_record(header, file.read(4), 0)
    start = place + 4 + size + 4
    return record._replace(start=start, stop=start + record.stop - record.start)


def _to_record(header: bytes, data: bytes, place: int) -> _Record:
    """Return the record of a header, behind which, at a place of the data, their size stands."""
    fields = _to_fields(header)
    (size,) = _LENGTH.unpack_from(data, place)
    return _Record(fields['op'][0], fields, place + 4, place + 4 + size)


def _to_fields(data: bytes) -> dict[str, bytes]:
    fields = {}
    place = 0
    while place < len(data):
        (size,) = _LENGTH.unpack_from(data, place)
        name, separator, value = data[place + 4 : place + 4 + size].partition(b'=')
        if not separator or place + 4 + size > len(data):
            raise ValueError('a header is damaged')
        fields[name.decode()] = value
        place += 4 + size
    return fields


def _read_data(file: BinaryIO, record: _Record) -> bytes:
    file.seek(record.start)
    data = file.read(record.stop - record.start)
    if len(data) < record.stop - record.start:
        raise EOFError('it is cut off')
    return data


def _to_ns(time: bytes) -> int:
    seconds, ns = _TIME.unpack(time)
    return int(seconds * _NS + ns)
