from __future__ import annotations

import sqlite3

import event_streams as streams
import numpy as np
import pytest

from microexpr_ros import bags
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.packets import packetize

STORAGES = ('mcap', 'sqlite3')


def make_packets(count=2000, seed=0):
    events = streams.random_events(np.random.default_rng(seed), count, 50_000_000)
    stream = [(events, Triggers.empty())]
    return list(
        packetize(stream, streams.HEIGHT, streams.WIDTH, epoch_ns=1_700_000_000_000_000_000)
    )


@pytest.fixture(params=STORAGES)
def bag(request, tmp_path):
    path = tmp_path / 'bag'
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    with bags.BagWriter(path, request.param) as writer:
        for packet in make_packets():
            writer.write_packet('/eye/events', packet, packet.stamp_ns + 5)
        writer.write_image('/rgb', pixels, packet.stamp_ns, 'rgb')
        writer.write_image('/grey', pixels[:, :, 0], packet.stamp_ns + 1, 'grey')
    return path


def test_packets_round_trip(bag):
    want = [(packet.stamp_ns + 5, packet) for packet in make_packets()]
    assert list(bags.read_packets(bag)) == want
    assert list(bags.read_packets(bag, '/eye/events')) == want
    late = want[10][0]
    assert list(bags.read_packets(bag, start_ns=late)) == want[10:]


def test_a_bag_is_described(bag):
    packets = make_packets()
    found = bags.read_contents(bag)
    assert found.topics == (
        bags.Topic('/eye/events', bags.EVENT_PACKET, len(packets)),
        bags.Topic('/grey', bags.IMAGE, 1),
        bags.Topic('/rgb', bags.IMAGE, 1),
    )
    assert (found.start_ns, found.end_ns) == (packets[0].stamp_ns + 5, packets[-1].stamp_ns + 5)


def test_messages_come_in_the_order_of_their_times(bag):
    messages = list(bags.read_messages(bag))
    times = [message.time_ns for message in messages]
    assert times == sorted(times)
    assert len(messages) == len(make_packets()) + 2
    assert {message.topic for message in bags.read_messages(bag, ['/rgb', '/grey'])} == {
        '/rgb',
        '/grey',
    }


def test_images_round_trip(bag):
    (message,) = bags.read_messages(bag, ['/rgb'])
    image = bags.typestore().deserialize_cdr(message.cdr, bags.IMAGE)
    assert (image.height, image.width, image.encoding, image.step) == (2, 4, 'rgb8', 12)
    assert image.data.tolist() == list(range(24))
    (message,) = bags.read_messages(bag, ['/grey'])
    image = bags.typestore().deserialize_cdr(message.cdr, bags.IMAGE)
    assert (image.encoding, image.step, image.header.frame_id) == ('mono8', 4, 'grey')
    assert image.data.tolist() == list(range(0, 24, 3))


def test_a_lone_file_is_a_bag(bag):
    (file,) = (file for file in bag.iterdir() if file.suffix in ('.mcap', '.db3'))
    assert bags.is_bag(bag)
    assert bags.is_bag(file)
    assert list(bags.read_packets(file)) == list(bags.read_packets(bag))


def test_a_folder_without_metadata_is_a_bag(bag):
    want = list(bags.read_packets(bag))
    (bag / 'metadata.yaml').unlink()
    assert bags.is_bag(bag)
    assert list(bags.read_packets(bag)) == want


@pytest.mark.parametrize('content', [b'', bytes(100)])
def test_metadata_that_a_power_cut_emptied_is_no_loss(bag, content):
    want = list(bags.read_packets(bag))
    (bag / 'metadata.yaml').write_bytes(content)
    assert list(bags.read_packets(bag)) == want


def test_the_type_hash_is_the_upstream_one():
    assert bags.typestore().hash_rihs01(bags.EVENT_PACKET).startswith('RIHS01_d6fa1762')


@pytest.mark.parametrize('name', ['ActionUnitArray', 'AlignedEvents', 'MicroExpression'])
def test_own_messages_are_known(name):
    assert bags.typestore().hash_rihs01(f'microexpr_ros/msg/{name}')


def test_a_missing_topic_lists_those_that_are_there(bag):
    with pytest.raises(MicroexprError, match=r'no topic /nose: it has /eye/events \(event_cam'):
        list(bags.read_packets(bag, '/nose'))
    with pytest.raises(MicroexprError, match='no topic /nose'):
        list(bags.read_messages(bag, ['/nose']))


