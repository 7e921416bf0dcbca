"""Files of bags in the mcap format, of which a kill loses only what was not flushed."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Channel,
    Chunk,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    Message,
    MessageIndex,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)
from mcap.writer import MCAP0_MAGIC
from zstandard import ZstdCompressor

from microexpr_ros.bags.contents import CDR, ForeignMessage, ForeignTopic
from microexpr_ros.bags.metadata import Span, WrittenTopic

MAGIC: Final = MCAP0_MAGIC
CHUNK_BYTES: Final = 1 << 20

_LEVEL: Final = 1
"""Level of zstd. Encoded events are dense: levels below 1 are no faster, and those above 2 take
much more time for little space."""


@dataclass(slots=True)
class Summary:
    """The summary at the end of a file, by which readers seek."""

    schemas: list[Schema] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    chunks: list[ChunkIndex] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)
    span: Span = field(default_factory=Span)

    def add_chunk(self, entry: ChunkIndex, counts: Mapping[int, int]) -> None:
        """Add a chunk with the number of messages of each of its channels."""
        self.chunks.append(entry)
        self.counts.update(counts)
        self.span.messages += sum(counts.values())
        self.span.start_ns = min(self.span.start_ns, entry.message_start_time)
        self.span.end_ns = max(self.span.end_ns, entry.message_end_time)

    def end(self, position: int, metadata: Metadata | None = None) -> bytes:
        """Return what ends a file.

        Args:
            position: Size of the file so far.
            metadata: Written at the end of the data.
        """
        about = b'' if metadata is None else serialize(metadata)
        indexes = [] if metadata is None else [MetadataIndex(position, len(about), metadata.name)]
        data = about + serialize(DataEnd(0))
        start = place = position + len(data)
        summary = b''
        offsets = []
        statistics = self._statistics(len(indexes))
        for group in (self.schemas, self.channels, [statistics], self.chunks, indexes):
            if group:
                part = serialize(*group)
                offsets.append(SummaryOffset(Opcode(part[0]), place, len(part)))
                place += len(part)
                summary += part
        summary += serialize(*offsets)
        # The checksum covers the footer up to itself.
        footer = serialize(Footer(start, place, 0))[:-4]
        checksum = zlib.crc32(footer, zlib.crc32(summary))
        return data + summary + footer + checksum.to_bytes(4, 'little') + MAGIC

    def _statistics(self, metadata: int) -> Statistics:
        return Statistics(
            attachment_count=0,
            channel_count=len(self.channels),
            channel_message_counts=dict(self.counts),
            chunk_count=len(self.chunks),
            message_count=self.span.messages,
            message_end_time=self.span.end_ns,
            message_start_time=self.span.start_ns if self.span.messages else 0,
            metadata_count=metadata,
            schema_count=len(self.schemas),
        )


class McapFile:
    """An mcap file while it is written; every chunk in it is complete.

    Attributes:
        size: Size of the file, without messages that have not been flushed.
        pending: Messages that have not been flushed, by topic.
    """

    suffix: Final = '.mcap'

    def __init__(self, path: Path, compress: bool) -> None:
        """Create the file; chunks are compressed with zstd, or not at all."""
        self._file = path.open('xb', buffering=0)
        self._compressor = ZstdCompressor(level=_LEVEL) if compress else None
        self._summary = Summary()
        self._channels: dict[str, int] = {}
        self._foreign: dict[ForeignTopic, int] = {}
        self._schemas: dict[str, int] = {}
        self.size = 0
        self.pending: Counter[str] = Counter()
        self._begin_chunk()
        self._append(MAGIC + serialize(Header(profile='ros2', library='microexpr_ros')))

    def add_topic(self, topic: WrittenTopic) -> None:
        """Add a topic, whose messages may follow."""
        # Outside the chunks, so that an unfinished file is scanned without decompressing.
        if topic.type not in self._schemas:
            definition = topic.definition.text.encode()
            self._schemas[topic.type] = self._add_schema(topic.type, 'ros2msg', definition)
        self._channels[topic.name] = self._add_channel(
            topic.name,
            CDR,
            self._schemas[topic.type],
            {
                'offered_qos_profiles': topic.qos_yaml,
                'topic_type_hash': topic.definition.digest,
            },
        )

    def write(self, topic: str, time_ns: int, sent_ns: int, cdr: bytes) -> None:
        """Write a message of a topic that was added."""
        self.pending[topic] += 1
        self._write(self._channels[topic], time_ns, sent_ns, cdr)

    def write_foreign(self, message: ForeignMessage) -> None:
        """Write a message that is not of ROS 2."""
        topic = message.topic
        if topic not in self._foreign:
            schema = 0
            if topic.type:
                schema = self._add_schema(topic.type, topic.schema_encoding, topic.schema)
            self._foreign[topic] = self._add_channel(topic.name, topic.encoding, schema, {})
        self._write(self._foreign[topic], message.time_ns, message.time_ns, message.data)

    def _add_schema(self, name: str, encoding: str, definition: bytes) -> int:
        number = len(self._summary.schemas) + 1
        schema = Schema(id=number, name=name, encoding=encoding, data=definition)
        self._append(serialize(schema))
        self._summary.schemas.append(schema)
        return number

    def _add_channel(
        self, topic: str, encoding: str, schema: int, metadata: dict[str, str]
    ) -> int:
        number = len(self._summary.channels) + 1
        channel = Channel(
            id=number,
            topic=topic,
            message_encoding=encoding,
            schema_id=schema,
            metadata=metadata,
        )
        self._append(serialize(channel))
        self._summary.channels.append(channel)
        return number

    def _write(self, channel: int, time_ns: int, sent_ns: int, cdr: bytes) -> None:
        index = self._indexes.setdefault(channel, MessageIndex(channel, []))
        index.records.append((time_ns, self._chunk.count))
        Message(channel, time_ns, cdr, sent_ns, 0).write(self._chunk)
        self._span.add(time_ns)
        if self._chunk.count >= CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Bring every message into the file."""
        if not self._indexes:
            return
        span, indexes = self._span, list(self._indexes.values())
        content: bytes = self._chunk.end()  # type: ignore[no-untyped-call]
        packed = content if self._compressor is None else self._compressor.compress(content)
        chunk = Chunk(
            compression='' if self._compressor is None else 'zstd',
            data=packed,
            message_start_time=span.start_ns,
            message_end_time=span.end_ns,
            uncompressed_crc=zlib.crc32(content),
            uncompressed_size=len(content),
        )
        data = serialize(chunk)
        entry = ChunkIndex(
            chunk_length=len(data),
            chunk_start_offset=self.size,
            compression=chunk.compression,
            compressed_size=len(packed),
            message_end_time=span.end_ns,
            message_index_length=0,
            message_index_offsets={},
            message_start_time=span.start_ns,
            uncompressed_size=len(content),
        )
        self._append(data + place_indexes(entry, self.size + len(data), indexes))
        self._summary.add_chunk(entry, {index.channel_id: len(index.records) for index in indexes})
        self._begin_chunk()
        self.pending.clear()

    def close(self, metadata: str) -> None:
        """End the file with the bag's metadata and its own summary."""
        self.flush()
        about = Metadata(name='rosbag2', metadata={'serialized_metadata': metadata})
        self._append(self._summary.end(self.size, about))
        self._file.close()

    def abandon(self) -> None:
        """Close the file after an error; it gets its summary if the disk has room."""
        if self._file.closed:
            return
        with suppress(OSError):
            self._append(self._summary.end(self.size))
        self._file.close()

    def _begin_chunk(self) -> None:
        self._chunk = RecordBuilder()
        self._span = Span()
        self._indexes: dict[int, MessageIndex] = {}

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            # Nothing can be read behind half a record.
            self._file.truncate(self.size)
            self._file.seek(self.size)
            raise
        self.size += len(data)


def place_indexes(entry: ChunkIndex, position: int, indexes: Iterable[MessageIndex]) -> bytes:
    """Enter the places of message indexes in the index of their chunk; return them serialized.

    Args:
        entry: The index of the chunk.
        position: Where in the file the first of them begins.
        indexes: Where in the chunk the messages of each channel are.
    """
    data = b''
    for index in indexes:
        entry.message_index_offsets[index.channel_id] = position + len(data)
        data += serialize(index)
    entry.message_index_length = len(data)
    return data


def serialize(*records: McapRecord) -> bytes:
    """Return records as they are in a file."""
    builder = RecordBuilder()
    for record in records:
        record.write(builder)
    data: bytes = builder.end()  # type: ignore[no-untyped-call]
    return data
