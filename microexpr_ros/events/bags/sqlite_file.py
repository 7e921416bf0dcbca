"""Files of bags in the sqlite3 format."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from microexpr_ros.events.bags.metadata import WrittenTopic

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
"""
"""Version 4 of rosbag2's tables. Its commits survive the process; only a power cut can undo
what the system has not yet written."""


class SqliteFile:
    """A sqlite3 file that grows.

    Attributes:
        size: Size of the messages in it.
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
        self._database.execute(
            'INSERT INTO messages VALUES (NULL, ?, ?, ?)', (self._topics[topic], time_ns, cdr)
        )
        self.size += len(cdr)

    def flush(self) -> None:
        """Bring every message into the file."""
        self._database.commit()

    def close(self, metadata: str) -> None:
        """End the file with the bag's metadata."""
        self._database.execute('INSERT INTO metadata VALUES (NULL, 9, ?)', (metadata,))
        self._database.commit()
        self._database.close()

    def abandon(self) -> None:
        """Close the file after an error, with what was flushed."""
        with suppress(sqlite3.Error):
            self._database.rollback()
        self._database.close()


def recover(path: Path) -> None:
    """Undo the unfinished part of a file whose recorder was killed, if there is any."""
    if path.with_name(f'{path.name}-journal').exists():
        database = sqlite3.connect(path)
        database.execute('SELECT count(*) FROM sqlite_master').fetchone()
        database.close()
