"""Reading bags without ROS."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias, cast

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinitionFormat,
    Qos,
)
from rosbags.rosbag2 import Reader
from zstandard import ZstdDecompressor

from microexpr_ros.bags import metadata, sqlite_file
from microexpr_ros.bags.contents import (
    EVENT_PACKET,
    BagContents,
    Message,
    Topic,
    find_topic,
    require_topic,
)
from microexpr_ros.bags.event_packet import EventPacket
from microexpr_ros.bags.salvage import SalvagedFile
from microexpr_ros.bags.serialization import deserialize_packet
from microexpr_ros.errors import MicroexprError

_OLDER_NAMES: Final = {'event_array_msgs/msg/EventArray': EVENT_PACKET}
"""Former names of types, of which the layout has not changed."""

_SUFFIXES: Final = ('.mcap', '.db3')
_COMPRESSED: Final = '.zstd'
"""Appended to the name of a file that its recorder compressed as a whole when it was full."""

_ZSTD_MAGIC: Final = b'\x28\xb5\x2f\xfd'
"""First bytes of a message that its recorder compressed; a CDR starts with a zero."""

_FILES: Final = 'relative_file_paths'

_Source: TypeAlias = Path | SalvagedFile


def is_bag(path: Path) -> bool:
    """Return whether a path looks like a bag: a folder with one in it, or a lone file of one."""
    if path.is_dir():
        return (path / metadata.FILE_NAME).exists() or bool(_storage_files(path))
    return path.suffix in _SUFFIXES


def read_contents(path: Path | str) -> BagContents:
    """Return what a bag holds.

    Args:
        path: A rosbag2 folder, or one .db3 or .mcap file.

    Raises:
        MicroexprError: There is no readable bag.
    """
    return _inspect_bag(Path(path))[0]


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
    bag, sources = _inspect_bag(path)
    for topic in topics:
        require_topic(bag, topic)
    for source in sources:
        with ExitStack() as stack:
            with explain_bag_errors(path):
                reader = stack.enter_context(_open(source))
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
    name = find_topic(read_contents(path), EVENT_PACKET, topic)
    for message in read_messages(path, [name], start_ns):
        yield message.time_ns, deserialize_packet(message.cdr, f'{path} at {message.time_ns} ns')


@dataclass(frozen=True, slots=True)
class _FileContents:
    """Contents of one file; `end_ns` is 1 ns after the last message, as in rosbags."""

    connections: Sequence[Connection]
    messages: int
    start_ns: int
    end_ns: int


def _inspect_bag(path: Path) -> tuple[BagContents, list[_Source]]:
    """Return the contents of a bag and the sources to read its messages from.

    Only one file is open at a time: a long recording has more than a process may open.
    """
    if not path.exists():
        raise MicroexprError(f'there is no bag {path}: check the path')
    sources: list[_Source] = []
    contents = []
    with explain_bag_errors(path):
        files, missing, unlisted = _find_files(path)
        for file in files:
            source, content = _inspect_file(file)
            sources.append(source)
            contents.append(content)
    if not files:
        raise MicroexprError(
            f'{path} holds no files of a bag ({", ".join(_SUFFIXES)}): give the folder of a bag'
        )
    complete = not missing and not unlisted and sources == files
    return _merge(path, contents, complete, unlisted), sources


def _find_files(path: Path) -> tuple[list[Path], bool, tuple[str, ...]]:
    """Return the files of a bag in order.

    Returns:
        The files, whether any that metadata.yaml names is missing, and the names of those in the
        folder that it does not name.
    """
    if not path.is_dir():
        return [path], False, ()
    information = metadata.read(path)
    if information.get('compression_mode', '').lower() not in ('', 'none'):
        # Bags with compressed files or messages are readable through metadata.yaml only.
        return [path], False, ()
    present = _storage_files(path)
    named = [path / Path(name).name for name in information.get(_FILES, ())] or present
    files = [file for file in named if file.exists()]
    unlisted = tuple(file.name for file in present if file not in named)
    return files, len(files) < len(named), unlisted


def _inspect_file(file: Path) -> tuple[_Source, _FileContents]:
    try:
        return file, _read_contents(file)
    except Exception:
        # rosbags raises many types of errors for a file without its end.
        if file.suffix != '.mcap':
            raise
    salvaged = SalvagedFile(file)
    return salvaged, _read_contents(salvaged)


def _read_contents(source: _Source) -> _FileContents:
    with _open(source) as reader:
        return _FileContents(
            list(reader.connections), reader.message_count, reader.start_time, reader.end_time
        )


@contextmanager
def _open(source: _Source) -> Iterator[Reader]:
    with ExitStack() as stack:
        if isinstance(source, Path) and source.suffix == _COMPRESSED:
            source = stack.enter_context(_decompressed(source))
        if isinstance(source, Path) and source.suffix == '.db3':
            source = stack.enter_context(sqlite_file.as_committed(source))
        yield stack.enter_context(Reader(cast('Any', source)))


@contextmanager
def _decompressed(file: Path) -> Iterator[Path]:
    """Yield a decompressed copy of a file, which is removed when the block ends."""
    with TemporaryDirectory() as folder:
        copy = Path(folder, file.stem)
        with file.open('rb') as source, copy.open('wb') as target:
            reader = ZstdDecompressor().stream_reader(source, read_across_frames=True)
            shutil.copyfileobj(reader, target)
        yield copy


def _storage_files(folder: Path) -> list[Path]:
    """Return the files of a bag in the order of their numbers."""
    present = set(folder.iterdir())
    # A recorder that is killed while it compresses a file leaves both: the compressed one is cut.
    files = [
        file
        for file in present
        if (plain := _uncompressed_name(file)).suffix in _SUFFIXES
        and (file == plain or plain not in present)
    ]
    return sorted(files, key=lambda file: (_number(file), file.name))


def _uncompressed_name(file: Path) -> Path:
    return file.with_suffix('') if file.suffix == _COMPRESSED else file


def _number(file: Path) -> int:
    found = re.search(r'_(\d+)$', _uncompressed_name(file).stem)
    return int(found[1]) if found else 0


def _read(
    reader: Reader, path: Path, topics: Sequence[str], start_ns: int | None
) -> Iterator[Message]:
    connections = [c for c in reader.connections if not topics or c.topic in topics]
    types = {c.msgtype: _OLDER_NAMES.get(c.msgtype, c.msgtype) for c in connections}
    offers = {c.id: _offered_qos(c) for c in connections}
    messages = reader.messages(connections, start=start_ns) if connections else iter(())
    while True:
        # Only errors of the library are explained, not those of the caller.
        with explain_bag_errors(path):
            item = next(messages, None)
            if item is None:
                return
            connection, time_ns, data = item
            cdr = _decompress_message(bytes(data))
        yield Message(
            connection.topic, types[connection.msgtype], time_ns, cdr, offers[connection.id]
        )


def _decompress_message(data: bytes) -> bytes:
    """Return the CDR of a message, which may be compressed; only metadata.yaml records that."""
    if not data.startswith(_ZSTD_MAGIC):
        return data
    return ZstdDecompressor().decompressobj().decompress(data)


@contextmanager
def explain_bag_errors(
    path: Path,
    kind: str = 'rosbag2 recording',
    remedy: str = 'give a complete bag folder, .db3 or .mcap file',
) -> Iterator[None]:
    """Turn any error into a MicroexprError: a damaged bag can fail anywhere in rosbags."""
    try:
        yield
    except Exception as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise MicroexprError(f'cannot read {path} as a {kind} ({reason}): {remedy}') from error


def _offered_qos(connection: Connection) -> tuple[Qos, ...]:
    return tuple(cast('ConnectionExtRosbag2', connection.ext).offered_qos_profiles)


def _definition(connection: Connection) -> str:
    given = connection.msgdef
    return given.data if given.format is MessageDefinitionFormat.MSG else ''


def _merge(
    path: Path, contents: Sequence[_FileContents], complete: bool, unlisted: tuple[str, ...]
) -> BagContents:
    counts: dict[tuple[str, str], int] = {}
    offers: dict[tuple[str, str], tuple[Qos, ...]] = {}
    definitions: dict[tuple[str, str], str] = {}
    for connection in (connection for content in contents for connection in content.connections):
        key = connection.topic, _OLDER_NAMES.get(connection.msgtype, connection.msgtype)
        counts[key] = counts.get(key, 0) + connection.msgcount
        offers[key] = offers.get(key) or _offered_qos(connection)
        definitions[key] = definitions.get(key) or _definition(connection)
    topics = tuple(
        Topic(name, kind, count, offers[name, kind], definitions[name, kind])
        for (name, kind), count in sorted(counts.items())
    )
    filled = [content for content in contents if content.messages]
    if not filled:
        return BagContents(path, topics, 0, 0, complete, unlisted)
    start_ns = min(content.start_ns for content in filled)
    end_ns = max(content.end_ns for content in filled) - 1
    return BagContents(path, topics, start_ns, end_ns, complete, unlisted)