def test_a_topic_of_another_type_is_told(bag):
    with pytest.raises(
        MicroexprError, match=r'/rgb .* is of type sensor_msgs/msg/Image, not event'
    ):
        list(bags.read_packets(bag, '/rgb'))
    with pytest.raises(MicroexprError, match='more than one topic of type sensor_msgs'):
        bags.find_topic(bags.read_contents(bag), bags.IMAGE)
    with pytest.raises(MicroexprError, match='no topic of type a/msg/B'):
        bags.find_topic(bags.read_contents(bag), 'a/msg/B')


def error_of_reading(bag):
    """Return the message of the error, None if a damaged bag can be read all the same."""
    try:
        list(bags.read_packets(bag))
    except MicroexprError as error:
        return str(error)
    return None


def test_a_truncated_bag_is_told_in_one_line(bag):
    (file,) = (file for file in bag.iterdir() if file.suffix in ('.mcap', '.db3'))
    content = file.read_bytes()
    for size in (0, 10, len(content) // 3, len(content) - 1):
        file.write_bytes(content[:size])
        message = error_of_reading(bag)
        assert message is None or (str(bag) in message and '\n' not in message)


def test_damaged_bags_raise_nothing_else(bag):
    rng = np.random.default_rng(0)
    (file,) = (file for file in bag.iterdir() if file.suffix in ('.mcap', '.db3'))
    content = np.frombuffer(file.read_bytes(), np.uint8)
    for _ in range(60):
        damaged = content.copy()
        place = rng.integers(0, len(damaged), 40)
        damaged[place] ^= rng.integers(1, 256, 40, dtype=np.uint8)
        file.write_bytes(damaged.tobytes())
        assert '\n' not in (error_of_reading(bag) or '')


@pytest.mark.parametrize('content', [b'metadata: [', b'a: 1'])
def test_foreign_metadata_is_an_error(tmp_path, content):
    (tmp_path / 'metadata.yaml').write_bytes(content)
    with pytest.raises(MicroexprError, match='cannot read'):
        bags.read_contents(tmp_path)


def test_what_is_no_bag_is_an_error(tmp_path):
    with pytest.raises(MicroexprError, match='there is no bag'):
        bags.read_contents(tmp_path / 'nothing')
    with pytest.raises(MicroexprError, match='holds no files of a bag'):
        bags.read_contents(tmp_path)
    foreign = tmp_path / 'foreign.db3'
    sqlite3.connect(foreign).execute('CREATE TABLE a(b)')
    with pytest.raises(MicroexprError, match='cannot read'):
        bags.read_contents(foreign)


def test_a_damaged_packet_is_told():
    with pytest.raises(MicroexprError, match='damaged'):
        bags.deserialize_packet(b'\x00\x01\x00\x00abc', 'here')


@pytest.mark.parametrize('storage', STORAGES)
def test_an_error_leaves_nothing_behind(tmp_path, storage):
    def fail():
        with bags.BagWriter(tmp_path / 'bag', storage) as writer:
            writer.write_packet('/events', make_packets()[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('storage', STORAGES)
def test_a_bag_without_messages_is_a_bag(tmp_path, storage):
    with bags.BagWriter(tmp_path / 'bag', storage):
        pass
    found = bags.read_contents(tmp_path / 'bag')
    assert (found.topics, found.start_ns, found.end_ns) == ((), 0, 0)
    assert list(bags.read_messages(tmp_path / 'bag')) == []
    assert [file.name for file in tmp_path.iterdir()] == ['bag']


def test_a_bag_is_never_overwritten(tmp_path):
    (tmp_path / 'bag').mkdir()
    with pytest.raises(MicroexprError, match='already there'), bags.BagWriter(tmp_path / 'bag'):
        pass
    with pytest.raises(MicroexprError, match='choose one of mcap, sqlite3'):
        bags.BagWriter(tmp_path / 'other', 'rosbag3')
    blocked = tmp_path / 'file' / 'bag'
    blocked.parent.write_text('')
    with pytest.raises(MicroexprError, match='cannot write'), bags.BagWriter(blocked):
        pass


def test_images_must_be_grey_or_rgb(tmp_path):
    with bags.BagWriter(tmp_path / 'bag') as writer:
        for wrong in (np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8)):
            with pytest.raises(ValueError, match='an image is uint8'):
                writer.write_image('/rgb', wrong, 0, '')
