"""Bags are written by rosbags' own writer of ROS 1."""

from __future__ import annotations

import event_streams as streams
import numpy as np
import pytest
from rosbags.rosbag1 import Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.packets import packetize

EPOCH_NS = 1_700_000_000_123_456_789
SENSOR = (streams.WIDTH, streams.HEIGHT)
PACKET = """\
std_msgs/Header header
uint32 height
uint32 width
uint64 seq
uint64 time_base
string encoding
bool is_bigendian
uint8[] events
"""
EVENT = """\
uint16 x
uint16 y
time ts
bool polarity
"""
ARRAY = """\
std_msgs/Header header
uint32 height
uint32 width
{package}/Event[] events
"""


@pytest.fixture
def events():
    return streams.random_events(np.random.default_rng(0), 3000, 40_000_000)


@pytest.fixture
def triggers():
    return streams.make_triggers(np.arange(40) * 1_000_000, [6] * 40, [0, 1] * 20)


class Bag:
    """Writes messages of ROS 1 that a definition gives."""

    def __init__(self, path, definitions):
        self.store = get_typestore(Stores.ROS1_NOETIC)
        for kind, text in definitions.items():
            self.store.register(get_types_from_msg(text, kind))
        self.writer = Writer(path)
        self.connections = {}

    def __enter__(self):
        self.writer.open()
        return self

    def __exit__(self, *_):
        self.writer.close()

    def make(self, kind, **fields):
        return self.store.types[kind](**fields)

    def header(self, stamp_ns):
        stamp = self.make('builtin_interfaces/msg/Time', **split(stamp_ns))
        return self.make('std_msgs/msg/Header', seq=0, stamp=stamp, frame_id='camera')

    def write(self, topic, kind, message, time_ns):
        if topic not in self.connections:
            self.connections[topic] = self.writer.add_connection(topic, kind, typestore=self.store)
        raw = bytes(self.store.serialize_ros1(message, kind))
        self.writer.write(self.connections[topic], time_ns, raw)


