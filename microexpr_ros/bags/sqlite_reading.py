"""Reading sqlite3 files: whole ones by SQLite, cut and damaged ones page by page."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote

from microexpr_ros.bags.damage import Damage, DamagedPlace
from microexpr_ros.bags.sqlite_pages import Row, SqlitePages
from microexpr_ros.bags.stored_file import StoredFile, StoredTopic, read_qos

_HEADER_BYTES: Final = 100
_MESSAGE_COLUMNS: Final = 4
_TOPIC_COLUMNS: Final = (4, 5, 6)
"""Columns of the table of topics: its versions added profiles and hash."""

_SUMS: Final = 'SELECT count(*), sum(id), sum(timestamp & 4294967295) FROM messages'


@dataclass(frozen=True, slots=True)
class _FoundMessage:
    """A message that was found in a page."""

    time_ns: int
    topic: int
    row: Row


class SqliteReading(StoredFile):
    """A sqlite3 file: whole, or what is left in its pages."""

    def __init__(self, file: Path, name: str) -> None:
        """Count the messages by SQLite, or find them page by page if it cannot.

        Raises:
            ValueError: It holds nothing of a bag.
        """
        super().__init__(name)
        size = file.stat().st_size
        with file.open('rb') as stream:
            self._pages = SqlitePages(stream.read(_HEADER_BYTES), size)
        self._found: list[_FoundMessage] | None = None
        try:
            self._count(file)
        except (sqlite3.Error, LookupError, TypeError, ValueError, OverflowError) as error:
            self.topics.clear()
            self._find(file, ' '.join(str(error).split()))

    def read(
        self, file: Path, topics: Collection[int], start_ns: int | None, damage: Damage
    ) -> Iterator[tuple[int, int, bytes]]:
        """Iterate over messages; see `StoredFile.read`."""
        first_ns = 0 if start_ns is None else start_ns
        if self._found is None:
            yield from self._read_by_index(file, topics, first_ns, damage)
            return
        with file.open('rb') as stream:
            for message in self._found:
                if message.topic in topics and message.time_ns >= first_ns:
                    try:
                        data = self._pages.payload(stream, message.row)
                    except ValueError as error:
                        damage.add(self._lost(message.row.place, message.row.number, error))
                    else:
                        column = message.row.columns[-1]
                        yield message.topic, message.time_ns, data[column.start : column.end]

    def _read_by_index(
        self, file: Path, topics: Collection[int], first_ns: int, damage: Damage
    ) -> Iterator[tuple[int, int, bytes]]:
        wanted = ', '.join(str(topic) for topic in topics)
        # Row by row: a damaged one costs only itself.
        query = f'SELECT topic_id, data FROM messages WHERE id = ? AND topic_id IN ({wanted})'
        with closing(_connect(file)) as base:
            places = base.execute(
                'SELECT timestamp, id FROM messages WHERE timestamp >= ? ORDER BY timestamp, id',
                (first_ns,),
            )
            for time_ns, number in places:
                try:
                    found = base.execute(query, (number,)).fetchone()
                except sqlite3.Error as error:
                    damage.add(self._lost(number, number, error))
                    continue
                if found is not None and isinstance(found[1], bytes):
                    yield found[0], time_ns, found[1]
                elif found is not None:
                    damage.add(self._lost(number, number, ValueError('it has no bytes')))

    def _lost(self, place: int, number: int, error: Exception) -> DamagedPlace:
        return DamagedPlace(self.name, place, f'message {number} is damaged ({error})', {'': 1})

    def _count(self, file: Path) -> None:
        """Take topics and counts from SQLite.

        Raises:
            sqlite3.Error, LookupError, TypeError, ValueError, OverflowError: The file is cut or
                damaged.
        """
        if self._pages.declared > self._pages.count:
            raise ValueError('the file is cut off')
        with closing(_connect(file)) as base:
            base.row_factory = sqlite3.Row
            definitions = _read_definitions(base)
            for row in base.execute('SELECT * FROM topics ORDER BY id'):
                keys = row.keys()
                offers = row['offered_qos_profiles'] if 'offered_qos_profiles' in keys else ''
                self.topics[int(row['id'])] = StoredTopic(
                    str(row['name']),
                    str(row['type']),
                    str(row['serialization_format']),
                    read_qos(str(offers)),
                    *definitions.get(str(row['type']), ()),
                )
            base.row_factory = None
            spans = base.execute(
                'SELECT topic_id, count(*), min(timestamp), max(timestamp) '
                'FROM messages NOT INDEXED GROUP BY topic_id'
            ).fetchall()
            by_table, by_index = (
                base.execute(_SUMS + way).fetchone() for way in (' NOT INDEXED', '')
            )
            if by_table != by_index:
                raise ValueError('its index differs from its messages')
        self._sum_up({topic: (count, first, last) for topic, count, first, last in spans})

    def _find(self, file: Path, reason: str) -> None:
        """Find topics and messages in the pages.

        Raises:
            ValueError: There are neither.
        """
        messages: list[_FoundMessage] = []
        with file.open('rb') as stream:
            for row, local in self._pages.rows(stream):
                if _is_message(row):
                    topic, time_ns = (column.integer(local) for column in row.columns[1:3])
                    messages.append(_FoundMessage(time_ns, topic, row))
                elif _is_topic(row):
                    self._add_topic(stream, row)
        if not self.topics and not messages:
            raise ValueError(reason)
        messages.sort(key=lambda message: (message.time_ns, message.row.number))
        self._found = messages
        self.is_ended = self._pages.declared <= self._pages.count
        # The newest messages may be among the lost ones, so their number is not known.
        left = f'{reason}; {len(messages)} messages are left'
        self.damage.add(DamagedPlace(self.name, 0, left))
        spans: dict[int, tuple[int, int, int]] = {}
        for message in messages:
            count, first_ns, _ = spans.get(message.topic, (0, message.time_ns, 0))
            spans[message.topic] = count + 1, first_ns, message.time_ns
        self._sum_up(spans)

    def _add_topic(self, file: BinaryIO, row: Row) -> None:
        try:
            data = self._pages.payload(file, row)
            name, kind, encoding, *more = (
                data[column.start : column.end].decode() for column in row.columns[1:]
            )
        except ValueError:
            # Also text that is damaged: its messages are counted as those of an unknown topic.
            return
        if name.startswith('/'):
            offers = read_qos(more[0]) if more else ()
            self.topics[row.number] = StoredTopic(name, kind, encoding, offers)

    def _sum_up(self, spans: dict[int, tuple[int, int, int]]) -> None:
        """Enter number of messages, first and last time of each topic."""
        known = {topic: span for topic, span in spans.items() if topic in self.topics}
        for topic, (count, _, _) in known.items():
            self.counts[topic] = count
        unknown = sum(count for topic, (count, _, _) in spans.items() if topic not in known)
        if unknown:
            reason = 'the topic of messages is damaged'
            self.damage.add(DamagedPlace(self.name, 1, reason, {'': unknown}))
        self.start_ns = min((first for _, first, _ in known.values()), default=0)
        self.end_ns = max((last for _, _, last in known.values()), default=0)


def _read_definitions(base: sqlite3.Connection) -> dict[str, tuple[str, bytes]]:
    """Return language and text of the definition of each type; older files have none."""
    try:
        rows = base.execute(
            'SELECT topic_type, encoding, encoded_message_definition FROM message_definitions'
        ).fetchall()
    except sqlite3.OperationalError:
        return {}
    return {str(kind): (str(encoding), str(text).encode()) for kind, encoding, text in rows}


def _connect(file: Path) -> sqlite3.Connection:
    # Locks and logs are ignored: `as_committed` has made sure that the file does not change.
    name = f'file:{quote(str(file))}?immutable=1'
    return sqlite3.connect(name, uri=True, check_same_thread=False)


def _is_message(row: Row) -> bool:
    if len(row.columns) != _MESSAGE_COLUMNS:
        return False
    number, topic, time, data = row.columns
    return number.is_null and topic.is_integer and time.is_integer and data.is_blob


def _is_topic(row: Row) -> bool:
    number, *texts = row.columns or (None,)
    return (
        len(row.columns) in _TOPIC_COLUMNS
        and number is not None
        and number.is_null
        and all(column.is_text for column in texts)
    )
