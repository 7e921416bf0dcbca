"""Reading mcap files: whole ones by their summary, cut and damaged ones record by record."""

from __future__ import annotations

import re
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from lz4.frame import decompress as decompress_lz4  # type: ignore[import-untyped]
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, ChunkIndex, Schema, Statistics
from zstandard import ZstdDecompressor

from microexpr_ros.bags.damage import Damage, DamagedPlace
from microexpr_ros.bags.mcap_file import MAGIC
from microexpr_ros.bags.stored_file import StoredFile, StoredTopic, read_qos

_RECORD: Final = struct.Struct('<BQ')
_CHUNK: Final = struct.Struct('<QQQII')
_MESSAGE: Final = struct.Struct('<HIQQ')
_INDEX: Final = struct.Struct('<HI')
_FOOTER: Final = struct.Struct('<QQI')
_SIZE: Final = struct.Struct('<Q')
_ENTRY_BYTES: Final = 16

_RUN_BYTES: Final = 1 << 20
"""Bytes of messages outside chunks that are read at once."""

_CANDIDATE: Final = re.compile(rb'[\x03-\x0f](?=.{4}\0{4})', re.DOTALL)
"""What may be the beginning of a record of less than 4 GiB."""

_CHAIN: Final = 3
"""Records that must follow each other where reading goes on behind damage."""

_CUT_OFF: Final = 'the file is cut off'


@dataclass(slots=True)
class _Block:
    """Messages that lie together: a chunk, or a run of messages outside chunks.

    Attributes:
        offset: where in the file its first record begins.
        length: bytes of its records.
        is_chunk: whether it is a chunk.
        start_ns: time of its first message.
        end_ns: time of its last message.
        counts: number of messages by channel; None until it is known.
    """

    offset: int
    length: int
    is_chunk: bool
    start_ns: int
    end_ns: int
    counts: Counter[int] | None


