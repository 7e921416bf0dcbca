"""rosbag2 recordings (sqlite3 and mcap), read and written without ROS."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.packets import EventPacket

if TYPE_CHECKING:
    from typing_extensions import Self

EVENT_PACKET: Final = 'event_camera_msgs/msg/EventPacket'
IMAGE: Final = 'sensor_msgs/msg/Image'
EVENTS_TOPIC: Final = '/event_camera/events'
"""Where the drivers of event cameras publish."""

_OLDER_NAMES: Final = {'event_array_msgs/msg/EventArray': EVENT_PACKET}
"""Types of older recordings whose layout is that of a type of today."""

_STORAGES: Final = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
_SUFFIXES: Final = ('.mcap', '.db3')
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of a bag.

    Attributes:
        name: with its leading slash.
        type: ROS type; older names of EventPacket are told as the newer one.
        messages: number of messages.
    """

    name: str
    type: str
    messages: int


@dataclass(frozen=True, slots=True)
class Bag:
    """What a bag holds.

    Attributes:
        path: folder or file.
        topics: sorted by name.
        start_ns: time at which the first message was received; 0 if there is none.
        end_ns: time at which the last message was received; 0 if there is none.
    """

    path: Path
    topics: tuple[Topic, ...]
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Message:
    """A serialized message of a bag.

    Attributes:
        topic: its topic.
        type: its ROS type, as in Topic.
        time_ns: time at which it was received.
        cdr: serialized message with its four leading bytes.
    """

    topic: str
    type: str
    time_ns: int
    cdr: bytes


def is_bag(path: Path) -> bool:
    """Return whether a path looks like a bag: a folder with one in it, or a lone file of one."""
    if path.is_dir():
        return (path / 'metadata.yaml').exists() or bool(_storage_files(path))
    return path.suffix in _SUFFIXES


def describe(path: Path | str) -> Bag:
    """Return what a bag holds.

    Args:
        path: A rosbag2 folder, or one .db3 or .mcap file.

    Raises:
        MicroexprError: There is no readable bag.
    """
    with _open(Path(path)) as reader:
        return _describe(Path(path), reader)


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
    with _open(path) as reader:
        bag = _describe(path, reader)
        for topic in topics:
            _require_topic(bag, topic)
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


def find_topic(bag: Bag, type_name: str, topic: str | None = None) -> str:
    """Return the name of a topic after checking its type, or of the only topic of a type.

    Args:
        bag: What to search.
        type_name: The type that the topic must have.
        topic: Its name; None for the only one of the type.

    Raises:
        MicroexprError: No topic fits, or several do.
    """
    if topic is not None:
        found = _require_topic(bag, topic)
        if found.type != type_name:
            raise MicroexprError(
                f'{topic} in {bag.path} is of type {found.type}, not {type_name}: {_hint(bag)}'
            )
        return topic
    names = [t.name for t in bag.topics if t.type == type_name]
    if len(names) != 1:
        count = 'no topic' if not names else 'more than one topic'
        raise MicroexprError(f'{bag.path} has {count} of type {type_name}: {_hint(bag)}')
    return names[0]


def deserialize_packet(cdr: bytes, where: str) -> EventPacket:
    """Return the packet of a serialized message.

    Args:
        cdr: Serialized EventPacket.
        where: What an error says about its place.

    Raises:
        MicroexprError: The bytes are not a packet.
    """
    try:
        message: Any = typestore().deserialize_cdr(cdr, EVENT_PACKET)
    except Exception as error:
        # Damaged bytes can fail anywhere in the generated code of the library.
        raise MicroexprError(f'the event packet in {where} is damaged: record it again') from error
    return EventPacket(
        stamp_ns=message.header.stamp.sec * _NS + message.header.stamp.nanosec,
        frame_id=message.header.frame_id,
        height=message.height,
        width=message.width,
        seq=message.seq,
        time_base=message.time_base,
        encoding=message.encoding,
        is_bigendian=message.is_bigendian,
        events=message.events.tobytes(),
    )


