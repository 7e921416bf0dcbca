"""A bag while it is written: a folder of files and their metadata.yaml."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rosbags.interfaces import Qos

from microexpr_ros.bags import metadata
from microexpr_ros.bags.contents import ForeignMessage
from microexpr_ros.bags.definitions import define
from microexpr_ros.bags.mcap_file import McapFile
from microexpr_ros.bags.metadata import Span, WrittenTopic
from microexpr_ros.bags.sqlite_file import SqliteFile
from microexpr_ros.errors import MicroexprError

STORAGES: Final = ('mcap', 'sqlite3')
COMPRESSIONS: Final = ('zstd', 'none')

_METADATA_PAUSE: Final = 20
"""Least pause between two writes of metadata.yaml, as a multiple of the time that writing took,
which grows with the number of files. A new file is always entered at once."""


class BagFolder:
    """Writes the files of a bag; a new file begins when the last one is full.

    The bag can be read at any time, up to the last `flush`. Use it from one thread at a time.

    Attributes:
        path: The folder.
    """

    def __init__(
        self,
        path: Path,
        storage: str = 'mcap',
        compression: str | None = None,
        max_bytes: int = 0,
        max_ns: int = 0,
    ) -> None:
        """Create the folder.

        Args:
            path: The folder, which must not be there.
            storage: mcap or sqlite3.
            compression: zstd or none; None for zstd where the storage has it.
            max_bytes: Size at which a new file begins; 0 for never.
            max_ns: Time after which a new file begins; 0 for never.

        Raises:
            MicroexprError: An argument is wrong, or the folder is already there.
            OSError: It cannot be created.
        """
        check_storage(storage, compression)
        if path.exists():
            raise MicroexprError(f'{path} is already there: remove it or choose another name')
        self.path = path
        self._storage = storage
        self._compress = compression != 'none'
        self._max_bytes = max_bytes
        self._max_ns = max_ns
        self._topics: dict[str, WrittenTopic] = {}
        self._counts: Counter[str] = Counter()
        self._spans: dict[str, Span] = {}
        self._closed_bytes = 0
        path.mkdir(parents=True)
        self._begin_file()

    @property
    def size(self) -> int:
        """Size of all files in bytes."""
        return self._closed_bytes + self._file.size

    @property
    def files(self) -> int:
        """Number of files."""
        return len(self._spans)

    @property
    def kept(self) -> Counter[str]:
        """Number of flushed messages by topic."""
        return self._counts - self._file.pending

    def write(
        self,
        topic: str,
        type_name: str,
        cdr: bytes,
        time_ns: int,
        sent_ns: int | None = None,
        offered_qos: Sequence[Qos] = (),
    ) -> None:
        """Write a serialized message.

        Args:
            topic: Its topic.
            type_name: Its ROS type.
            cdr: Serialized message.
            time_ns: Time at which it was received.
            sent_ns: Time at which it was published; None for the same.
            offered_qos: What the publishers of the topic offer, at its first message.

        Raises:
            MicroexprError: The type is not installed.
            OSError: The message cannot be written.
            sqlite3.Error: Likewise, in a sqlite3 bag.
        """
        if self._is_full(time_ns):
            self._end_file()
            ended_bytes = self._file.size
            self._begin_file()
            self._closed_bytes += ended_bytes
        if topic not in self._topics:
            definition = define(type_name)
            self._topics[topic] = WrittenTopic(topic, type_name, definition, tuple(offered_qos))
        if topic not in self._in_file:
            self._file.add_topic(self._topics[topic])
            self._in_file.add(topic)
        # Counted before it is written, as in the file: a message that fails stays pending there.
        self._counts[topic] += 1
        self._file.write(topic, time_ns, time_ns if sent_ns is None else sent_ns, cdr)
        self._span.add(time_ns)

    def write_foreign(self, message: ForeignMessage) -> None:
        """Write a message that is not of ROS 2 into an mcap bag.

        metadata.yaml does not list it: many readers refuse a bag that lists another encoding.

        Raises:
            MicroexprError: The bag is not of mcap.
            OSError: The message cannot be written.
        """
        if not isinstance(self._file, McapFile):
            raise MicroexprError(
                f'{self._storage} bags hold only messages of ROS 2, not {message.topic.encoding} '
                f'as on {message.topic.name}: choose mcap'
            )
        self._file.write_foreign(message)

    def flush(self) -> None:
        """Make all messages readable, even if the process is killed afterwards."""
        self._file.flush()
        if time.monotonic() >= self._metadata_due_s:
            self._write_metadata()

    def close(self) -> None:
        """End the bag."""
        self._end_file()
        self._write_metadata()

    def abandon(self) -> None:
        """Close the files after an error; leave metadata.yaml as it is."""
        self._file.abandon()

    def _is_full(self, time_ns: int) -> bool:
        if not self._span.messages:
            return False
        too_large = self._max_bytes and self._file.size >= self._max_bytes
        too_long = self._max_ns and time_ns - self._span.start_ns >= self._max_ns
        return bool(too_large or too_long)

    def _begin_file(self) -> None:
        suffix = McapFile.suffix if self._storage == 'mcap' else SqliteFile.suffix
        name = f'{self.path.name}_{self.files}{suffix}'
        self._span = self._spans[name] = Span()
        self._in_file: set[str] = set()
        # Entered before the file exists, so that a reader can see that a file is missing.
        self._write_metadata()
        self._file: McapFile | SqliteFile = (
            McapFile(self.path / name, self._compress)
            if self._storage == 'mcap'
            else SqliteFile(self.path / name)
        )

    def _end_file(self) -> None:
        self._file.close(metadata.serialize(self._information()))

    def _write_metadata(self) -> None:
        began_s = time.monotonic()
        metadata.write(self.path, self._information())
        ended_s = time.monotonic()
        self._metadata_due_s = ended_s + _METADATA_PAUSE * (ended_s - began_s)

    def _information(self) -> dict[str, object]:
        topics = [(topic, self._counts[name]) for name, topic in self._topics.items()]
        return metadata.build_information(self._storage, self._spans, topics)


def check_storage(storage: str, compression: str | None) -> None:
    """Check storage and compression of a bag.

    Raises:
        MicroexprError: One of them does not exist, or they do not go together.
    """
    if storage not in STORAGES:
        raise MicroexprError(
            f'unknown bag storage {storage!r}: choose one of {", ".join(STORAGES)}'
        )
    if compression not in (None, *COMPRESSIONS):
        raise MicroexprError(
            f'unknown compression {compression!r}: choose one of {", ".join(COMPRESSIONS)}'
        )
    if storage == 'sqlite3' and compression == 'zstd':
        raise MicroexprError('sqlite3 bags have no compression: choose mcap, or none')
