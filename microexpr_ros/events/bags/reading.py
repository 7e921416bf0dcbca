"""Bags, read without ROS."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, cast

from rosbags.interfaces import ConnectionExtRosbag2, Qos
from rosbags.rosbag2 import Reader

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.bags import metadata, sqlite_file
from microexpr_ros.events.bags.contents import (
    EVENT_PACKET,
    Bag,
    Message,
    Topic,
    find_topic,
    require_topic,
)
from microexpr_ros.events.bags.salvage import SalvagedFile
from microexpr_ros.events.bags.serialization import deserialize_packet
from microexpr_ros.events.packets import EventPacket

_OLDER_NAMES: Final = {'event_array_msgs/msg/EventArray': EVENT_PACKET}
"""Types of older recordings whose layout is that of a type of today."""

_SUFFIXES: Final = ('.mcap', '.db3')
_FILES: Final = 'relative_file_paths'


def is_bag(path: Path) -> bool:
    """Return whether a path looks like a bag: a folder with one in it, or a lone file of one."""
    if path.is_dir():
        return (path / metadata.FILE_NAME).exists() or bool(_storage_files(path))
    return path.suffix in _SUFFIXES


def describe(path: Path | str) -> Bag:
    """Return what a bag holds.

    Args:
        path: A rosbag2 folder, or one .db3 or .mcap file.

    Raises:
        MicroexprError: There is no readable bag.
    """
    with _open(Path(path)) as bag:
        return bag.description


def read_messages(
    path: Path | str, topics: Sequence[str] = (), start_ns: int | None = None
) -> Iterator[Message]:
    """Iterate over serialized messages in the order of their receive times.

    At most a few chunks of the bag are in memory.

    Args:
        path: A rosbag2 folder, or one .db3 or .mcap file.
        topics: Names of the topics to read; none for all.
        start_ns: Receive time to start at; None for the beginning.

    Raises:
        MicroexprError: There is no readable bag, or a topic is not in it.
    """
    path = Path(path)
    with _open(path) as bag:
        for topic in topics:
            require_topic(bag.description, topic)
        for reader in bag.readers:
            yield from _read(reader, path, topics, start_ns)


def read_packets(
    path: Path | str, topic: str | None = None, start_ns: int | None = None
) -> Iterator[tuple[int, EventPacket]]:
    """Iterate over the event packets of a topic, with the times at which they were received.

    Args:
        path: A rosbag2 folder, or one .db3 or .mcap file.
        topic: Name of the topic; None for the bag's only topic of event packets.
        start_ns: Receive time to start at; None for the beginning.

    Raises:
        MicroexprError: There is no readable bag, no such topic, or it has another type.
    """
    path = Path(path)
    name = find_topic(describe(path), EVENT_PACKET, topic)
    for message in read_messages(path, [name], start_ns):
        yield message.time_ns, deserialize_packet(message.cdr, f'{path} at {message.time_ns} ns')


class _OpenBag:
    """The files of a bag, open for reading.

    Attributes:
        readers: one for each file, in order.
        description: what they hold.
    """

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.readers: list[Reader] = []
        with _explained(path):
            information = metadata.read(path) if path.is_dir() else {}
            if information.get('compression_mode', '').lower() not in ('', 'none'):
                # What is compressed as a whole is found through metadata.yaml alone.
                self.readers.append(stack.enter_context(Reader(path)))
                files = named = []
            else:
                named = [path / Path(name).name for name in information.get(_FILES, ())]
                named = named or (_storage_files(path) if path.is_dir() else [path])
                files = [file for file in named if file.exists()]
            complete = len(files) == len(named)
            for file in files:
                reader, whole = _open_file(file, stack)
                self.readers.append(reader)
                complete = complete and whole
        if not self.readers:
            raise MicroexprError(
                f'{path} holds 0 bag files of the kinds {", ".join(_SUFFIXES)}: '
                'give the folder of a bag'
            )
        self.description = _describe(path, self.readers, complete)


@contextmanager
def _open(path: Path) -> Iterator[_OpenBag]:
    if not path.exists():
        raise MicroexprError(f'there is no bag {path}: check the path')
    with ExitStack() as stack:
        yield _OpenBag(path, stack)


def _open_file(file: Path, stack: ExitStack) -> tuple[Reader, bool]:
    """Return a reader of a file, and whether its recorder has ended it."""
    if file.suffix == '.db3':
        sqlite_file.recover(file)
        return stack.enter_context(Reader(file)), True
    try:
        return stack.enter_context(Reader(file)), True
    except Exception:
        # rosbags says in many ways that a file has no end.
        return stack.enter_context(Reader(cast('Any', SalvagedFile(file)))), False


def _storage_files(folder: Path) -> list[Path]:
    """Return the files of a bag in the order of their numbers."""
    files = [file for file in folder.iterdir() if file.suffix in _SUFFIXES]
    return sorted(files, key=lambda file: (_number(file), file.name))


def _number(file: Path) -> int:
    found = re.search(r'_(\d+)$', file.stem)
    return int(found[1]) if found else 0


def _read(
    reader: Reader, path: Path, topics: Sequence[str], start_ns: int | None
) -> Iterator[Message]:
    connections = [c for c in reader.connections if not topics or c.topic in topics]
    types = {c.msgtype: _OLDER_NAMES.get(c.msgtype, c.msgtype) for c in connections}
    messages = reader.messages(connections, start=start_ns) if connections else iter(())
    while True:
        # Only the library's own step is guarded, not what the caller does with a message.
        with _explained(path):
            item = next(messages, None)
        if item is None:
            return
        connection, time_ns, cdr = item
        yield Message(connection.topic, types[connection.msgtype], time_ns, bytes(cdr))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Tell in one line that a bag cannot be read: a damaged one can fail anywhere in rosbags."""
    try:
        yield
    except Exception as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise MicroexprError(
            f'cannot read {path} as a rosbag2 recording ({reason}): '
            'give a complete bag folder, .db3 or .mcap file'
        ) from error


def _describe(path: Path, readers: Sequence[Reader], complete: bool) -> Bag:
    counts: dict[tuple[str, str], int] = {}
    offers: dict[tuple[str, str], tuple[Qos, ...]] = {}
    for connection in (connection for reader in readers for connection in reader.connections):
        key = connection.topic, _OLDER_NAMES.get(connection.msgtype, connection.msgtype)
        counts[key] = counts.get(key, 0) + connection.msgcount
        extension = cast('ConnectionExtRosbag2', connection.ext)
        offers[key] = offers.get(key) or tuple(extension.offered_qos_profiles)
    topics = tuple(
        Topic(name, kind, count, offers[name, kind])
        for (name, kind), count in sorted(counts.items())
    )
    filled = [reader for reader in readers if reader.message_count]
    if not filled:
        return Bag(path, topics, 0, 0, complete)
    start_ns = min(reader.start_time for reader in filled)
    # rosbags tells the time after the last message.
    end_ns = max(reader.end_time for reader in filled) - 1
    return Bag(path, topics, start_ns, end_ns, complete)