class BagWriter:
    """Writes a bag that appears as a whole, or not at all.

    The bag is written to a hidden sibling, which takes its name when the `with` block ends;
    an error leaves nothing behind.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with BagWriter(Path(folder, 'bag')) as writer:
        ...         writer.write_image('/image_raw', np.zeros((2, 2), np.uint8), 5, 'camera')
        ...     [topic.name for topic in describe(Path(folder, 'bag')).topics]
        ['/image_raw']
    """

    def __init__(self, path: Path | str, storage: str = 'mcap') -> None:
        """Prepare a bag; `storage` is mcap or sqlite3."""
        if storage not in _STORAGES:
            raise MicroexprError(
                f'unknown bag storage {storage!r}: choose one of {", ".join(_STORAGES)}'
            )
        self.path = Path(path)
        self._storage = _STORAGES[storage]
        self._connections: dict[str, Connection] = {}
        self._stack = ExitStack()
        self._hidden: Path | None = None
        self._writer: Writer | None = None

    def __enter__(self) -> Self:
        if self.path.exists():
            raise MicroexprError(f'{self.path} is already there: remove it or choose another name')
        with _explained_writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._hidden = Path(
                tempfile.mkdtemp(prefix=f'.{self.path.name}.', dir=self.path.parent)
            )
            self._writer = Writer(
                self._hidden / self.path.name, version=9, storage_plugin=self._storage
            )
            self._writer.open()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is None or self._hidden is None:
            return
        try:
            if error_type is None:
                with _explained_writing(self.path):
                    self._writer.close()
                    (self._hidden / self.path.name).rename(self.path)
            else:
                self._writer.abort()
        finally:
            shutil.rmtree(self._hidden, ignore_errors=True)

    def write_packet(self, topic: str, packet: EventPacket, time_ns: int | None = None) -> None:
        """Write an event packet.

        Args:
            topic: Its topic.
            packet: The packet.
            time_ns: Time at which it was received; None for its stamp.
        """
        types = typestore().types
        message = types[EVENT_PACKET](
            header=_header(packet.stamp_ns, packet.frame_id),
            height=packet.height,
            width=packet.width,
            seq=packet.seq,
            time_base=packet.time_base,
            encoding=packet.encoding,
            is_bigendian=packet.is_bigendian,
            events=np.frombuffer(packet.events, np.uint8),
        )
        self.write(topic, EVENT_PACKET, message, packet.stamp_ns if time_ns is None else time_ns)

    def write_image(
        self,
        topic: str,
        pixels: NDArray[np.uint8],
        stamp_ns: int,
        frame_id: str,
        time_ns: int | None = None,
    ) -> None:
        """Write an image.

        Args:
            topic: Its topic.
            pixels: uint8 [height, width] grey (mono8) or [height, width, 3] RGB (rgb8).
            stamp_ns: Time of the exposure.
            frame_id: Coordinate frame of the camera.
            time_ns: Time at which it was received; None for its stamp.
        """
        if pixels.dtype != np.uint8 or not (
            pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
        ):
            raise ValueError(
                f'an image is uint8 [height, width] or [height, width, 3], '
                f'not {pixels.dtype} {list(pixels.shape)}'
            )
        channels = 1 if pixels.ndim == 2 else 3
        message = typestore().types[IMAGE](
            header=_header(stamp_ns, frame_id),
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding='mono8' if channels == 1 else 'rgb8',
            is_bigendian=0,
            step=pixels.shape[1] * channels,
            data=np.ascontiguousarray(pixels).reshape(-1),
        )
        self.write(topic, IMAGE, message, stamp_ns if time_ns is None else time_ns)

    def write(self, topic: str, type_name: str, message: object, time_ns: int) -> None:
        """Write a message of any type of `typestore()`.

        Args:
            topic: Its topic.
            type_name: Its ROS type.
            message: An object of the typestore's class for it.
            time_ns: Time at which it was received.
        """
        self.write_serialized(
            topic, type_name, bytes(typestore().serialize_cdr(message, type_name)), time_ns
        )

    def write_serialized(self, topic: str, type_name: str, cdr: bytes, time_ns: int) -> None:
        """Write a serialized message of any type of `typestore()`.

        Args:
            topic: Its topic.
            type_name: Its ROS type.
            cdr: Serialized message.
            time_ns: Time at which it was received.
        """
        if self._writer is None:
            raise ValueError('a bag is written inside a with block')
        with _explained_writing(self.path):
            if topic not in self._connections:
                self._connections[topic] = self._writer.add_connection(
                    topic, type_name, typestore=typestore()
                )
            self._writer.write(self._connections[topic], time_ns, cdr)


