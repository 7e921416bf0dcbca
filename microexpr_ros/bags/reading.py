"""Reading bags without ROS."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import yaml  # type: ignore[import-untyped]
from rosbags.interfaces import Qos
from zstandard import ZstdDecompressor, ZstdError

from microexpr_ros.bags import metadata, sqlite_file
from microexpr_ros.bags.contents import (
    EVENT_PACKET,
    BagContents,
    ForeignMessage,
    ForeignTopic,
    Message,
    Topic,
    find_topic,
    require_topic,
)
from microexpr_ros.bags.damage import Damage, DamagedPlace
from microexpr_ros.bags.event_packet import EventPacket
from microexpr_ros.bags.mcap_file import MAGIC
from microexpr_ros.bags.mcap_reading import McapReading
from microexpr_ros.bags.serialization import deserialize_packet
from microexpr_ros.bags.sqlite_reading import SqliteReading
from microexpr_ros.bags.stored_file import StoredFile, StoredTopic
from microexpr_ros.errors import MicroexprError

_LOG: Final = logging.getLogger(__name__)

_OLDER_NAMES: Final = {'event_array_msgs/msg/EventArray': EVENT_PACKET}
"""Former names of types, of which the layout has not changed."""

_MCAP: Final = '.mcap'
_SQLITE: Final = '.db3'
_SUFFIXES: Final = (_MCAP, _SQLITE)
_SQLITE_MAGIC: Final = b'SQLite format 3\0'
_COMPRESSED: Final = '.zstd'
"""Appended to the name of a file that its recorder compressed as a whole when it was full."""

_ZSTD_MAGIC: Final = b'\x28\xb5\x2f\xfd'
"""First bytes of a message that its recorder compressed; a CDR starts with a zero."""

_FILES: Final = 'relative_file_paths'
_PIECE_BYTES: Final = 1 << 20


def is_bag(path: Path) -> bool:
    """Return whether a path looks like a bag: a folder with one in it, or a lone file of one."""
    if path.is_dir():
        return (path / metadata.FILE_NAME).exists() or bool(_storage_files(path))
    return _uncompressed_name(path).suffix in _SUFFIXES


def read_contents(path: Path | str) -> BagContents:
    """Return what a bag holds.

    Args:
        path: A rosbag2 folder, or one .db3 or .mcap file.

    Raises:
        MicroexprError: There is no readable bag.
    """
    return _open_bag(Path(path)).contents


def read_messages(
    path: Path | str,
    topics: Sequence[str] = (),
    start_ns: int | None = None,
    damage: Damage | None = None,
) -> Iterator[Message]:
    """Iterate over serialized messages in the order of their receive times.

    At most a few chunks of the bag are in memory. What is damaged is left out.

    Args:
        path: A rosbag2 folder, or one .db3 or .mcap file.
        topics: Names of the topics to read; none for all.
        start_ns: Receive time to start at; None for the beginning.
        damage: Where damaged places are counted; None to log each as a warning.

    Raises:
        MicroexprError: There is no readable bag, or a topic is not in it.
    """
    bag = _open_bag(Path(path))
    for name in topics:
        require_topic(bag.contents, name)

    def is_wanted(topic: StoredTopic) -> bool:
        return not topic.is_foreign and (not topics or topic.name in topics)

    for topic, time_ns, data in _read(bag, is_wanted, start_ns, damage):
        yield Message(topic.name, _type_of(topic), time_ns, data, topic.offered_qos)


def read_foreign(path: Path | str, damage: Damage | None = None) -> Iterator[ForeignMessage]:
    """Iterate over the messages that are not those of ROS 2, in the order of their times.

    Args:
        path: A rosbag2 folder, or one .db3 or .mcap file.
        damage: As of `read_messages`.

    Raises:
        MicroexprError: There is no readable bag.
    """
    bag = _open_bag(Path(path))
    topics = {(topic.name, topic.type, topic.encoding): topic for topic in bag.contents.foreign}
    for topic, time_ns, data in _read(bag, lambda topic: topic.is_foreign, None, damage):
        yield ForeignMessage(topics[topic.name, topic.type, topic.encoding], time_ns, data)


def read_packets(
    path: Path | str,
    topic: str | None = None,
    start_ns: int | None = None,
    damage: Damage | None = None,
) -> Iterator[tuple[int, EventPacket]]:
    """Iterate over the event packets of a topic, with the times at which they were received.

    Args:
        path: A rosbag2 folder, or one .db3 or .mcap file.
        topic: Name of the topic; None for the bag's only topic of event packets.
        start_ns: Receive time to start at; None for the beginning.
        damage: As of `read_messages`.

    Raises:
        MicroexprError: There is no readable bag, no such topic, it has another type, or a message
            is no packet.
    """
    path = Path(path)
    name = find_topic(read_contents(path), EVENT_PACKET, topic)
    for message in read_messages(path, [name], start_ns, damage):
        yield message.time_ns, deserialize_packet(message.cdr, f'{path} at {message.time_ns} ns')


@dataclass(frozen=True, slots=True)
class _Bag:
    """A bag whose files have been opened once and closed again.

    Only one file is open at a time: a long recording has more than a process may open.
    """

    contents: BagContents
    files: tuple[tuple[Path, StoredFile], ...]


def _open_bag(path: Path) -> _Bag:
    if not path.exists():
        raise MicroexprError(f'there is no bag {path}: check the path')
    damage = Damage()
    stored: list[tuple[Path, StoredFile]] = []
    with explain_bag_errors(path):
        files, missing, unlisted = _find_files(path, damage)
        for file in files:
            opened = _try_to_open(file, damage)
            if opened is not None:
                stored.append((file, opened))
        if files and not stored:
            raise ValueError('; '.join(place.reason for place in damage))
    if not files:
        raise MicroexprError(
            f'{path} holds no files of a bag ({", ".join(_SUFFIXES)}): give the folder of a bag'
        )
    for _, file_contents in stored:
        for place in file_contents.damage:
            damage.add(place)
    complete = (
        not missing and not unlisted and all(file_contents.is_ended for _, file_contents in stored)
    )
    merged = _merge(path, [file_contents for _, file_contents in stored])
    contents = BagContents(
        path,
        merged.topics,
        merged.start_ns,
        merged.end_ns,
        complete,
        unlisted,
        merged.foreign,
        tuple(damage),
    )
    return _Bag(contents, tuple(stored))


def _find_files(path: Path, damage: Damage) -> tuple[list[Path], bool, tuple[str, ...]]:
    """Return the files of a bag in order.

    Returns:
        The files, whether any that metadata.yaml names is missing, and the names of those in the
        folder that it does not name.
    """
    if not path.is_dir():
        return [path], False, ()
    present = _storage_files(path)
    try:
        names = [Path(name).name for name in metadata.read(path).get(_FILES) or ()]
    except (TypeError, ValueError, yaml.YAMLError) as error:
        if not present:
            raise
        reason = ' '.join(str(error).split())
        damage.add(DamagedPlace(metadata.FILE_NAME, 0, f'it is damaged ({reason})', {}))
        names = []
    named = [_as_present(path / name, present) for name in names]
    files = [file for file in named if file.exists()]
    if not files:
        # Without metadata, or with that of another bag, every file is read.
        return present, bool(named), ()
    unlisted = tuple(file.name for file in present if file not in named)
    return files, len(files) < len(named), unlisted


def _as_present(named: Path, present: Sequence[Path]) -> Path:
    """Return a file under the name that it has: a recorder compresses it after it is entered."""
    plain = _uncompressed_name(named)
    return next((file for file in present if _uncompressed_name(file) == plain), named)


def _try_to_open(file: Path, damage: Damage) -> StoredFile | None:
    """Return what a file holds; None if it cannot be read, which is then counted as damage."""
    try:
        return _open_file(file)
    except Exception as error:
        # Damage can fail anywhere; the other files of the bag are read all the same.
        reason = ' '.join(str(error).split()) or type(error).__name__
        damage.add(DamagedPlace(file.name, 0, reason))
        return None


def _open_file(file: Path) -> StoredFile:
    with _readable(file) as (readable, cut):
        with readable.open('rb') as stream:
            head = stream.read(len(_SQLITE_MAGIC))
        is_mcap = _uncompressed_name(file).suffix == _MCAP
        if head.startswith((MAGIC, _SQLITE_MAGIC)):
            is_mcap = head.startswith(MAGIC)
        kind = McapReading if is_mcap else SqliteReading
        stored = kind(readable, file.name)
    if cut is not None:
        stored.damage.add(cut)
    return stored


@contextmanager
def _readable(file: Path) -> Iterator[tuple[Path, DamagedPlace | None]]:
    """Yield a file that does not change while the block runs, and where its compression is cut."""
    with ExitStack() as stack:
        readable, cut = file, None
        if file.suffix == _COMPRESSED:
            readable, cut = stack.enter_context(_decompressed(file))
        if readable.suffix == _SQLITE:
            readable = stack.enter_context(sqlite_file.as_committed(readable))
        yield readable, cut


@contextmanager
def _decompressed(file: Path) -> Iterator[tuple[Path, DamagedPlace | None]]:
    """Yield a copy of a file, decompressed as far as possible, which is removed at the end."""
    with TemporaryDirectory() as folder:
        copy = Path(folder, file.stem)
        with file.open('rb') as source, copy.open('wb') as target:
            reason = _decompress(iter(lambda: source.read(_PIECE_BYTES), b''), target.write)
        cut = None if reason is None else DamagedPlace(file.name, file.stat().st_size, reason)
        yield copy, cut


def _decompress(pieces: Iterable[bytes], write: Callable[[bytes], object]) -> str | None:
    """Decompress frames of zstd that follow each other; return what ended it early."""
    frame = ZstdDecompressor().decompressobj()
    is_begun = False
    for data in pieces:
        while data:
            if frame.eof:
                frame, is_begun = ZstdDecompressor().decompressobj(), False
            try:
                write(frame.decompress(data))
            except ZstdError as error:
                return f'its compression is damaged ({error})'
            is_begun = True
            data = frame.unused_data
    return 'its compression is cut off' if is_begun and not frame.eof else None


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
    bag: _Bag,
    is_wanted: Callable[[StoredTopic], bool],
    start_ns: int | None,
    damage: Damage | None,
) -> Iterator[tuple[StoredTopic, int, bytes]]:
    """Iterate over the messages of topics, file by file."""
    counted = Damage() if damage is None else damage
    for place in bag.contents.damage:
        counted.add(place)
    for file, stored in bag.files:
        wanted = [number for number, topic in stored.topics.items() if is_wanted(topic)]
        if not any(stored.counts[number] for number in wanted):
            continue
        with ExitStack() as stack:
            with explain_bag_errors(bag.contents.path):
                readable, _ = stack.enter_context(_readable(file))
            messages = stored.read(readable, wanted, start_ns, counted)
            while True:
                # Only errors of reading are explained, not those of the caller.
                with explain_bag_errors(bag.contents.path):
                    item = next(messages, None)
                    if item is None:
                        break
                    number, time_ns, data = item
                    topic = stored.topics[number]
                    whole = data if topic.is_foreign else _decompress_message(data)
                if whole is None:
                    reason = f'the compression of a message of {topic.name} is damaged'
                    counted.add(
                        DamagedPlace(f'{file.name}, {time_ns} ns', 0, reason, {topic.name: 1})
                    )
                else:
                    yield topic, time_ns, whole
    if damage is None:
        for place in counted:
            _LOG.warning('%s: %s', bag.contents.path, place)


def _decompress_message(data: bytes) -> bytes | None:
    """Return the CDR of a message, which may be compressed; None if its compression is damaged."""
    if not data.startswith(_ZSTD_MAGIC):
        return data
    parts: list[bytes] = []
    return None if _decompress([data], parts.append) else b''.join(parts)


@contextmanager
def explain_bag_errors(
    path: Path,
    kind: str = 'rosbag2 recording',
    remedy: str = 'give a complete bag folder, .db3 or .mcap file',
) -> Iterator[None]:
    """Turn any error into a MicroexprError: a damaged bag can fail anywhere in its libraries."""
    try:
        yield
    except Exception as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise MicroexprError(f'cannot read {path} as a {kind} ({reason}): {remedy}') from error


def _type_of(topic: StoredTopic) -> str:
    return _OLDER_NAMES.get(topic.type, topic.type)


def _merge(path: Path, files: Sequence[StoredFile]) -> BagContents:
    """Return what files hold together."""
    counts: Counter[tuple[str, str]] = Counter()
    offers: dict[tuple[str, str], tuple[Qos, ...]] = {}
    definitions: dict[tuple[str, str], str] = {}
    foreign: dict[tuple[str, str, str], ForeignTopic] = {}
    for file in files:
        for number, topic in file.topics.items():
            if topic.is_foreign:
                known = foreign.get((topic.name, topic.type, topic.encoding))
                foreign[topic.name, topic.type, topic.encoding] = ForeignTopic(
                    topic.name,
                    topic.type,
                    topic.encoding,
                    file.counts[number] + (known.messages if known else 0),
                    topic.schema_encoding,
                    topic.schema,
                )
            else:
                key = topic.name, _type_of(topic)
                counts[key] += file.counts[number]
                offers[key] = offers.get(key) or topic.offered_qos
                definitions[key] = definitions.get(key) or topic.definition
    topics = tuple(
        Topic(name, kind, count, offers[name, kind], definitions[name, kind])
        for (name, kind), count in sorted(counts.items())
    )
    filled = [file for file in files if file.counts]
    return BagContents(
        path,
        topics,
        min((file.start_ns for file in filled), default=0),
        max((file.end_ns for file in filled), default=0),
        foreign=tuple(topic for _, topic in sorted(foreign.items())),
    )