class McapReading(StoredFile):
    """An mcap file: the blocks of messages in it."""

    def __init__(self, file: Path, name: str) -> None:
        """Read the summary, or scan the file if the summary is missing, damaged or incomplete.

        Raises:
            ValueError: It holds nothing of an mcap file.
        """
        super().__init__(name)
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}
        self._blocks: list[_Block] = []
        size = file.stat().st_size
        with file.open('rb') as stream:
            try:
                self._read_summary(stream, size)
            except (LookupError, ValueError, OverflowError, struct.error, EOFError):
                for known in (self._schemas, self._channels, self._blocks):
                    known.clear()
                self._scan(stream, size)
        self._conclude()

    def read(
        self, file: Path, topics: Collection[int], start_ns: int | None, damage: Damage
    ) -> Iterator[tuple[int, int, bytes]]:
        """Iterate over messages; see `StoredFile.read`."""
        wanted = set(topics)
        first_ns = 0 if start_ns is None else start_ns
        # Messages that were read and may not be next: a later block may begin before them.
        waiting: list[tuple[int, int, int, int, bytes]] = []
        with file.open('rb') as stream:
            for number, block in enumerate(self._blocks):
                if block.end_ns < first_ns or wanted.isdisjoint(block.counts or ()):
                    continue
                while waiting and waiting[0][0] < block.start_ns:
                    time_ns, _, _, channel, data = heappop(waiting)
                    yield channel, time_ns, data
                try:
                    records = _load(stream, block)
                except Exception as error:
                    # Damage can show in the lengths, the decompression or the checksum.
                    damage.add(self._place(block, error))
                    continue
                for place, (channel, time_ns, content) in enumerate(_messages(records)):
                    if channel in wanted and time_ns >= first_ns:
                        heappush(waiting, (time_ns, number, place, channel, bytes(content)))
        while waiting:
            time_ns, _, _, channel, data = heappop(waiting)
            yield channel, time_ns, data

    def _place(self, block: _Block, error: Exception) -> DamagedPlace:
        what = 'a chunk is damaged' if block.is_chunk else 'messages are damaged'
        reason = ' '.join(str(error).split()) or type(error).__name__
        counts: Counter[str] | None = None
        if block.counts is not None:
            counts = Counter()
            for number, count in block.counts.items():
                topic = self.topics.get(number)
                counts['' if topic is None else topic.name] += count
        return DamagedPlace(self.name, block.offset, f'{what} ({reason})', counts)

    def _read_summary(self, file: BinaryIO, size: int) -> None:
        """Take blocks and channels from the summary at the end.

        Raises:
            ValueError, LookupError, EOFError, struct.error: It is missing, damaged or incomplete.
        """
        footer_bytes = _RECORD.size + _FOOTER.size
        at = size - footer_bytes - len(MAGIC)
        if at < len(MAGIC):
            raise ValueError('no footer')
        file.seek(at)
        end = file.read()
        start, _, checksum = _FOOTER.unpack_from(end, _RECORD.size)
        is_footer = _RECORD.unpack_from(end) == (Opcode.FOOTER, _FOOTER.size)
        if not is_footer or end[footer_bytes:] != MAGIC or not len(MAGIC) < start < at:
            raise ValueError('no summary')
        file.seek(start)
        summary = file.read(at - start)
        covered = zlib.crc32(end[: footer_bytes - 4], zlib.crc32(summary))
        if checksum not in (0, covered):
            raise ValueError('the summary is damaged')
        statistics: Statistics | None = None
        for _, opcode, content in _records(memoryview(summary)):
            stream = ReadDataStream(BytesIO(content))
            if opcode == Opcode.SCHEMA:
                self._add_schema(Schema.read(stream))
            elif opcode == Opcode.CHANNEL:
                self._add_channel(Channel.read(stream))
            elif opcode == Opcode.CHUNK_INDEX:
                self._blocks.append(_to_block(ChunkIndex.read(stream)))
            elif opcode == Opcode.STATISTICS:
                statistics = Statistics.read(stream)
        found = sum((block.counts or Counter()).total() for block in self._blocks)
        if statistics is None or statistics.message_count != found:
            raise ValueError('the summary has not all messages')
        if not checksum and not all(_is_chunk(file, block) for block in self._blocks):
            raise ValueError('the summary is damaged')
        if not {number for block in self._blocks for number in block.counts or ()} <= set(
            self._channels
        ):
            raise ValueError('the summary has not all channels')

    def _scan(self, file: BinaryIO, size: int) -> None:
        """Find the blocks and channels record by record.

        Raises:
            ValueError: There is none.
        """
        file.seek(max(size - len(MAGIC), 0))
        has_end = file.read() == MAGIC
        file.seek(0)
        place = len(MAGIC) if file.read(len(MAGIC)) == MAGIC else 0
        self.is_ended = False
        found = False
        chunk: _Block | None = None
        while place < size:
            head = _read_head(file, place, size)
            if head is None:
                following = self._skip_damage(file, place, size)
                chunk, place = None, following
                continue
            opcode, length = head
            after = place + _RECORD.size + length
            if opcode in (Opcode.DATA_END, Opcode.FOOTER):
                # Behind it is the summary, which is missing or damaged.
                self.is_ended = has_end and opcode == Opcode.DATA_END
                break
            found = True
            try:
                chunk = self._add_record(file, opcode, place, after, chunk)
            except (LookupError, ValueError, struct.error, EOFError):
                self.damage.add(DamagedPlace(self.name, place, 'a record is damaged', {}))
            place = after
        if not found:
            raise ValueError('no mcap file')
        self._count_blocks(file)

    def _skip_damage(self, file: BinaryIO, place: int, size: int) -> int:
        """Count the damage at a place, and return where reading goes on behind it."""
        following = None if _is_cut_chunk(file, place, size) else _find_record(file, place, size)
        reason = _CUT_OFF if following is None else f'{following - place} bytes are damaged'
        self.damage.add(DamagedPlace(self.name, place, reason))
        return size if following is None else following

    def _add_record(
        self, file: BinaryIO, opcode: int, place: int, after: int, chunk: _Block | None
    ) -> _Block | None:
        """Take what a record holds; return the chunk to which following indexes belong."""
        file.seek(place + _RECORD.size)
        length = after - place - _RECORD.size
        if opcode == Opcode.CHUNK:
            start_ns, end_ns = _CHUNK.unpack(file.read(_CHUNK.size))[:2]
            self._blocks.append(_Block(place, after - place, True, start_ns, end_ns, Counter()))
            return self._blocks[-1]
        if opcode == Opcode.MESSAGE:
            channel, _, time_ns, _ = _MESSAGE.unpack(file.read(_MESSAGE.size))
            self._add_message(place, after, channel, time_ns)
            return None
        if opcode == Opcode.MESSAGE_INDEX and chunk is not None and chunk.counts is not None:
            channel, size = _INDEX.unpack(file.read(_INDEX.size))
            if size % _ENTRY_BYTES or size + _INDEX.size != length:
                chunk.counts = None
            elif size:
                chunk.counts[channel] += size // _ENTRY_BYTES
            return chunk
        stream = ReadDataStream(BytesIO(file.read(length)))
        if opcode == Opcode.SCHEMA:
            self._add_schema(Schema.read(stream))
        elif opcode == Opcode.CHANNEL:
            self._add_channel(Channel.read(stream))
        return None

    def _add_message(self, place: int, after: int, channel: int, time_ns: int) -> None:
        run = self._blocks[-1] if self._blocks else None
        continues = (
            run is not None
            and not run.is_chunk
            and run.offset + run.length == place
            and run.length < _RUN_BYTES
        )
        if run is None or not continues:
            run = _Block(place, 0, False, time_ns, time_ns, Counter())
            self._blocks.append(run)
        assert run.counts is not None
        run.length = after - run.offset
        run.start_ns, run.end_ns = min(run.start_ns, time_ns), max(run.end_ns, time_ns)
        run.counts[channel] += 1

    def _count_blocks(self, file: BinaryIO) -> None:
        """Count what has no index, and find the channels that only chunks hold."""
        last = max((block.offset for block in self._blocks if block.is_chunk), default=-1)
        for block in list(self._blocks):
            known = block.counts and set(self._channels).issuperset(block.counts)
            # The last chunk may lack some of its indexes.
            if known and (not block.is_chunk or block.offset != last):
                continue
            try:
                records = _load(file, block)
                self._add_channels_of(records)
                block.counts = Counter(channel for channel, _, _ in _messages(records))
            except Exception as error:
                # Damage can show in the lengths, the decompression or the checksum.
                if not block.counts or block.offset == last:
                    block.counts = None
                self.damage.add(self._place(block, error))
                self._blocks.remove(block)

    def _add_channels_of(self, records: memoryview) -> None:
        for _, opcode, content in _records(records):
            if opcode == Opcode.SCHEMA:
                self._add_schema(Schema.read(ReadDataStream(BytesIO(content))))
            elif opcode == Opcode.CHANNEL:
                self._add_channel(Channel.read(ReadDataStream(BytesIO(content))))

    def _add_schema(self, schema: Schema) -> None:
        self._schemas.setdefault(schema.id, schema)

    def _add_channel(self, channel: Channel) -> None:
        self._channels.setdefault(channel.id, channel)

    def _conclude(self) -> None:
        """Sum up what the blocks hold."""
        self._blocks.sort(key=lambda block: block.start_ns)
        for number, channel in self._channels.items():
            self.topics[number] = self._to_topic(channel)
        for block in self._blocks:
            assert block.counts is not None
            unknown = Counter(
                {key: count for key, count in block.counts.items() if key not in self.topics}
            )
            if unknown:
                reason = 'the topic of messages is damaged'
                place = DamagedPlace(self.name, block.offset, reason, {'': unknown.total()})
                self.damage.add(place)
            self.counts.update(block.counts - unknown)
        filled = [block for block in self._blocks if block.counts]
        self.start_ns = min((block.start_ns for block in filled), default=0)
        self.end_ns = max((block.end_ns for block in filled), default=0)

    def _to_topic(self, channel: Channel) -> StoredTopic:
        schema = self._schemas.get(channel.schema_id)
        offers = read_qos(channel.metadata.get('offered_qos_profiles', ''))
        if schema is None:
            return StoredTopic(channel.topic, '', channel.message_encoding, offers)
        return StoredTopic(
            channel.topic,
            schema.name,
            channel.message_encoding,
            offers,
            schema.encoding,
            schema.data,
        )


