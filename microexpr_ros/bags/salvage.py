"""Reading mcap files whose recorder was killed before it could end them."""

from __future__ import annotations

import io
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, ChunkIndex, Message, MessageIndex, Schema
from mcap.stream_reader import breakup_chunk

from microexpr_ros.bags.mcap_file import MAGIC, Summary, place_indexes

_RECORD: Final = struct.Struct('<BQ')
_CHUNK: Final = struct.Struct('<QQQII')
_MESSAGE: Final = struct.Struct('<HIQQ')
_INDEX: Final = struct.Struct('<HI')
_ENTRY_BYTES: Final = 16


class SalvagedFile:
    """A file as if its recorder had ended it after the last intact record.

    It has the methods of a path that rosbags calls. The file itself is not changed.
    """

    def __init__(self, path: Path) -> None:
        """Find the complete records.

        Raises:
            ValueError: It is no mcap file, or damaged elsewhere than at its end.
        """
        self.suffix = path.suffix
        self.path = path
        with path.open('rb') as file:
            self._size, self._end = _scan(file, path.stat().st_size)

    def __str__(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        """Return True: the file has been scanned."""
        return True

    def is_dir(self) -> bool:
        """Return False: it is a file."""
        return False

    def open(self, mode: str = 'rb') -> BinaryIO:
        """Open it for reading."""
        del mode
        return io.BufferedReader(_CompletedReader(self.path, self._size, self._end), 1 << 16)


class _CompletedReader(io.RawIOBase):
    """Reads the first bytes of a file, then the end that it lacks."""

    def __init__(self, path: Path, size: int, end: bytes) -> None:
        self._file = path.open('rb', buffering=0)
        self._size = size
        self._end = end
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = (0, self._place, self._size + len(self._end))[whence]
        self._place = start + offset
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._place < self._size:
            self._file.seek(self._place)
            data = self._file.read(min(len(buffer), self._size - self._place)) or b''
        else:
            begin = self._place - self._size
            data = self._end[begin : begin + len(buffer)]
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


@dataclass
class _FoundChunk:
    """A chunk and the indexes that follow it."""

    entry: ChunkIndex
    counts: Counter[int] = field(default_factory=Counter)


def _scan(file: BinaryIO, size: int) -> tuple[int, bytes]:
    """Return the size of a file's complete records, and the bytes that end it."""
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError('no mcap file')
    summary = Summary()
    chunks: list[_FoundChunk] = []
    place = len(MAGIC)
    while len(head := file.read(_RECORD.size)) == _RECORD.size:
        opcode, length = _RECORD.unpack(head)
        after = place + _RECORD.size + length
        # A file that a power cut ended may have zeros where its last records should be.
        if opcode in (0, Opcode.DATA_END, Opcode.FOOTER) or after > size:
            break
        if opcode == Opcode.SCHEMA:
            _add(summary, Schema.read(ReadDataStream(file)))
        elif opcode == Opcode.CHANNEL:
            _add(summary, Channel.read(ReadDataStream(file)))
        elif opcode == Opcode.MESSAGE:
            channel, _, time_ns, _ = _MESSAGE.unpack(file.read(_MESSAGE.size))
            summary.counts[channel] += 1
            summary.span.add(time_ns)
        elif opcode == Opcode.CHUNK:
            chunks.append(_FoundChunk(_read_entry(file, place, after)))
        elif opcode == Opcode.MESSAGE_INDEX and chunks:
            _add_index(chunks[-1], file, place, after)
        place = after
        file.seek(place)
    # After a power cut, the last chunks may have their length but not their contents.
    while chunks and not _is_intact(file, chunks[-1].entry):
        place = chunks.pop().entry.chunk_start_offset
    return place, _end(file, place, summary, chunks)


def _end(file: BinaryIO, place: int, summary: Summary, chunks: list[_FoundChunk]) -> bytes:
    """Return the missing message indexes and the summary."""
    missing = b''
    for found in chunks:
        known = {channel.id for channel in summary.channels}
        # Some recorders write no indexes, and the last chunk may lack some of its own.
        indexed = found.counts and found is not chunks[-1]
        if not indexed or not known.issuperset(found.counts):
            records = breakup_chunk(_read_chunk(file, found.entry), validate_crc=True)
            for record in records:
                if isinstance(record, Schema | Channel):
                    _add(summary, record)
            if not indexed:
                indexes = _index(record for record in records if isinstance(record, Message))
                found.entry.message_index_offsets.clear()
                found.counts = Counter({one.channel_id: len(one.records) for one in indexes})
                missing += place_indexes(found.entry, place + len(missing), indexes)
        summary.add_chunk(found.entry, found.counts)
    return missing + summary.end(place + len(missing))


def _index(messages: Iterable[Message]) -> list[MessageIndex]:
    """Return the times of the messages of each channel, without their places.

    rosbags does not use these: it reads a chunk from its beginning.
    """
    indexes: dict[int, MessageIndex] = {}
    for message in messages:
        index = indexes.setdefault(message.channel_id, MessageIndex(message.channel_id, []))
        index.records.append((message.log_time, 0))
    return list(indexes.values())


def _add(summary: Summary, record: Schema | Channel) -> None:
    """Add a schema or a channel if it is new; files may repeat them."""
    records: list[Schema] | list[Channel] = (
        summary.schemas if isinstance(record, Schema) else summary.channels
    )
    if all(known.id != record.id for known in records):
        records.append(record)  # type: ignore[arg-type]


def _read_entry(file: BinaryIO, place: int, after: int) -> ChunkIndex:
    start_ns, end_ns, size, _, letters = _CHUNK.unpack(file.read(_CHUNK.size))
    compression = file.read(letters).decode()
    (compressed,) = struct.unpack('<Q', file.read(8))
    return ChunkIndex(
        chunk_length=after - place,
        chunk_start_offset=place,
        compression=compression,
        compressed_size=compressed,
        message_end_time=end_ns,
        message_index_length=0,
        message_index_offsets={},
        message_start_time=start_ns,
        uncompressed_size=size,
    )


def _add_index(found: _FoundChunk, file: BinaryIO, place: int, after: int) -> None:
    channel, size = _INDEX.unpack(file.read(_INDEX.size))
    if size:
        found.entry.message_index_offsets[channel] = place
        found.counts[channel] += size // _ENTRY_BYTES
    found.entry.message_index_length += after - place


def _is_intact(file: BinaryIO, entry: ChunkIndex) -> bool:
    try:
        breakup_chunk(_read_chunk(file, entry), validate_crc=True)
    except Exception:
        # Damage can show in the lengths, in the decompression or in the checksum.
        return False
    return True


def _read_chunk(file: BinaryIO, entry: ChunkIndex) -> Chunk:
    file.seek(entry.chunk_start_offset + _RECORD.size)
    chunk: Chunk = Chunk.read(ReadDataStream(file))
    return chunk
