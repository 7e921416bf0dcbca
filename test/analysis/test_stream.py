"""Slices of a recording, with its frames, and what was lost of it."""

import numpy as np
import pytest
from event_streams import make_events

from microexpr_ros import bags
from microexpr_ros.alignment.synchronizer import SynchronizerOptions
from microexpr_ros.analysis.stream import SliceStream
from microexpr_ros.bags import BagWriter, serialize
from microexpr_ros.bags.definitions import typestore
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.packets import packetize
from microexpr_ros.events.region import Region
from microexpr_ros.topics import EVENTS_TOPIC

MS = 1_000_000
EPOCH = 10**18
FIXED = SynchronizerOptions(region=Region(0, 0, 64, 48))


def write_bag(path, frames=(), duration_ms=100, frame_id='rgb_camera', change=lambda cdr: cdr):
    """Write an event each ms, and frames with stamps in ms and grey levels."""
    times = np.arange(duration_ms) * MS
    count = len(times)
    events = make_events(times, np.arange(count) % 64, np.zeros(count), np.ones(count))
    stream = [(events, Triggers.empty())]
    with BagWriter(path) as writer:
        for packet in packetize(stream, 48, 64, epoch_ns=EPOCH):
            writer.write_packet(EVENTS_TOPIC, packet)
        for at_ms, level in frames:
            stamp_ns = EPOCH + round(at_ms * MS)
            pixels = np.full((48, 64, 3), level, np.uint8)
            writer.write_image('/rgb/image_raw', pixels, stamp_ns, frame_id)
    return path


def test_slices_are_10_ms_of_the_sensor_and_have_the_stamps_of_the_packets(tmp_path):
    stream = SliceStream(open_recording(write_bag(tmp_path / 'bag')), FIXED)
    slices = list(stream)
    assert [aligned.slice.end_ns - EPOCH for aligned in slices] == list(
        range(10 * MS, 110 * MS, 10 * MS)
    )
    assert [aligned.slice.events for aligned in slices] == [10] * 10
    assert (stream.events, stream.frames, any(stream.losses.values())) == (100, 0, False)


def test_a_frame_is_in_the_slice_of_its_stamp(tmp_path):
    frames = [(5, 10), (9.5, 20), (35, 30), (99.5, 40)]
    stream = SliceStream(open_recording(write_bag(tmp_path / 'bag', frames)), FIXED)
    shown = {
        number: (int(aligned.slice.frame[0, 0, 0]), aligned.slice.frame_stamp_ns - EPOCH)
        for number, aligned in enumerate(stream)
        if aligned.slice.frame is not None
    }
    assert shown == {0: (20, 9_500_000), 3: (30, 35 * MS)}
    # Of two frames in one slice the newer is shown; the last came after all events.
    assert (stream.frames, stream.losses['frames_skipped']) == (3, 1)
    assert stream.losses['frames_after_the_events'] == 1


def test_frames_of_the_event_camera_share_its_clock(tmp_path):
    frames = [(5, 10), (25, 20)]
    bag = write_bag(tmp_path / 'bag', frames, frame_id='event_camera')
    assert list(SliceStream(open_recording(bag), FIXED))[-1].source.name == 'SHARED_CLOCK'
    other = write_bag(tmp_path / 'other', frames)
    assert list(SliceStream(open_recording(other), FIXED))[-1].source.name == 'SOFTWARE'


def test_an_image_that_cannot_be_read_is_counted_and_named(tmp_path):
    path = write_bag(tmp_path / 'bag', [(5, 10)])
    types = typestore().types
    stamp = types['builtin_interfaces/msg/Time'](sec=10**9, nanosec=25 * MS)
    header = types['std_msgs/msg/Header'](stamp=stamp, frame_id='rgb')
    odd = types['sensor_msgs/msg/Image'](header, 2, 2, '32FC1', 0, 8, np.zeros(16, np.uint8))
    packed = types['sensor_msgs/msg/CompressedImage'](header, 'jpeg', np.zeros(4, np.uint8))
    made = tmp_path / 'made'
    with BagWriter(made) as writer:
        for message in bags.read_messages(path):
            writer.write_serialized(message.topic, message.type, message.cdr, message.time_ns)
        for kind, message in (('Image', odd), ('CompressedImage', packed)):
            name = f'sensor_msgs/msg/{kind}'
            writer.write_serialized(f'/{kind}', name, serialize(message, name), EPOCH + 25 * MS)
    for topic, reason in (('/Image', '32FC1'), ('/CompressedImage', 'jpeg')):
        stream = SliceStream(open_recording(made), FIXED, rgb_topic=topic)
        list(stream)
        assert stream.losses['frames_unreadable'] == 1
        assert topic in stream.damage[0]
        assert reason in stream.damage[0]


def test_a_topic_without_images_is_refused_by_name(tmp_path):
    stream = SliceStream(
        open_recording(write_bag(tmp_path / 'bag', [(5, 10)])), FIXED, rgb_topic='/none'
    )
    with pytest.raises(MicroexprError, match=r'/none in .* has no images'):
        list(stream)


def test_progress_reaches_the_end(tmp_path):
    seen = []
    list(SliceStream(open_recording(write_bag(tmp_path / 'bag')), FIXED, on_progress=seen.append))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