def _to_block(index: ChunkIndex) -> _Block:
    """Return the block of a chunk; its counts are the lengths of its message indexes."""
    places = sorted((place, channel) for channel, place in index.message_index_offsets.items())
    end = index.chunk_start_offset + index.chunk_length + index.message_index_length
    ends = [*(place for place, _ in places[1:]), end]
    counts = Counter(
        {
            channel: (after - place - _RECORD.size - _INDEX.size) // _ENTRY_BYTES
            for (place, channel), after in zip(places, ends, strict=False)
        }
    )
    return _Block(
        index.chunk_start_offset,
        index.chunk_length,
        True,
        index.message_start_time,
        index.message_end_time,
        +counts,
    )


def _is_chunk(file: BinaryIO, block: _Block) -> bool:
    file.seek(block.offset)
    head = file.read(_RECORD.size)
    return head == _RECORD.pack(Opcode.CHUNK, block.length - _RECORD.size)


def _load(file: BinaryIO, block: _Block) -> memoryview:
    """Return the records of a block.

    Raises:
        Exception: Of any type; the block is damaged.
    """
    file.seek(block.offset)
    data = memoryview(file.read(block.length))
    if len(data) < block.length:
        raise ValueError(_CUT_OFF)
    if block.is_chunk:
        ((_, opcode, content),) = _records(data)
        if opcode != Opcode.CHUNK:
            raise ValueError('it is no chunk')
        data = _unpack(content)
    for _, opcode, content in _records(data):
        if opcode == Opcode.MESSAGE and len(content) < _MESSAGE.size:
            raise ValueError('a message is too short')
    return data


