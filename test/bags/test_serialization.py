from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packet_bags import EPOCH, make_packet

from microexpr_ros.bags.event_packet import EventPacket
from microexpr_ros.bags.serialization import read_sequence_number, serialize_packet
from microexpr_ros.errors import MicroexprError


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
