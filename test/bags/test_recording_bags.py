"""Bags that grow: read by others, split, killed, and on a full disk."""

from __future__ import annotations

import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
import tracemalloc
from pathlib import Path

import event_streams as streams
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

from microexpr_ros import bags
from microexpr_ros.bags.byte_queue import ByteQueue
from microexpr_ros.bags.definitions import define
from microexpr_ros.bags.event_packet import EventPacket
from microexpr_ros.bags.folder import BagFolder
from microexpr_ros.bags.recorder import Arrival, BagRecorder
from microexpr_ros.bags.serialization import read_sequence_number, serialize_packet
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.packets import packetize
from microexpr_ros.topics import EVENTS_TOPIC

SECOND = 1_000_000_000
EPOCH = 1_700_000_000 * SECOND
STORAGES = ('mcap', 'sqlite3')
FOREVER = QosTime(9223372036, 854775807)
LATCHED = Qos(
    QosHistory.UNKNOWN,
    0,
    QosReliability.RELIABLE,
    QosDurability.TRANSIENT_LOCAL,
    FOREVER,
    FOREVER,
    QosLiveliness.AUTOMATIC,
    FOREVER,
    False,
)


def make_packet(seq, frame_id='eye'):
    return EventPacket(
        stamp_ns=EPOCH + seq * SECOND // 1000,
        frame_id=frame_id,
        height=480,
        width=640,
        seq=seq,
        time_base=0,
        encoding='evt3',
        is_bigendian=False,
        events=np.random.default_rng(seq).bytes(5000),
    )


def fill(bag, count, first=0):
    for seq in range(first, first + count):
        cdr = serialize_packet(make_packet(seq))
        time_ns = EPOCH + seq * SECOND // 1000
        bag.write('/events', bags.EVENT_PACKET, cdr, time_ns, time_ns - 7, (LATCHED,))


def sequence(path):
    return [packet.seq for _, packet in bags.read_packets(path)]