@cache
def typestore() -> Typestore:
    """Return the types of ROS 2 Jazzy, of EventPacket and of this package's messages.

    Raises:
        MicroexprError: The definitions of the messages are not installed.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    for package in ('event_camera_msgs', 'microexpr_ros'):
        folder = _find_definitions(package)
        types = {}
        for file in sorted(folder.glob('*.msg')):
            types.update(get_types_from_msg(file.read_text('utf-8'), f'{package}/msg/{file.stem}'))
        store.register(types)
    return store


def _find_definitions(package: str) -> Path:
    prefixes = [*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix]
    installed = [Path(prefix, 'share', package, 'msg') for prefix in prefixes if prefix]
    repository = Path(__file__).resolve().parents[2]
    sources = [repository / 'msg', repository / 'interfaces' / package / 'msg']
    candidates = [*installed, sources[0] if package == 'microexpr_ros' else sources[1]]
    for folder in candidates:
        if any(folder.glob('*.msg')):
            return folder
    raise MicroexprError(
        f'the messages of {package} are not in any of {", ".join(map(str, candidates))}: '
        'build the workspace and source it'
    )


def _header(stamp_ns: int, frame_id: str) -> Any:
    types = typestore().types
    stamp = types['builtin_interfaces/msg/Time'](sec=stamp_ns // _NS, nanosec=stamp_ns % _NS)
    return types['std_msgs/msg/Header'](stamp=stamp, frame_id=frame_id)


@contextmanager
def _open(path: Path) -> Iterator[Reader]:
    if not path.exists():
        raise MicroexprError(f'there is no bag {path}: check the path')
    if path.is_dir() and not (path / 'metadata.yaml').exists():
        # A recorder that was killed leaves its files without the metadata.
        files = _storage_files(path)
        if len(files) != 1:
            raise MicroexprError(
                f'{path} holds no metadata.yaml and {len(files)} bag files: '
                'give one of them, or run ros2 bag reindex'
            )
        path = files[0]
    with ExitStack() as stack:
        with _explained(path):
            reader = stack.enter_context(Reader(path))
        yield reader


def _storage_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in _SUFFIXES)


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


@contextmanager
def _explained_writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, WriterError) as error:
        raise MicroexprError(
            f'cannot write the bag {path} ({error}): check disk and name'
        ) from error


def _describe(path: Path, reader: Reader) -> Bag:
    counts: dict[tuple[str, str], int] = {}
    for connection in reader.connections:
        key = connection.topic, _OLDER_NAMES.get(connection.msgtype, connection.msgtype)
        counts[key] = counts.get(key, 0) + connection.msgcount
    topics = tuple(Topic(name, kind, count) for (name, kind), count in sorted(counts.items()))
    if reader.message_count == 0:
        return Bag(path, topics, 0, 0)
    # rosbags tells the time after the last message.
    return Bag(path, topics, reader.start_time, reader.end_time - 1)


def _require_topic(bag: Bag, topic: str) -> Topic:
    for found in bag.topics:
        if found.name == topic:
            return found
    raise MicroexprError(f'{bag.path} has no topic {topic}: {_hint(bag)}')


def _hint(bag: Bag) -> str:
    if not bag.topics:
        return 'it has no topics at all'
    return 'it has ' + ', '.join(f'{topic.name} ({topic.type})' for topic in bag.topics)
