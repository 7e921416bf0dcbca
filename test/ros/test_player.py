"""The player, and what a recorder hears of it."""

import os
import time
from dataclasses import replace

import numpy as np
import pytest
from damaged_bags import write_with_others
from event_camera_msgs.msg import EventPacket as EventPacketMessage
from microexpr_ros.msg import ActionUnitArray, MicroExpression
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import String

from microexpr_ros import bags
from microexpr_ros.bags import folder
from microexpr_ros.bags.definitions import define
from microexpr_ros.bags.event_packet import EventPacket
from microexpr_ros.bags.folder import BagFolder
from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import to_ns
from microexpr_ros.ros.diagnostics import OK, WARN
from microexpr_ros.ros.nodes.player import LINGER_S, PlayerNode
from microexpr_ros.ros.nodes.recorder import RecorderNode
from microexpr_ros.ros.recorded_qos import to_recorded

MS = 1_000_000
EPOCH = 1_700_000_000_000 * MS
COUNT = 150
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def some_packets():
    random = np.random.default_rng(0)
    return [
        EventPacket(
            EPOCH + 2 * MS * seq, 'eye', 480, 640, seq, 0, 'evt3', False, random.bytes(2000)
        )
        for seq in range(COUNT)
    ]


@pytest.fixture
def bag(tmp_path):
    """300 ms of packets and images."""
    path = tmp_path / 'bag'
    with bags.BagWriter(path) as writer:
        for packet in some_packets():
            writer.write_packet('/event_camera/events', packet)
            if packet.seq % 15 == 0:
                pixels = np.full((48, 64, 3), packet.seq, np.uint8)
                writer.write_image('/rgb_camera/image_raw', pixels, packet.stamp_ns + 1, 'rgb')
    return path


def play(world, path, **parameters):
    node = world.add(PlayerNode, bag=str(path), shutdown_at_end=False, **parameters)
    node.start()
    return node


def test_every_message_is_played_with_its_stamp(world, bag):
    packets = world.collect(EventPacketMessage, '/event_camera/events', qos.EVENTS)
    images = world.collect(Image, '/rgb_camera/image_raw', qos.FRAMES)
    node = play(world, bag)
    expected = some_packets()
    world.until(lambda: len(packets) == len(expected))
    assert [message.seq for message in packets] == list(range(COUNT))
    assert bytes(packets[7].events) == expected[7].events
    assert to_ns(packets[7].header.stamp) == expected[7].stamp_ns
    world.until(lambda: images)
    world.until(lambda: node.summary()['event_packets'] == COUNT)
    values = node.diagnose().values
    assert 0 <= values['late_p50_ms'] <= values['late_p99_ms'] <= values['late_max_ms']


