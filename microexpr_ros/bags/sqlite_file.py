"""Files of bags in the sqlite3 format."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from microexpr_ros.bags.metadata import WrittenTopic

_SCHEMA: Final = """
PRAGMA synchronous = OFF;
CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);
CREATE TABLE metadata(
    id INTEGER PRIMARY KEY, metadata_version INTEGER NOT NULL, metadata TEXT NOT NULL);
CREATE TABLE topics(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
    serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL,
    type_description_hash TEXT NOT NULL);
CREATE TABLE message_definitions(
    id INTEGER PRIMARY KEY, topic_type TEXT NOT NULL, encoding TEXT NOT NULL,
    encoded_message_definition TEXT NOT NULL, type_description_hash TEXT NOT NULL);
CREATE TABLE messages(
    id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    data BLOB NOT NULL);
CREATE INDEX timestamp_idx ON messages (timestamp ASC);
INSERT INTO schema VALUES (4, 'jazzy');
PRAGMA journal_mode = WAL;
"""
"""Version 4 of rosbag2's tables. Commits survive a kill of the process; only a power cut loses
what the system has not yet written. They go to a write-ahead log, which no reader blocks."""


class SqliteFile:
    """A sqlite3 file while it is written.

    Attributes:
        size: Size of the messages in it.
        pending: Messages that have not been flushed, by topic.
    """

    suffix: Final = '.db3'

    def __init__(self, path: Path) -> None:
        """Create the file."""
        if path.exists():
            raise FileExistsError(f'{path} is already there')
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.executescript(_SCHEMA)
        self._topics: dict[str, int] = {}
        self._types: set[str] = set()
        self.size = 0
        self.pending: Counter[str] = Counter()

    def add_topic(self, topic: WrittenTopic) -> None:
        """Add a topic, whose messages may follow."""
        digest = topic.definition.digest
        self._topics[topic.name] = len(self._topics) + 1
        self._database.execute(
            'INSERT INTO topics VALUES (?, ?, ?, ?, ?, ?)',
            (len(self._topics), topic.name, topic.type, 'cdr', topic.qos_yaml, digest),
        )
        if topic.type not in self._types:
            self._types.add(topic.type)
            self._database.execute(
                'INSERT INTO message_definitions VALUES (NULL, ?, ?, ?, ?)',
                (topic.type, 'ros2msg', topic.definition.text, digest),
            )

    def write(self, topic: str, time_ns: int, sent_ns: int, cdr: bytes) -> None:
        """Write a message of a topic that was added; this format has no room for `sent_ns`."""
        del sent_ns
        self.pending[topic] += 1
        self._database.execute(
            'INSERT INTO messages VALUES (NULL, ?, ?, ?)', (self._topics[topic], time_ns, cdr)
        )
        self.size += len(cdr)

    def flush(self) -> None:
        """Commit every message: into the file, or into its log while another process reads."""
        self._database.commit()
        self.pending.clear()
        self._database.execute('PRAGMA wal_checkpoint').fetchone()

    def close(self, metadata: str) -> None:
        """End the file with the bag's metadata."""
        self._database.execute('INSERT INTO metadata VALUES (NULL, 9, ?)', (metadata,))
        self.flush()
        # Without a log, the file can also be read on a read-only disk.
        self._database.execute('PRAGMA busy_timeout = 0')
        with suppress(sqlite3.OperationalError):
            self._database.execute('PRAGMA journal_mode = DELETE').fetchone()
        self._database.close()

    def abandon(self) -> None:
        """Close the file after an error; flushed messages stay."""
        with suppress(sqlite3.Error):
            self._database.rollback()
        self._database.close()


@contextmanager
def as_committed(path: Path) -> Iterator[Path]:
    """Yield a file with all commits in it, whether its recorder still runs or was killed.

    rosbags ignores locks and logs; this file does not change while the block runs.
    """
    with ExitStack() as stack:
        if any(path.with_name(path.name + log).exists() for log in ('-wal', '-journal')):
            holding, moving = (
                stack.enter_context(closing(sqlite3.connect(path))) for _ in range(2)
            )
            # While this transaction is open, later commits stay in the log.
            holding.execute('BEGIN')
            holding.execute('SELECT count(*) FROM sqlite_master').fetchone()
            busy, logged, moved = moving.execute('PRAGMA wal_checkpoint').fetchone()
            if busy or moved < logged:
                # Another reader keeps the log from being moved into the file.
                path = Path(stack.enter_context(TemporaryDirectory()), path.name)
                with closing(sqlite3.connect(path)) as copy:
                    holding.backup(copy)
        yield path
