"""rosbag2 recordings (sqlite3 and mcap), read and written without ROS."""

from microexpr_ros.bags.contents import (
    EVENT_PACKET,
    IMAGE,
    BagContents,
    Message,
    Topic,
    find_topic,
)
from microexpr_ros.bags.definitions import typestore
from microexpr_ros.bags.reading import is_bag, read_contents, read_messages, read_packets
from microexpr_ros.bags.serialization import deserialize_packet
from microexpr_ros.bags.writing import BagWriter

__all__ = [
    'EVENT_PACKET',
    'IMAGE',
    'BagContents',
    'BagWriter',
    'Message',
    'Topic',
    'deserialize_packet',
    'find_topic',
    'is_bag',
    'read_contents',
    'read_messages',
    'read_packets',
    'typestore',
]
