"""A copy of a bag without pictures of a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from microexpr_ros.bags.contents import ForeignTopic, Topic
from microexpr_ros.bags.damage import Damage
from microexpr_ros.bags.definitions import is_as_defined
from microexpr_ros.bags.reading import is_bag, read_contents, read_messages
from microexpr_ros.bags.writing import BagWriter
from microexpr_ros.errors import MicroexprError
from microexpr_ros.redaction import NAMED, is_kept


@dataclass(frozen=True, slots=True)
class Redaction:
    """What was kept of a bag.

    Attributes:
        kept: number of messages by topic.
        left_out: number of messages by topic, of topics that are not on the list of `redaction`
            or were recorded with another definition of their type.
        damage: damaged places, one line each.
    """

    kept: dict[str, int]
    left_out: dict[str, int]
    damage: tuple[str, ...]


def redact_bag(
    source: Path,
    target: Path,
    *,
    storage: str = 'mcap',
    compression: str = 'none',
    on_progress: Callable[[float], object] = lambda _: None,
) -> Redaction:
    """Copy the topics of a bag that show no picture of a person; the messages stay as they are.

    Args:
        source: A rosbag2.
        target: New folder, which appears as a whole or not at all.
        storage: Storage of the copy, mcap or sqlite3.
        compression: Of an mcap bag: zstd or none.
        on_progress: Called with the fraction that is done.

    Raises:
        MicroexprError: The source is no rosbag2 or has no such topic, or the target cannot be
            written.
    """
    if not source.exists() or not is_bag(source):
        raise MicroexprError(f'{source} is no rosbag2: only a bag can be redacted')
    contents = read_contents(source)
    wanted = [
        topic
        for topic in contents.topics
        if is_kept(topic.name, topic.type) and _can_be_copied(topic)
    ]
    if not wanted:
        raise MicroexprError(
            f'{source} has no topic that can be kept: these are {", ".join(NAMED)}; play it '
            'through the pipeline and record its results'
        )
    left_out: Counter[str] = Counter()
    everything: list[Topic | ForeignTopic] = [*contents.topics, *contents.foreign]
    for topic in everything:
        if topic not in wanted:
            left_out[topic.name] += topic.messages
    names = [topic.name for topic in wanted]
    total = max(sum(topic.messages for topic in wanted), 1)
    kept: Counter[str] = Counter(dict.fromkeys(names, 0))
    damage = Damage()
    with BagWriter(target, storage, compression) as writer:
        for number, message in enumerate(read_messages(source, names, damage=damage), 1):
            # Under one name there may be two types.
            if not is_kept(message.topic, message.type):
                continue
            writer.write_serialized(
                message.topic, message.type, message.cdr, message.time_ns, message.offered_qos
            )
            kept[message.topic] += 1
            on_progress(min(number / total, 1.0))
    return Redaction(dict(kept), dict(left_out), tuple(map(str, damage)))


def _can_be_copied(topic: Topic) -> bool:
    # A bag has the definitions of today: older messages would be read wrongly.
    return not topic.definition or is_as_defined(topic.type, topic.definition)
