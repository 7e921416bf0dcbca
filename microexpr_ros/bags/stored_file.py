"""A file of a bag as it is read, in either format."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rosbags.interfaces import Qos
from rosbags.rosbag2.metadata import parse_qos

from microexpr_ros.bags.contents import CDR
from microexpr_ros.bags.damage import Damage

_ROS_TYPE: Final = re.compile(r'\w+/msg/\w+')


@dataclass(frozen=True, slots=True)
class StoredTopic:
    """A topic as a file holds it.

    Attributes:
        name: its name.
        type: type of its messages; empty if the file does not tell.
        encoding: how its messages are serialized: cdr, json, protobuf, ...
        offered_qos: what its publishers offered, where the file has recorded it.
        schema_encoding: language of the schema, as mcap names it.
        schema: definition of the type, where the file has it.
    """

    name: str
    type: str
    encoding: str
    offered_qos: tuple[Qos, ...] = ()
    schema_encoding: str = ''
    schema: bytes = b''

    @property
    def definition(self) -> str:
        """Definition of the type in the ros2msg format, empty without one."""
        return self.schema.decode(errors='replace') if self.schema_encoding == 'ros2msg' else ''

    @property
    def is_foreign(self) -> bool:
        """Whether its messages are not those of ROS 2."""
        return self.encoding != CDR or not _ROS_TYPE.fullmatch(self.type)


class StoredFile(ABC):
    """What a file holds, and how its messages are read.

    It keeps no file open: a long recording has more files than a process may open.

    Attributes:
        name: name of the file, for people.
        topics: its topics by number.
        counts: number of messages of each topic, by the topic's number.
        start_ns: time of its first message; 0 if there is none.
        end_ns: time of its last message; 0 if there is none.
        is_ended: whether its recorder has ended it.
        damage: what is already known to be damaged.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.topics: dict[int, StoredTopic] = {}
        self.counts: Counter[int] = Counter()
        self.start_ns = 0
        self.end_ns = 0
        self.is_ended = True
        self.damage = Damage()

    @abstractmethod
    def read(
        self, file: Path, topics: Collection[int], start_ns: int | None, damage: Damage
    ) -> Iterator[tuple[int, int, bytes]]:
        """Iterate over messages in the order of their times.

        Args:
            file: Where the file is now: its decompressed copy may have moved.
            topics: Numbers of the topics to read.
            start_ns: Time to start at; None for the beginning.
            damage: Where each place is added that cannot be read.

        Returns:
            Number of the topic, time in ns and bytes of each message.
        """


def read_qos(text: str) -> tuple[Qos, ...]:
    """Return the offered profiles that a file holds; none if they are damaged."""
    try:
        return tuple(parse_qos(text))
    except Exception:
        # Damaged text can fail anywhere in the library; a topic is read without its profiles.
        return ()