def test_a_recorder_gets_back_what_was_played(world, tmp_path, bag):
    again = tmp_path / 'again'
    recorder = world.add(RecorderNode, output=str(again), all=True)
    recorder.start()
    player = play(world, bag, clock_hz=0.0, rate=0.5)
    world.until(lambda: player.state == 'the bag has ended')
    topics = ('/event_camera/events', '/rgb_camera/image_raw')

    def recorded():
        messages = recorder.recording.progress().messages
        return sum(messages.get(topic, 0) for topic in topics)

    world.until(lambda: recorded() == COUNT + COUNT // 15)
    recorder.trigger_deactivate()
    for topic in topics:
        want = [message.cdr for message in bags.read_messages(bag, [topic])]
        assert [message.cdr for message in bags.read_messages(again, [topic])] == want
    assert recorder.recording.progress().lost == 0


def test_pause_and_resume(world, bag):
    packets = world.collect(EventPacketMessage, '/event_camera/events', qos.EVENTS)
    clock = world.collect(Clock, '/clock', qos.RESULTS)
    node = play(world, bag, rate=0.2, clock_hz=50.0, topics=['/event_camera/events'])
    world.until(lambda: len(packets) > 10)
    answer = world.call('player/pause')
    assert (answer.success, answer.message) == (True, 'paused')
    # What was published before may still be on its way.
    world.until(lambda: len(packets) == node.summary()['messages'])
    world.until_settled(clock)
    counts = len(packets), len(clock)
    assert counts[0] < COUNT
    world.run(0.5)
    assert (len(packets), len(clock)) == counts
    assert node.diagnose().message == 'paused'
    assert world.call('player/play_next').success
    world.until(lambda: len(packets) > counts[0])
    world.run(0.2)
    assert len(packets) == counts[0] + 1
    assert world.call('player/resume').message == 'playing'
    assert not world.call('player/play_next').success
    assert world.call('player/toggle_paused').message == 'paused'
    assert world.call('player/toggle_paused').message == 'playing'
    world.until(lambda: len(packets) == COUNT)
    assert [message.seq for message in packets] == list(range(COUNT))
    stamps = [to_ns(message.clock) for message in clock]
    assert stamps == sorted(stamps)


def test_it_can_begin_with_a_pause(world, bag):
    packets = world.collect(EventPacketMessage, '/event_camera/events', qos.EVENTS)
    play(world, bag, start_paused=True, topics=['/event_camera/events'])
    world.run(1.0)
    assert packets == []
    world.call('player/resume')
    world.until(lambda: len(packets) == COUNT)


def test_the_clock_runs_at_the_rate(world, bag):
    clock = world.collect(Clock, '/clock', qos.RESULTS)
    world.collect(EventPacketMessage, '/event_camera/events', qos.EVENTS)
    world.collect(Image, '/rgb_camera/image_raw', qos.FRAMES)
    node = play(world, bag, rate=0.5, clock_hz=100.0)
    world.until(lambda: node.state == 'the bag has ended')
    # At the end, the clock goes on by 100 ms.
    end_ns = EPOCH + 2 * MS * (COUNT - 1) + 100 * MS
    world.until(lambda: clock and to_ns(clock[-1].clock) == end_ns)
    stamps = np.array([to_ns(message.clock) for message in clock])
    # 10 ms of wall time are 5 ms of the recording.
    assert set(np.diff(stamps[:-1])) == {5 * MS}


def test_a_part_is_played(world, bag):
    packets = world.collect(EventPacketMessage, '/event_camera/events', qos.EVENTS)
    node = play(
        world,
        bag,
        start_offset_s=0.1,
        playback_duration_s=0.05,
        topics=['/event_camera/events'],
    )
    world.until(lambda: node.state == 'the bag has ended')
    world.until(lambda: len(packets) == node.summary()['messages'])
    assert [message.seq for message in packets] == list(range(50, 76))


def test_latched_topics_reach_latecomers(world, tmp_path):
    bag = BagFolder(tmp_path / 'bag')
    for number in range(3):
        cdr = serialize_message(String(data=f'frame {number}'))
        offers = (to_recorded(LATCHED),)
        bag.write('/tf_static', 'std_msgs/msg/String', cdr, EPOCH + number, EPOCH, offers)
    bag.write('/other', 'std_msgs/msg/String', cdr, EPOCH + number)
    bag.close()
    node = play(world, tmp_path / 'bag', wait_for_subscribers_s=0.0)
    world.until(lambda: node.state == 'the bag has ended')
    late = world.collect(String, '/tf_static', QoSProfile(depth=9, durability=LATCHED.durability))
    other = world.collect(String, '/other', QoSProfile(depth=9))
    world.until(lambda: len(late) == 3)
    assert [message.data for message in late] == ['frame 0', 'frame 1', 'frame 2']
    assert other == []


def test_what_the_player_cannot_play_is_left_out(world, tmp_path, monkeypatch):
    path = tmp_path / 'robot'
    definitions = tmp_path / 'share' / 'absent_msgs' / 'msg'
    definitions.mkdir(parents=True)
    (definitions / 'Arm.msg').write_text('float64[] joints\n')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path), prepend=os.pathsep)
    with bags.BagWriter(path) as writer:
        writer.write_packet('/event_camera/events', some_packets()[0])
        cdr = b'\x00\x01\x00\x00' + bytes(4)
        writer.write_serialized('/arm', 'absent_msgs/msg/Arm', cdr, EPOCH + 1)
    node = play(world, path, wait_for_subscribers_s=0.0)
    world.until(lambda: node.state == 'the bag has ended')
    assert node.summary()['messages'] == 1


def define_without_kind(name):
    found = define(name)
    return replace(found, text=found.text.replace('uint8 kind\n', ''))