def _unpack(chunk: memoryview) -> memoryview:
    """Return the records of a chunk after checking them."""
    _, _, size, checksum, letters = _CHUNK.unpack_from(chunk)
    place = _CHUNK.size + letters
    compression = bytes(chunk[_CHUNK.size : place]).decode()
    (packed,) = _SIZE.unpack_from(chunk, place)
    place += _SIZE.size
    data = bytes(chunk[place : place + packed])
    if compression == 'zstd':
        # Piece by piece: damage must not allocate what it pretends to hold.
        data = ZstdDecompressor().decompressobj().decompress(data)
    elif compression == 'lz4':
        data = decompress_lz4(data)
    elif compression:
        raise ValueError(f'unknown compression {compression!r}')
    if len(data) != size:
        raise ValueError(f'{len(data)} bytes instead of {size}')
    if checksum and zlib.crc32(data) != checksum:
        raise ValueError('its checksum differs')
    return memoryview(data)


def _records(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield place, opcode and content of records that follow each other."""
    place = 0
    while place < len(data):
        opcode, length = _RECORD.unpack_from(data, place)
        begin = place + _RECORD.size
        if begin + length > len(data):
            raise ValueError('a record is cut off')
        yield place, opcode, data[begin : begin + length]
        place = begin + length


def _messages(records: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield channel, time and bytes of the messages in a block."""
    for _, opcode, content in _records(records):
        if opcode == Opcode.MESSAGE:
            channel, _, time_ns, _ = _MESSAGE.unpack_from(content)
            yield channel, time_ns, content[_MESSAGE.size :]


def _read_head(file: BinaryIO, place: int, size: int) -> tuple[int, int] | None:
    """Return opcode and length of a record; None if there can be none."""
    file.seek(place)
    head = file.read(_RECORD.size)
    if len(head) < _RECORD.size:
        return None
    opcode, length = _RECORD.unpack(head)
    # Zeros are what a power cut leaves; codes from 0x80 on are of applications.
    is_known = 0 < opcode <= Opcode.DATA_END or opcode >= 0x80
    return (opcode, length) if is_known and place + _RECORD.size + length <= size else None


def _is_cut_chunk(file: BinaryIO, place: int, size: int) -> bool:
    """Return whether an intact chunk begins at a place, which reaches behind the end of the file.

    Its messages cannot be checked, and nothing follows it.
    """
    file.seek(place)
    head = file.read(_RECORD.size + _CHUNK.size)
    if len(head) < _RECORD.size + _CHUNK.size:
        return True
    opcode, length = _RECORD.unpack_from(head)
    letters = _CHUNK.unpack_from(head, _RECORD.size)[-1]
    if opcode != Opcode.CHUNK or place + length <= size or letters > length:
        return False
    file.seek(letters, 1)
    packed = file.read(_SIZE.size)
    fields = _CHUNK.size + letters + _SIZE.size
    return len(packed) < _SIZE.size or fields + _SIZE.unpack(packed)[0] == length


def _find_record(file: BinaryIO, damaged: int, size: int) -> int | None:
    """Return where reading can go on behind a damaged place; None if nowhere."""
    for begin in range(damaged + 1, size, _RUN_BYTES):
        file.seek(begin)
        # Records that begin in this piece may have their heads in the next one.
        data = file.read(_RUN_BYTES + _RECORD.size)
        for found in _CANDIDATE.finditer(data):
            place = begin + found.start()
            if found.start() < _RUN_BYTES and _begins_chain(file, place, size):
                return place
    return None


def _begins_chain(file: BinaryIO, place: int, size: int) -> bool:
    """Return whether records follow each other from a place on, or up to the end of the file."""
    for _ in range(_CHAIN):
        head = _read_head(file, place, size)
        if head is None:
            return False
        place += _RECORD.size + head[1]
        if place == size or head[0] == Opcode.FOOTER:
            return True
    return True
