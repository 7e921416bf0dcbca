from __future__ import annotations

import resource
import sqlite3
from pathlib import Path

import pytest
import yaml
from mcap.reader import make_reader
from packet_bags import EPOCH, LATCHED, SECOND, fill, make_packet, sequence
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from zstandard import ZstdCompressor

from microexpr_ros import bags
from microexpr_ros.bags.definitions import define
from microexpr_ros.bags.folder import STORAGES, BagFolder
from microexpr_ros.bags.serialization import serialize_packet
from microexpr_ros.errors import MicroexprError


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


def test_others_read_sqlite3_files_that_are_split(tmp_path):
    bag = BagFolder(tmp_path / 'bag', 'sqlite3', 'none', max_ns=SECOND // 10)
    fill(bag, 500)
    bag.close()
    with Reader(tmp_path / 'bag') as reader:
        assert (reader.message_count, reader.start_time) == (500, EPOCH)
        assert reader.topics['/events'].msgtype == bags.EVENT_PACKET
        got = [bytes(cdr) for _, _, cdr in reader.messages()]
    assert got == [serialize_packet(make_packet(seq)) for seq in range(500)]


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
    assert found.unlisted == ('bag_2.mcap',)


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


@pytest.mark.parametrize('storage', STORAGES)
def test_files_that_a_killed_recorder_compressed_are_read(tmp_path, storage):
    path = tmp_path / 'bag'
    bag = BagFolder(path, storage, 'none', max_ns=SECOND // 10)
    fill(bag, 450)
    bag.flush()  # and no more
    (path / 'metadata.yaml').unlink()
    suffix = '.mcap' if storage == 'mcap' else '.db3'
    for number in (0, 1, 2):
        file = path / f'bag_{number}{suffix}'
        packed = ZstdCompressor().compress(file.read_bytes())
        # Killed while it compressed the third file.
        Path(f'{file}.zstd').write_bytes(packed if number < 2 else packed[:1000])
        if number < 2:
            file.unlink()
    assert sequence(path) == list(range(450))
    found = bags.read_contents(path)
    assert found.topics[0].messages == 450
    assert found.complete == (storage == 'sqlite3')


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


@pytest.mark.parametrize('plugin', list(StoragePlugin))
def test_compressed_messages_are_read_without_metadata(tmp_path, plugin):
    writer = Writer(tmp_path / 'bag', version=9, storage_plugin=plugin)
    writer.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(
            '/events', bags.EVENT_PACKET, typestore=bags.typestore()
        )
        for seq in range(5):
            writer.write(connection, EPOCH + seq, serialize_packet(make_packet(seq)))
    (tmp_path / 'bag' / 'metadata.yaml').unlink()
    wanted = [serialize_packet(make_packet(seq)) for seq in range(5)]
    (file,) = (tmp_path / 'bag').iterdir()
    for path in (file, file.parent):
        assert [message.cdr for message in bags.read_messages(path)] == wanted


@pytest.mark.parametrize(
    ('arguments', 'error'),
    [
        (('rosbag3',), 'choose one of mcap, sqlite3'),
        (('mcap', 'lz77'), 'choose one of zstd, none'),
        (('sqlite3', 'zstd'), 'have no compression'),
    ],
)
def test_unknown_formats_are_refused(tmp_path, arguments, error):
    with pytest.raises(MicroexprError, match=error):
        BagFolder(tmp_path / 'bag', *arguments)
    assert not (tmp_path / 'bag').exists()