def test_our_messages_of_another_version_are_left_out(world, tmp_path, monkeypatch, capfd):
    with monkeypatch.context() as patch:
        patch.setattr(folder, 'define', define_without_kind)
        bag = BagFolder(tmp_path / 'old')
        kind = 'microexpr_ros/msg/MicroExpression'
        bag.write('/micro_expressions', kind, serialize_message(MicroExpression())[:-1], EPOCH)
        bag.close()
    with pytest.raises(MicroexprError, match='no topic that can be played'):
        play(world, tmp_path / 'old')
    assert '/micro_expressions is not played: it has another definition' in capfd.readouterr().err


def test_a_bag_that_nobody_subscribes_to_is_a_warning(world, bag, log):
    node = play(world, bag, rate=0.05, wait_for_subscribers_s=0.0)
    world.until(lambda: node.state == 'playing')
    diagnosis = node.diagnose()
    names = '/event_camera/events, /rgb_camera/image_raw'
    assert (diagnosis.level, diagnosis.message) == (WARN, f'nobody subscribes to {names}')
    assert diagnosis.values['topics_without_subscribers'] == names
    world.collect(Image, '/rgb_camera/image_raw', qos.FRAMES)
    world.until(lambda: node.diagnose().level == OK)
    diagnosis = node.diagnose()
    assert diagnosis.message == 'playing'
    assert diagnosis.values['topics_without_subscribers'] == '/event_camera/events'
    world.until(lambda: f'nobody subscribes to {names}: remap the topics' in log)


@pytest.mark.parametrize(
    ('parameters', 'error'),
    [
        ({'topics': ['/nothing']}, r'no topic /nothing: it has /event_camera/events'),
        ({'start_offset_s': 2.0}, 'start offset 2 s is behind the end'),
        ({'rate': 0.0}, 'rate = 0.0'),
    ],
)
def test_what_cannot_be_played_is_refused(world, bag, parameters, error):
    node = world.add(PlayerNode, bag=str(bag), **parameters)
    with pytest.raises(MicroexprError, match=error):
        node.start()


def test_a_bag_whose_recorder_was_killed_is_played(world, tmp_path):
    bag = BagFolder(tmp_path / 'bag', max_ns=100 * MS)
    for message in (bags.serialization.serialize_packet(packet) for packet in some_packets()):
        number = bags.serialization.read_sequence_number(message)
        bag.write('/events', bags.EVENT_PACKET, message, EPOCH + number * 2 * MS)
    bag.flush()  # and no more
    packets = world.collect(EventPacketMessage, '/events', qos.EVENTS)
    play(world, tmp_path / 'bag')
    world.until(lambda: len(packets) == COUNT)


def test_it_stops_at_once_and_can_begin_again(world, bag, hindrance):
    packets = world.collect(EventPacketMessage, '/event_camera/events', qos.EVENTS)
    node = play(world, bag, rate=0.01, topics=['/event_camera/events'])
    world.until(lambda: packets)
    began_s = time.monotonic()
    assert node.trigger_deactivate().name == 'SUCCESS'
    # Before the next packet is due, in 0.2 s, and long before the end of the bag, in 30 s.
    assert time.monotonic() - began_s < 1.0 + hindrance.seconds(began_s)
    before = len(packets)
    assert node.trigger_activate().name == 'SUCCESS'
    world.until(lambda: len(packets) > before)
    assert packets[before].seq == 0


def test_what_is_damaged_is_logged_and_diagnosed(world, tmp_path, log):
    write_with_others(tmp_path / 'bag.mcap', packets=40)
    content = bytearray((tmp_path / 'bag.mcap').read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / 'bag.mcap').write_bytes(content)
    packets = world.collect(EventPacketMessage, '/events', qos.EVENTS)
    node = play(world, tmp_path / 'bag.mcap')
    world.until(lambda: node.state == 'the bag has ended')
    world.until(lambda: len(packets) == node.summary()['messages'])
    diagnosis = node.diagnose()
    lost = diagnosis.values['messages_damaged']
    assert lost > 0
    assert len(packets) + lost == 40
    assert (diagnosis.level, diagnosis.values['damaged_places']) == (WARN, 1)
    assert diagnosis.message == 'the bag has ended; a part of the bag is not played'
    world.until(lambda: 'not played: bag.mcap at byte' in log)
    assert log.count('not played: bag.mcap at byte') == 1
    assert f'checksum differs); {lost} messages lost' in log
    assert '/log is not played: its messages are json of type foxglove.Log' in log


