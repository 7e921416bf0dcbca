"""metadata.yaml of a bag, in version 9 of rosbag2."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]
from rosbags.interfaces import Qos

from microexpr_ros.atomic import atomic_target
from microexpr_ros.bags.definitions import Definition

FILE_NAME: Final = 'metadata.yaml'
_VERSION: Final = 9
_KEY: Final = 'rosbag2_bagfile_information'
_NEVER_NS: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class WrittenTopic:
    """A topic that is being written.

    Attributes:
        name: with its leading slash.
        type: ROS type.
        definition: definition of the type.
        offered_qos: what its publishers offered.
    """

    name: str
    type: str
    definition: Definition
    offered_qos: tuple[Qos, ...]

    @property
    def qos_yaml(self) -> str:
        """The offered profiles as the files of a bag hold them."""
        return _dump(_qos(self.offered_qos)).strip()


@dataclass(slots=True)
class Span:
    """Number of messages, and the times of the first and the last one."""

    messages: int = 0
    start_ns: int = _NEVER_NS
    end_ns: int = 0

    def add(self, time_ns: int) -> None:
        """Add a message."""
        self.messages += 1
        self.start_ns = min(self.start_ns, time_ns)
        self.end_ns = max(self.end_ns, time_ns)

    @property
    def duration_ns(self) -> int:
        """Time from the first to the last message."""
        return max(self.end_ns - self.start_ns, 0)


def build_information(
    storage: str,
    files: Mapping[str, Span],
    topics: Sequence[tuple[WrittenTopic, int]],
) -> dict[str, Any]:
    """Return the contents of metadata.yaml.

    Args:
        storage: mcap or sqlite3.
        files: span of each file by name, in order.
        topics: topics with their numbers of messages.
    """
    spans = files.values()
    start_ns = min((span.start_ns for span in spans), default=_NEVER_NS)
    end_ns = max((span.end_ns for span in spans), default=0)
    return {
        'version': _VERSION,
        'storage_identifier': storage,
        'duration': {'nanoseconds': max(end_ns - start_ns, 0)},
        'starting_time': {'nanoseconds_since_epoch': start_ns},
        'message_count': sum(span.messages for span in spans),
        'topics_with_message_count': [
            {
                'topic_metadata': {
                    'name': topic.name,
                    'type': topic.type,
                    'serialization_format': 'cdr',
                    'offered_qos_profiles': _qos(topic.offered_qos),
                    'type_description_hash': topic.definition.digest,
                },
                'message_count': count,
            }
            for topic, count in topics
        ],
        # Only for whole files or single messages; each chunk names its own compression.
        'compression_format': '',
        'compression_mode': '',
        'relative_file_paths': list(files),
        'files': [
            {
                'path': name,
                'starting_time': {'nanoseconds_since_epoch': span.start_ns},
                'duration': {'nanoseconds': span.duration_ns},
                'message_count': span.messages,
            }
            for name, span in files.items()
        ],
        'custom_data': None,
        'ros_distro': os.environ.get('ROS_DISTRO', 'jazzy'),
    }


def serialize(information: dict[str, Any]) -> str:
    """Return the contents as the files of a bag hold them."""
    return _dump(information)


def write(folder: Path, information: dict[str, Any]) -> None:
    """Write metadata.yaml; at any time, readers find the old one or the new one."""
    with atomic_target(folder / FILE_NAME, replace=True) as hidden:
        hidden.write_text(_dump({_KEY: information}), 'utf-8')


def read(folder: Path) -> dict[str, Any]:
    """Return the contents of metadata.yaml; empty if it does not exist or a power cut emptied it.

    Raises:
        ValueError: It does not describe a bag.
        yaml.YAMLError: It is not YAML.
    """
    file = folder / FILE_NAME
    if not file.exists():
        return {}
    text = file.read_text('utf-8').strip('\0')
    if not text:
        return {}
    content = yaml.load(text, getattr(yaml, 'CSafeLoader', yaml.SafeLoader))
    if not isinstance(content, dict) or not isinstance(content.get(_KEY), dict):
        raise ValueError(f'{FILE_NAME} does not describe a bag')
    information: dict[str, Any] = content[_KEY]
    return information


def _dump(content: Any) -> str:
    dumper = getattr(yaml, 'CSafeDumper', yaml.SafeDumper)
    text: str = yaml.dump(content, Dumper=dumper, sort_keys=False, default_flow_style=False)
    return text


def _qos(profiles: Sequence[Qos]) -> list[dict[str, Any]]:
    return [
        {
            'history': profile.history.name.lower(),
            'depth': profile.depth,
            'reliability': profile.reliability.name.lower(),
            'durability': profile.durability.name.lower(),
            'deadline': profile.deadline._asdict(),
            'lifespan': profile.lifespan._asdict(),
            'liveliness': profile.liveliness.name.lower(),
            'liveliness_lease_duration': profile.liveliness_lease_duration._asdict(),
            'avoid_ros_namespace_conventions': profile.avoid_ros_namespace_conventions,
        }
        for profile in profiles
    ]