@pytest.mark.parametrize('compression', ['zstd', 'none'])
def test_others_read_what_is_written(tmp_path, compression):
    path = tmp_path / 'bag'
    bag = BagFolder(path, 'mcap', compression)
    fill(bag, 600)
    bag.write('/tf_static', 'tf2_msgs/msg/TFMessage', b'\0\1\0\0' + bytes(4), EPOCH, EPOCH)
    bag.close()
    with Reader(path) as reader:
        found = {c.topic: (c.msgtype, c.msgcount, c.digest) for c in reader.connections}
        assert found == {
            '/events': (bags.EVENT_PACKET, 600, define(bags.EVENT_PACKET).digest),
            '/tf_static': ('tf2_msgs/msg/TFMessage', 1, define('tf2_msgs/msg/TFMessage').digest),
        }
        assert found['/events'][2].startswith('RIHS01_d6fa1762')
        assert reader.connections[0].ext.offered_qos_profiles == [LATCHED]
        assert (reader.start_time, reader.duration) == (EPOCH, 599 * SECOND // 1000 + 1)
        want = [bytes(cdr) for c, _, cdr in reader.messages() if c.topic == '/events']
    assert want == [serialize_packet(make_packet(seq)) for seq in range(600)]
    with (path / 'bag_0.mcap').open('rb') as file:
        reader = make_reader(file, validate_crcs=True)
        assert reader.get_header().profile == 'ros2'
        summary = reader.get_summary()
        assert {chunk.compression for chunk in summary.chunk_indexes} == {
            'zstd' if compression == 'zstd' else ''
        }
        assert len(summary.chunk_indexes) >= 2
        assert summary.statistics.message_count == 601
        channel = summary.channels[1]
        assert channel.metadata['topic_type_hash'].startswith('RIHS01_d6fa1762')
        assert yaml.safe_load(channel.metadata['offered_qos_profiles'])[0]['depth'] == 0
        schema = summary.schemas[channel.schema_id]
        assert (schema.name, schema.encoding) == (bags.EVENT_PACKET, 'ros2msg')
        assert b'MSG: builtin_interfaces/Time' in schema.data
        messages = [message for _, c, message in reader.iter_messages() if c.topic == '/events']
        assert [message.data for message in messages] == want
        assert messages[3].log_time - messages[3].publish_time == 7
        (about,) = reader.iter_metadata()
        assert about.name == 'rosbag2'
        assert yaml.safe_load(about.metadata['serialized_metadata'])['message_count'] == 601


def test_metadata_has_the_keys_of_version_9(tmp_path):
    bag = BagFolder(tmp_path / 'bag', max_bytes=1_000_000)
    fill(bag, 500)
    bag.close()
    content = yaml.safe_load((tmp_path / 'bag' / 'metadata.yaml').read_text())
    (information,) = content.values()
    assert list(content) == ['rosbag2_bagfile_information']
    # The order and the names of rosbag2_storage for Jazzy.
    assert list(information) == [
        'version', 'storage_identifier', 'duration', 'starting_time', 'message_count',
        'topics_with_message_count', 'compression_format', 'compression_mode',
        'relative_file_paths', 'files', 'custom_data', 'ros_distro',
    ]  # fmt: skip
    (topic,) = information['topics_with_message_count']
    assert topic['message_count'] == 500
    about = topic['topic_metadata']
    assert list(about) == [
        'name', 'type', 'serialization_format', 'offered_qos_profiles', 'type_description_hash'
    ]  # fmt: skip
    assert about['offered_qos_profiles'] == [
        {
            'history': 'unknown',
            'depth': 0,
            'reliability': 'reliable',
            'durability': 'transient_local',
            'deadline': {'sec': 9223372036, 'nsec': 854775807},
            'lifespan': {'sec': 9223372036, 'nsec': 854775807},
            'liveliness': 'automatic',
            'liveliness_lease_duration': {'sec': 9223372036, 'nsec': 854775807},
            'avoid_ros_namespace_conventions': False,
        }
    ]
    assert len(information['files']) > 1
    assert sum(file['message_count'] for file in information['files']) == 500
    assert information['relative_file_paths'] == [file['path'] for file in information['files']]
    assert information['relative_file_paths'][1] == 'bag_1.mcap'


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize(
    ('limits', 'files'), [({'max_bytes': 500_000}, range(4, 9)), ({'max_ns': SECOND // 10}, [5])]
)
def test_split_files_are_one_timeline(tmp_path, storage, limits, files):
    bag = BagFolder(tmp_path / 'bag', storage, 'none', **limits)
    for first in range(0, 500, 20):
        fill(bag, 20, first)
        bag.flush()
    assert bag.files in files
    bag.close()
    assert sequence(tmp_path / 'bag') == list(range(500))
    with Reader(tmp_path / 'bag') as reader:
        assert reader.message_count == 500
    found = bags.read_contents(tmp_path / 'bag')
    assert found.complete
    assert found.topics == (bags.Topic('/events', bags.EVENT_PACKET, 500, (LATCHED,)),)


@pytest.mark.parametrize('storage', STORAGES)
def test_more_than_ten_files_are_read_in_their_order(tmp_path, storage):
    bag = BagFolder(tmp_path / 'bag', storage, max_ns=10 * SECOND // 1000)
    fill(bag, 120)
    assert bag.files == 12
    bag.close()
    (tmp_path / 'bag' / 'metadata.yaml').unlink()
    assert sequence(tmp_path / 'bag') == list(range(120))
    assert bags.read_contents(tmp_path / 'bag').topics[0].messages == 120


@pytest.mark.parametrize('storage', STORAGES)
def test_a_growing_bag_can_be_read_up_to_the_last_flush(tmp_path, storage):
    bag = BagFolder(tmp_path / 'bag', storage, max_ns=SECOND // 10)
    fill(bag, 250)
    bag.flush()
    found = bags.read_contents(tmp_path / 'bag')
    assert found.topics[0].messages == 250
    assert found.complete == (storage == 'sqlite3')
    fill(bag, 10, 250)
    assert sequence(tmp_path / 'bag')[:250] == list(range(250))
    bag.close()
    assert bags.read_contents(tmp_path / 'bag').complete


def test_a_bag_with_a_missing_file_is_not_complete(tmp_path):
    bag = BagFolder(tmp_path / 'bag', max_ns=SECOND // 10)
    fill(bag, 250)
    bag.close()
    (tmp_path / 'bag' / 'bag_1.mcap').unlink()
    found = bags.read_contents(tmp_path / 'bag')
    assert not found.complete
    assert found.topics[0].messages == 150


def test_a_bag_of_more_files_than_its_metadata_names_is_not_complete(tmp_path):
    bag = BagFolder(tmp_path / 'bag', max_ns=SECOND // 10)
    fill(bag, 250)
    bag.close()
    file = tmp_path / 'bag' / 'metadata.yaml'
    file.write_text(file.read_text().replace('  - bag_2.mcap\n', ''))
    found = bags.read_contents(tmp_path / 'bag')
    assert not found.complete
    assert found.topics[0].messages == 200


def test_a_bag_of_more_files_than_may_be_open_is_read(tmp_path):
    bag = BagFolder(tmp_path / 'bag', max_ns=SECOND // 1000)
    fill(bag, 60)
    bag.close()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = len(list(Path('/proc/self/fd').iterdir())) + 40
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        assert sequence(tmp_path / 'bag') == list(range(60))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_metadata_of_many_files_is_not_written_at_every_flush(tmp_path):
    bag = BagFolder(tmp_path / 'bag', max_ns=SECOND // 20)
    fill(bag, 50 * 50)
    written = set()
    for time_ns in range(40):
        bag.write('/late', 'std_msgs/msg/Empty', b'\0\1\0\0', EPOCH + time_ns)
        bag.flush()
        written.add((tmp_path / 'bag' / 'metadata.yaml').stat().st_mtime_ns)
    assert len(written) < 20
    bag.close()
    counts = {topic.name: topic.messages for topic in bags.read_contents(tmp_path / 'bag').topics}
    assert counts == {'/events': 2500, '/late': 40}
    content = yaml.safe_load((tmp_path / 'bag' / 'metadata.yaml').read_text())
    assert content['rosbag2_bagfile_information']['message_count'] == 2540


def test_nobody_who_reads_a_sqlite3_file_stops_its_recorder(tmp_path):
    path = tmp_path / 'bag'
    bag = BagFolder(path, 'sqlite3')
    fill(bag, 10)
    bag.flush()
    other = sqlite3.connect(path / 'bag_0.db3')
    rows = other.execute('SELECT id FROM messages ORDER BY id')
    assert rows.fetchone() == (1,)
    # More than sqlite3 keeps in memory.
    fill(bag, 1000, 10)
    assert sequence(path) == list(range(10))
    bag.flush()
    assert sequence(path) == list(range(1010))
    assert len(rows.fetchall()) == 9
    ours = bags.read_packets(path)
    assert next(ours)[1].seq == 0
    fill(bag, 1000, 1010)
    bag.flush()
    assert [packet.seq for _, packet in ours] == list(range(1, 1010))
    other.close()
    bag.close()
    assert sequence(path) == list(range(2010))
    assert {file.name for file in path.iterdir()} == {'metadata.yaml', 'bag_0.db3'}


def test_a_sqlite3_file_that_is_read_can_be_ended(tmp_path):
    path = tmp_path / 'bag'
    bag = BagFolder(path, 'sqlite3')
    fill(bag, 10)
    bag.flush()
    ours = bags.read_packets(path)
    next(ours)
    fill(bag, 10, 10)
    bag.close()
    assert len(list(ours)) == 9
    assert sequence(path) == list(range(20))


def test_what_else_lies_in_a_folder_is_not_of_the_bag(tmp_path):
    for name in ('bag', 'other'):
        bag = BagFolder(tmp_path / name)
        fill(bag, 5)
        bag.close()
    (tmp_path / 'other' / 'other_0.mcap').rename(tmp_path / 'bag' / 'copy.mcap')
    assert sequence(tmp_path / 'bag') == list(range(5))


@pytest.mark.parametrize('mode', ['message', 'file'])
def test_bags_that_are_compressed_as_a_whole_are_read(tmp_path, mode):
    writer = Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.SQLITE3)
    writer.set_compression(CompressionMode[mode.upper()], CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(
            '/events', bags.EVENT_PACKET, typestore=bags.typestore()
        )
        for seq in range(5):
            writer.write(connection, EPOCH + seq, serialize_packet(make_packet(seq)))
    assert sequence(tmp_path / 'bag') == list(range(5))


@pytest.fixture(scope='module')
def cut_file(tmp_path_factory):
    """A file of three chunks, and where each of them ends."""
    path = tmp_path_factory.mktemp('cut') / 'bag'
    bag = BagFolder(path, compression='none')
    ends = []
    for first in range(0, 30, 10):
        fill(bag, 10, first)
        bag.write('/late', 'std_msgs/msg/Empty', b'\0\1\0\0', EPOCH)
        bag.flush()
        ends.append(bag.size)
    bag.close()
    return (path / 'bag_0.mcap').read_bytes(), ends


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_file_cut_anywhere_gives_its_whole_chunks(tmp_path_factory, cut_file, data):
    content, ends = cut_file
    size = data.draw(st.integers(100, len(content) - 1))
    file = tmp_path_factory.mktemp('some') / 'cut.mcap'
    file.write_bytes(content[:size])
    # The indexes behind a chunk add 15 + 16 n bytes for each channel; without them it is whole.
    whole = sum(size >= end - (15 + 16 * 10) - (15 + 16) for end in ends)
    found = bags.read_contents(file)
    assert not found.complete
    assert sum(topic.messages for topic in found.topics) == 11 * whole
    messages = list(bags.read_messages(file))
    assert [read_sequence_number(m.cdr) for m in messages if m.topic == '/events'] == list(
        range(10 * whole)
    )
    assert len(messages) == 11 * whole


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_file_whose_last_blocks_are_zeros_gives_its_intact_chunks(
    tmp_path_factory, cut_file, data
):
    content, ends = cut_file
    # A power cut: the file has its length, but not all that was written last.
    zeros = data.draw(st.integers(ends[0], ends[2] - 300))
    file = tmp_path_factory.mktemp('some') / 'zeros.mcap'
    file.write_bytes(content[:zeros] + bytes(ends[2] - zeros))
    found = sequence(file)
    assert found == list(range(len(found)))
    assert len(found) >= 10 * sum(end <= zeros for end in ends)
    assert not bags.read_contents(file).complete


def test_a_file_that_foxglove_began_is_salvaged(tmp_path):
    # Its channels are in the chunks, unlike ours.
    from mcap.writer import Writer as McapWriter

    file = tmp_path / 'other.mcap'
    with file.open('wb') as stream:
        writer = McapWriter(stream, chunk_size=4000)
        writer.start('ros2', 'test')
        definition = define(bags.EVENT_PACKET)
        schema = writer.register_schema(bags.EVENT_PACKET, 'ros2msg', definition.text.encode())
        channel = writer.register_channel('/events', 'cdr', schema)
        for seq in range(20):
            cdr = serialize_packet(make_packet(seq))
            writer.add_message(channel, EPOCH + seq, cdr, EPOCH + seq)
    assert sequence(file) == list(range(20))
    assert not bags.read_contents(file).complete


@pytest.mark.parametrize('content', [b'', b'no mcap at all', b'\x89MCAP0\r\n'])
def test_a_file_without_a_beginning(tmp_path, content):
    file = tmp_path / 'bag.mcap'
    file.write_bytes(content)
    with pytest.raises(MicroexprError, match='cannot read'):
        bags.read_contents(file)


PLACES = [str(Path(__file__).parent), str(Path(__file__).parents[1] / 'support')]

RECORD = """
    import sys, time
    from pathlib import Path
    sys.path[:0] = {places!r}
    import test_recording_bags as this
    from microexpr_ros import bags
    from microexpr_ros.bags.folder import BagFolder
    from microexpr_ros.bags.recorder import Arrival, BagRecorder
    from microexpr_ros.bags.serialization import serialize_packet

    recorder = BagRecorder(BagFolder(Path({path!r}), {storage!r}, max_ns=this.SECOND // 5))
    for seq in range(100_000):
        time_ns = this.EPOCH + seq * this.SECOND // 1000
        cdr = serialize_packet(this.make_packet(seq))
        recorder.put(Arrival('/events', bags.EVENT_PACKET, cdr, time_ns, time_ns))
        print(time.monotonic(), flush=True)
        time.sleep(0.001)
"""


def read_put_times(log):
    """Return when each message was given to the recorder; half a line at the end is none."""
    lines = log.read_text().splitlines(keepends=True)
    return [float(line) for line in lines if line.endswith('\n')]


def count_older(put_times_s, now_s):
    return sum(now_s - put_s > 1.0 for put_s in put_times_s)


@pytest.mark.parametrize('storage', STORAGES)
def test_what_is_older_than_a_second_survives_a_kill(tmp_path, storage):
    path = tmp_path / 'bag'
    script = textwrap.dedent(RECORD).format(places=PLACES, path=str(path), storage=storage)
    log = tmp_path / 'log'
    with log.open('w') as output:
        process = subprocess.Popen([sys.executable, '-c', script], stdout=output)
        try:
            deadline_s = time.monotonic() + 30
            while count_older(read_put_times(log), time.monotonic()) < 300:
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
        finally:
            process.send_signal(signal.SIGKILL)
            killed_s = time.monotonic()
            process.wait()
    got = sequence(path)
    assert got == list(range(len(got)))
    assert len(got) >= count_older(read_put_times(log), killed_s) > 100
    found = bags.read_contents(path)
    assert found.topics[0].messages == len(got)
    assert len(list(path.glob('bag_*'))) >= 2


def test_a_killed_recording_is_converted(tmp_path):
    events = streams.random_events(np.random.default_rng(0), 20_000, SECOND)
    packets = packetize([(events, Triggers.empty())], streams.HEIGHT, streams.WIDTH)
    bag = BagFolder(tmp_path / 'bag', max_ns=SECOND // 4)
    for packet in packets:
        cdr = serialize_packet(packet)
        bag.write(EVENTS_TOPIC, bags.EVENT_PACKET, cdr, EPOCH + packet.stamp_ns)
    bag.flush()  # and no more
    report = convert_recording(open_recording(tmp_path / 'bag'), tmp_path / 'whole.raw')
    assert report.events_out == len(events)
    assert {name for name, count in report.dropped.items() if count} == {'files_cut_off'}


FILL_THE_DISK = """
    import resource, signal, sys
    from pathlib import Path
    sys.path[:0] = {places!r}
    import test_recording_bags as this
    from microexpr_ros import bags
    from microexpr_ros.bags.folder import BagFolder
    from microexpr_ros.bags.recorder import Arrival, BagRecorder
    from microexpr_ros.bags.serialization import serialize_packet

    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    recorder = BagRecorder(BagFolder(Path({path!r})))
    for seq in range(1000):
        cdr = serialize_packet(this.make_packet(seq))
        time_ns = this.EPOCH + seq
        recorder.put(Arrival('/events', bags.EVENT_PACKET, cdr, time_ns, time_ns))
    recorder.close()
    progress = recorder.progress()
    print(recorder.error)
    print(progress.messages['/events'], progress.overrun['/events'])
"""


def test_a_full_disk_is_told_and_what_was_written_stays(tmp_path):
    path = tmp_path / 'bag'
    script = textwrap.dedent(FILL_THE_DISK).format(places=PLACES, path=str(path))
    run = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, timeout=60
    )
    error, counts = run.stdout.splitlines()
    assert error.startswith(f'cannot write {path} (')
    assert 'disk' in error
    got = sequence(path)
    assert len(got) > 200
    assert got == list(range(len(got)))
    assert counts.split() == [str(len(got)), str(1000 - len(got))]


def make_arrival(seq, topic='/events'):
    cdr = serialize_packet(make_packet(seq))
    return Arrival(topic, bags.EVENT_PACKET, cdr, EPOCH + seq, EPOCH + seq)


def test_gaps_in_the_sequence_are_lost_packets(tmp_path):
    recorder = BagRecorder(BagFolder(tmp_path / 'bag'))
    # Three are missing, then the camera starts again.
    for seq in (5, 6, 10, 11, 0, 1):
        recorder.put(make_arrival(seq))
    for seq in (0, 2):
        recorder.put(make_arrival(seq, '/other'))
    recorder.close()
    progress = recorder.progress()
    assert progress.lost_packets == {'/events': 3, '/other': 1}
    assert progress.messages == {'/events': 6, '/other': 2}
    assert (progress.overrun, progress.lost) == ({}, 4)
    assert progress.bytes == (tmp_path / 'bag' / 'bag_0.mcap').stat().st_size


def test_a_topic_of_several_publishers_has_no_count_of_lost_packets(tmp_path):
    recorder = BagRecorder(BagFolder(tmp_path / 'bag'))
    for seq in (0, 2):
        recorder.put(make_arrival(seq, '/alone'))
    for seq in (0, 1000, 1, 1001):
        recorder.put(make_arrival(seq))
    assert recorder.give_up_counting('/events')
    assert not recorder.give_up_counting('/events')
    recorder.put(make_arrival(2000))
    recorder.close()
    progress = recorder.progress()
    assert (progress.lost_packets, progress.uncountable) == ({'/alone': 1}, ['/events'])
    assert progress.lost == 1


@pytest.mark.parametrize('storage', STORAGES)
def test_a_file_that_cannot_begin_ends_the_recording(tmp_path, storage):
    bag = BagFolder(tmp_path / 'bag', storage, max_ns=10)
    suffix = '.mcap' if storage == 'mcap' else '.db3'
    (tmp_path / 'bag' / f'bag_1{suffix}').write_bytes(b'')
    recorder = BagRecorder(bag)
    for seq in range(20):
        recorder.put(make_arrival(seq))
    deadline = time.monotonic() + 10
    while recorder.error is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for seq in range(20, 100):
        recorder.put(make_arrival(seq))
    recorder.close()
    assert 'cannot write' in str(recorder.error)
    progress = recorder.progress()
    assert (progress.messages, progress.overrun) == ({'/events': 10}, {'/events': 90})
    assert progress.bytes >= 10 * 5000


def test_a_folder_that_is_removed_is_told(tmp_path):
    recorder = BagRecorder(BagFolder(tmp_path / 'bag'))
    recorder.put(make_arrival(0))
    shutil.rmtree(tmp_path / 'bag')
    recorder.close()
    assert 'cannot write' in str(recorder.error)


class SlowBag(BagFolder):
    def write(self, *arguments):
        time.sleep(0.02)
        super().write(*arguments)


def test_what_the_disk_is_too_slow_for_is_counted(tmp_path):
    recorder = BagRecorder(SlowBag(tmp_path / 'bag'), cache_bytes=20_000)
    for seq in range(40):
        recorder.put(make_arrival(seq))
    recorder.close()
    progress = recorder.progress()
    assert recorder.error is None
    assert progress.overrun['/events'] > 20
    assert progress.messages['/events'] + progress.overrun['/events'] == 40
    assert progress.lost_packets == {}
    assert len(sequence(tmp_path / 'bag')) == progress.messages['/events']


def test_a_type_that_nobody_knows_ends_the_recording(tmp_path):
    recorder = BagRecorder(BagFolder(tmp_path / 'bag'))
    recorder.put(Arrival('/a', 'foreign_msgs/msg/Thing', b'\0\1\0\0', EPOCH, EPOCH))
    recorder.close()
    assert isinstance(recorder.error, MicroexprError)
    assert 'foreign_msgs' in str(recorder.error)


def test_installed_types_are_embedded_with_their_parts(tmp_path, monkeypatch):
    folder = tmp_path / 'share' / 'robot_msgs' / 'msg'
    folder.mkdir(parents=True)
    (folder / 'Arm.msg').write_text('Joint[] joints\nstd_msgs/Header header\n')
    (folder / 'Joint.msg').write_text('float64 angle\n')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    found = define('robot_msgs/msg/Arm')
    assert 'MSG: robot_msgs/Joint\nfloat64 angle' in found.text
    with pytest.raises(MicroexprError, match='robot_msgs/msg/Leg is not installed'):
        define('robot_msgs/msg/Leg')


@settings(max_examples=30, deadline=None)
@given(frame_id=st.text(max_size=20), seq=st.integers(0, 2**64 - 1))
def test_the_sequence_number_is_found(frame_id, seq):
    frame_id = frame_id.replace('\0', '')
    packet = EventPacket(EPOCH, frame_id, 1, 2, seq, 3, 'evt3', False, b'1234')
    assert read_sequence_number(serialize_packet(packet)) == seq


@pytest.mark.parametrize('size', range(0, 36, 5))
def test_a_short_packet_has_no_sequence_number(size):
    with pytest.raises(MicroexprError, match='too short'):
        read_sequence_number(serialize_packet(make_packet(1, frame_id=''))[:size])


@pytest.mark.parametrize(
    ('arguments', 'error'),
    [
        (('rosbag3',), 'choose one of mcap, sqlite3'),
        (('mcap', 'lz77'), 'choose one of zstd, none'),
        (('sqlite3', 'zstd'), 'have no compression'),
    ],
)
def test_wrong_formats_are_told(tmp_path, arguments, error):
    with pytest.raises(MicroexprError, match=error):
        BagFolder(tmp_path / 'bag', *arguments)
    assert not (tmp_path / 'bag').exists()


def test_a_queue_is_bounded_by_bytes():
    queue = ByteQueue(1000)
    assert queue.put('larger than the queue', 5000)
    assert not queue.put('no room', 1)
    assert queue.get() == 'larger than the queue'
    assert queue.get(timeout_s=0) is None
    assert queue.put('a', 200)
    assert queue.put('b', 200)
    assert not queue.put('c', 1)
    queue.close()
    assert not queue.finished
    assert not queue.put('d', 0)
    assert [queue.get(), queue.get(), queue.get()] == ['a', 'b', None]
    assert queue.finished
    assert queue.bytes == 0


def test_small_messages_do_not_fill_the_memory():
    limit = 1_000_000
    queue = ByteQueue(limit)
    tracemalloc.start()
    try:
        seq = 0
        while queue.put(
            Arrival('/t', 't', seq.to_bytes(8, 'little'), EPOCH + seq, EPOCH + seq), 8
        ):
            seq += 1
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seq > 1000
    assert taken < 1.2 * limit