def test_files_that_metadata_does_not_name_are_a_warning(world, tmp_path, log):
    bag = BagFolder(tmp_path / 'bag', max_ns=100 * MS)
    for number in range(3):
        bag.write('/other', 'std_msgs/msg/Empty', b'\0\1\0\0\0', EPOCH + number * 100 * MS)
    bag.close()
    metadata = tmp_path / 'bag' / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('  - bag_1.mcap\n', ''))
    node = play(world, tmp_path / 'bag', wait_for_subscribers_s=0.0)
    world.until(lambda: node.state == 'the bag has ended')
    diagnosis = node.diagnose()
    assert (diagnosis.level, diagnosis.values['files_not_in_metadata']) == (WARN, 1)
    assert 'bag_1.mcap is not played: metadata.yaml does not name it' in log


def test_it_waits_for_the_nodes_that_it_is_given(world, bag):
    world.collect(EventPacketMessage, '/event_camera/events', qos.EVENTS)
    world.collect(Image, '/rgb_camera/image_raw', qos.FRAMES)
    # It is there, and not active yet: it subscribes to nothing but a clock.
    consumer = world.plain('consumer')
    consumer.create_subscription(Clock, '/clock', lambda _: None, 1)
    node = play(world, bag, wait_for_nodes=['consumer', 'tester'], wait_for_subscribers_s=0.0)
    world.run(1.5)
    world.until(lambda: node.diagnose().message == 'waiting for nodes: consumer')
    assert node.diagnose().level == WARN
    assert node.summary()['messages'] == 0
    consumer.create_subscription(String, '/text', lambda _: None, 1)
    world.until(lambda: node.state == 'the bag has ended')


def test_nodes_that_are_active_are_enough_to_begin(world, bag):
    packets = world.collect(EventPacketMessage, '/event_camera/events', qos.EVENTS)
    began_s = time.monotonic()
    # Nobody subscribes to the images; there is no wait for it.
    node = play(world, bag, wait_for_nodes=['tester'], wait_for_subscribers_s=60.0)
    world.until(lambda: node.state == 'the bag has ended')
    assert time.monotonic() - began_s < 30.0
    world.until(lambda: len(packets) == COUNT)
    assert node.summary()['undelivered'] == COUNT / 15


def test_it_ends_after_the_last_estimate(world, bag, hindrance):
    world.collect(EventPacketMessage, '/event_camera/events', qos.EVENTS)
    world.collect(Image, '/rgb_camera/image_raw', qos.FRAMES)
    publisher = world.tester.create_publisher(ActionUnitArray, 'au_predictions', qos.RESULTS)
    node = world.add(PlayerNode, bag=str(bag))
    node.start()
    world.until(lambda: node.state == 'the bag has ended')
    world.until(lambda: publisher.get_subscription_count())
    # The classifier is 3 s late.
    until_s = time.monotonic() + 3.0
    while time.monotonic() < until_s:
        publisher.publish(ActionUnitArray(state=ActionUnitArray.OK))
        world.run(0.2)
        if not world.context.ok():
            assert hindrance.stalls(), 'it ended before the last estimate'
            return
    last_s = time.monotonic()
    stale = world.tester.create_timer(
        0.2, lambda: publisher.publish(ActionUnitArray(state=ActionUnitArray.STALE))
    )
    world.until_shutdown()
    stale.cancel()
    assert time.monotonic() - last_s < LINGER_S + 2.0 + hindrance.seconds(last_s)


def test_messages_that_nobody_subscribes_to_are_counted(world, bag, log):
    world.collect(EventPacketMessage, '/event_camera/events', qos.EVENTS)
    node = play(world, bag, wait_for_subscribers_s=0.0)
    world.until(lambda: node.state == 'the bag has ended')
    assert node.summary()['frames'] == node.summary()['undelivered'] == 10
    world.until(lambda: '10 messages of /rgb_camera/image_raw had no' in log)