def split(time_ns):
    return {'sec': int(time_ns // 10**9), 'nanosec': int(time_ns % 10**9)}


def write_packets(path, events, triggers, kind, topic='/camera/events', skipped=()):
    stream = [(events, triggers)]
    with Bag(path, {kind: PACKET}) as bag:
        for packet in packetize(stream, streams.HEIGHT, streams.WIDTH, epoch_ns=EPOCH_NS):
            if packet.seq in skipped:
                continue
            message = bag.make(
                kind,
                header=bag.header(packet.stamp_ns),
                events=np.frombuffer(packet.events, np.uint8),
                **{
                    name: getattr(packet, name)
                    for name in ('height', 'width', 'seq', 'time_base', 'encoding', 'is_bigendian')
                },
            )
            bag.write(topic, kind, message, packet.stamp_ns + 5)
        other = bag.make('std_msgs/msg/String', data='other')
        bag.write('/rosout', 'std_msgs/msg/String', other, EPOCH_NS)


def write_arrays(path, pieces, package, sensor=SENSOR, topics=('/dvs/events',)):
    event, array = f'{package}/msg/Event', f'{package}/msg/EventArray'
    with Bag(path, {event: EVENT, array: ARRAY.format(package=package)}) as bag:
        for topic in topics:
            for piece in pieces:
                rows = [
                    bag.make(
                        event,
                        x=int(x),
                        y=int(y),
                        polarity=bool(p),
                        ts=bag.make('builtin_interfaces/msg/Time', **split(t)),
                    )
                    for t, x, y, p in zip(piece.t, piece.x, piece.y, piece.p, strict=True)
                ]
                header = bag.header(int(piece.t[-1]))
                message = bag.make(
                    array, header=header, height=sensor[1], width=sensor[0], events=rows
                )
                bag.write(topic, array, message, int(piece.t[-1]))


@pytest.mark.parametrize(
    'kind', ['event_camera_msgs/msg/EventPacket', 'event_array_msgs/msg/EventArray']
)
def test_event_packets(tmp_path, events, triggers, kind):
    path = tmp_path / 'events.bag'
    write_packets(path, events, triggers, kind)
    recording = open_recording(path)
    assert (recording.width, recording.height, recording.epoch_ns) == (*SENSOR, EPOCH_NS)
    assert recording.other_messages == 1
    got, got_triggers = streams.read(path)
    streams.assert_same(got, events)
    streams.assert_same(got_triggers, triggers)


def test_packets_that_are_missing_are_counted(tmp_path, events, triggers):
    path = tmp_path / 'events.bag'
    write_packets(path, events, triggers, 'event_camera_msgs/msg/EventPacket', skipped=(3, 4, 9))
    recording = open_recording(path)
    assert sum(len(chunk[0]) for chunk in recording.chunks()) < len(events)
    assert recording.losses['packets_missing_in_source'] == 3


@pytest.mark.parametrize('package', ['dvs_msgs', 'prophesee_event_msgs'])
def test_arrays_of_events(tmp_path, events, package):
    path = tmp_path / 'events.bag'
    dated = streams.make_events(events.t + EPOCH_NS, events.x, events.y, events.p)
    write_arrays(path, [dated[:1000], dated[1000:]], package)
    streams.assert_same(streams.read(path)[0], dated)


def test_a_sensor_that_arrays_do_not_tell_must_be_given(tmp_path, events):
    path = tmp_path / 'events.bag'
    write_arrays(path, [events[:10]], 'dvs_msgs', sensor=(0, 0))
    with pytest.raises(MicroexprError, match='--sensor'):
        open_recording(path)
    streams.assert_same(streams.read(path, sensor=SENSOR)[0], events[:10])


def test_of_several_topics_one_must_be_given(tmp_path, events):
    path = tmp_path / 'events.bag'
    write_arrays(path, [events[:10]], 'dvs_msgs', topics=('/left', '/right'))
    for topic in (None, '/middle'):
        with pytest.raises(MicroexprError, match='give one as --topic: /left, /right'):
            open_recording(path, topic=topic)
    streams.assert_same(streams.read(path, topic='/left')[0], events[:10])


def test_a_bag_without_events_is_told(tmp_path):
    path = tmp_path / 'events.bag'
    with Bag(path, {}) as bag:
        message = bag.make('std_msgs/msg/String', data='other')
        bag.write('/rosout', 'std_msgs/msg/String', message, EPOCH_NS)
    with pytest.raises(MicroexprError, match='no topic of events: it has /rosout'):
        open_recording(path)


def test_an_event_out_of_order_is_held_and_counted(tmp_path):
    # 99 ms back inside a message, and 1 us back between two.
    times = np.arange(200) * 1_000_000 + EPOCH_NS
    times[[120, 150]] = times[21], times[149] - 1000
    expected = np.maximum.accumulate(times)
    events = streams.events_at(times)
    path = tmp_path / 'events.bag'
    write_arrays(path, [events[:150], events[150:]], 'dvs_msgs')
    recording = open_recording(path)
    got = streams.concatenate(part for part, _ in recording.chunks())
    streams.assert_same(got, streams.make_events(expected, events.x, events.y, events.p))
    assert recording.held == 2
    report = convert_recording(recording, tmp_path / 'out', encoding='mono')
    assert (report.events_out, report.times_held, sum(report.dropped.values())) == (200, 2, 0)
    streams.assert_same(streams.read(tmp_path / 'out')[0], got)


def test_times_that_decrease_between_messages_are_told(tmp_path, events):
    path = tmp_path / 'events.bag'
    write_arrays(path, [events[:10], events[:10]], 'dvs_msgs')
    with pytest.raises(MicroexprError, match=r'times in .* decrease'):
        streams.read(path)


def test_a_bag_that_was_cut_off_is_told(tmp_path, events, triggers):
    path = tmp_path / 'events.bag'
    write_packets(path, events, triggers, 'event_camera_msgs/msg/EventPacket')
    content = path.read_bytes()
    for size in (0, 5, 100, 3000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(MicroexprError, match=r'cannot read|is empty'):
            streams.read(path)


def test_a_message_that_was_cut_off_is_told(tmp_path, events, triggers):
    path = tmp_path / 'events.bag'
    kind = 'event_camera_msgs/msg/EventPacket'
    write_packets(path, events, triggers, kind)
    with Bag(tmp_path / 'cut.bag', {kind: PACKET}) as bag:
        connection = bag.writer.add_connection('/camera/events', kind, typestore=bag.store)
        bag.writer.write(connection, EPOCH_NS, b'\0' * 40)
    with pytest.raises(MicroexprError, match='cannot read'):
        open_recording(tmp_path / 'cut.bag')
