from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packet_bags import EPOCH, fill, make_packet, sequence

from microexpr_ros import bags
from microexpr_ros.bags.definitions import define
from microexpr_ros.bags.folder import BagFolder
from microexpr_ros.bags.serialization import read_sequence_number, serialize_packet
from microexpr_ros.errors import MicroexprError


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
