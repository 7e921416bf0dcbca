"""rosbag2 recordings (sqlite3 and mcap): read, written and played without ROS."""

from microexpr_ros.bags.contents import (
    EVENT_PACKET,
    IMAGE,
    BagContents,
    ForeignMessage,
    ForeignTopic,
    Message,
    Topic,
    find_topic,
)
from microexpr_ros.bags.damage import Damage, DamagedPlace
from microexpr_ros.bags.definitions import typestore
from microexpr_ros.bags.event_packet import EventPacket, SequenceGaps
from microexpr_ros.bags.folder import COMPRESSIONS, STORAGES, BagFolder
from microexpr_ros.bags.pacing import Pacer
from microexpr_ros.bags.playback import Playback, PlaybackOptions
from microexpr_ros.bags.reading import (
    is_bag,
    read_contents,
    read_foreign,
    read_messages,
    read_packets,
)
from microexpr_ros.bags.recorder import Arrival, BagRecorder, RecorderProgress
from microexpr_ros.bags.redacting import Redaction, redact_bag
from microexpr_ros.bags.serialization import (
    deserialize_packet,
    serialize,
    serialize_image,
    serialize_packet,
)
from microexpr_ros.bags.writing import BagWriter

__all__ = [
    'COMPRESSIONS',
    'EVENT_PACKET',
    'IMAGE',
    'STORAGES',
    'Arrival',
    'BagContents',
    'BagFolder',
    'BagRecorder',
    'BagWriter',
    'Damage',
    'DamagedPlace',
    'EventPacket',
    'ForeignMessage',
    'ForeignTopic',
    'Message',
    'Pacer',
    'Playback',
    'PlaybackOptions',
    'RecorderProgress',
    'Redaction',
    'SequenceGaps',
    'Topic',
    'deserialize_packet',
    'find_topic',
    'is_bag',
    'read_contents',
    'read_foreign',
    'read_messages',
    'read_packets',
    'redact_bag',
    'serialize',
    'serialize_image',
    'serialize_packet',
    'typestore',
]
