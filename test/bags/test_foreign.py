"""Channels of other encodings beside those of ROS 2."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from damaged_bags import write_with_others
from packet_bags import fill, sequence

from microexpr_ros import bags
from microexpr_ros.bags.folder import BagFolder
from microexpr_ros.errors import MicroexprError


def test_foreign_channels_are_left_out_by_name(tmp_path):
    file = tmp_path / 'bag.mcap'
    write_with_others(file, packets=20)
    assert sequence(file) == list(range(20))
    found = bags.read_contents(file)
    assert [topic.name for topic in found.topics] == ['/events']
    assert found.complete
    assert [
        (topic.name, topic.type, topic.encoding, topic.messages) for topic in found.foreign
    ] == [
        ('/chatter', 'std_msgs/String', 'ros1', 3),
        ('/log', 'foxglove.Log', 'json', 3),
        ('/raw', '', 'cdr', 3),
        ('/scene', 'foxglove.SceneUpdate', 'protobuf', 3),
    ]
    copied = [(message.topic.name, message.data) for message in bags.read_foreign(file)]
    assert copied[:2] == [('/log', b'message 0'), ('/scene', b'message 0')]
    assert len(copied) == 12


def test_a_foreign_channel_cannot_be_asked_for(tmp_path):
    file = tmp_path / 'bag.mcap'
    write_with_others(file, packets=1)
    with pytest.raises(MicroexprError, match=r'no topic /log: .* /log \(json, not read\)'):
        list(bags.read_messages(file, ['/log']))


def test_a_topic_of_another_serialization_in_sqlite3_is_left_out_by_name(tmp_path):
    bag = BagFolder(tmp_path / 'bag', 'sqlite3')
    fill(bag, 5)
    bag.close()
    with sqlite3.connect(tmp_path / 'bag' / 'bag_0.db3') as base:
        base.execute("INSERT INTO topics VALUES (9, '/log', 'my.Log', 'protobuf', '', '')")
        base.execute("INSERT INTO messages VALUES (NULL, 9, 1, x'0102')")
    assert sequence(tmp_path / 'bag') == list(range(5))
    (log,) = bags.read_contents(tmp_path / 'bag').foreign
    assert (log.name, log.encoding, log.messages) == ('/log', 'protobuf', 1)
    (message,) = bags.read_foreign(tmp_path / 'bag')
    assert (message.time_ns, message.data) == (1, b'\x01\x02')


def test_foreign_messages_are_copied_with_their_schemas(tmp_path):
    write_with_others(tmp_path / 'in.mcap', packets=1)
    with bags.BagWriter(tmp_path / 'out') as writer:
        for message in bags.read_foreign(tmp_path / 'in.mcap'):
            writer.write_foreign(message)
    assert bags.read_contents(tmp_path / 'out').foreign == (
        bags.read_contents(tmp_path / 'in.mcap').foreign
    )
    assert list(bags.read_foreign(tmp_path / 'out')) == list(
        bags.read_foreign(tmp_path / 'in.mcap')
    )
    with (
        pytest.raises(MicroexprError, match='sqlite3 bags hold only messages of ROS 2, not '),
        bags.BagWriter(tmp_path / 'other', 'sqlite3') as writer,
    ):
        writer.write_foreign(message)


def test_a_topic_that_is_not_found_is_named_beside_those_that_are_not_read():
    foreign = (
        bags.ForeignTopic('/add/_service_event', 'example/srv/Add_Event', 'cdr', 3),
        bags.ForeignTopic('/log', 'foxglove.Log', 'json', 3),
    )
    with pytest.raises(MicroexprError) as error:
        bags.find_topic(
            bags.BagContents(Path('bag'), (), 0, 0, foreign=foreign), bags.EVENT_PACKET
        )
    assert str(error.value).endswith(
        'it has /add/_service_event (example/srv/Add_Event, not read), /log (json, not read)'
    )
