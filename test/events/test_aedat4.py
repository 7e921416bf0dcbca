"""Files are written by iniVation's own library, which is also the reference that reads them."""

from __future__ import annotations

import re
import subprocess
import sys

import event_streams as streams
import numpy as np
import pytest
from event_files import write_aedat4

from microexpr_ros import bags
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.files import open_recording

dv = pytest.importorskip('dv_processing')

START_US = 1_700_000_000_000_000
SIZE = (streams.WIDTH, streams.HEIGHT)
EXPOSURE_US = 5000


@pytest.fixture(scope='module')
def events():
    events = streams.random_events(np.random.default_rng(0), 3000, 400_000_000)
    return streams.make_events(events.t + START_US * 1000, events.x, events.y, events.p)


@pytest.fixture(scope='module')
def picture():
    return np.arange(streams.HEIGHT * streams.WIDTH * 3).reshape(*SIZE[::-1], 3).astype(np.uint8)


def write(path, events, pictures=(), triggers=(), compression=dv.CompressionType.LZ4):
    config = dv.io.MonoCameraWriter.DAVISConfig('DAVIS346_1', SIZE, compression)
    writer = dv.io.MonoCameraWriter(str(path), config)
    store = dv.EventStore()
    for t, x, y, p in zip(events.t // 1000, events.x, events.y, events.p, strict=True):
        store.push_back(int(t), int(x), int(y), bool(p))
    writer.writeEvents(store)
    for number, pixels in enumerate(pictures):
        writer.writeFrame(
            dv.Frame(START_US + number, EXPOSURE_US, 0, 0, pixels, dv.FrameSource.SENSOR)
        )
    for t_us, kind in triggers:
        writer.writeTrigger(dv.Trigger(t_us, kind))


@pytest.mark.parametrize('compression', dv.CompressionType.__members__.values())
def test_events_are_those_of_the_reference(tmp_path, events, compression):
    path = tmp_path / 'events.aedat4'
    write(path, events, compression=compression)
    recording = open_recording(path)
    assert (recording.width, recording.height, recording.epoch_ns) == (*SIZE, 0)
    got, _ = streams.read(path)
    streams.assert_same(got, events)
    reference = dv.io.MonoCameraRecording(str(path))
    batches = []
    while (batch := reference.getNextEventBatch()) is not None:
        batches.append(batch.numpy())
    wanted = np.concatenate(batches)
    np.testing.assert_array_equal(got.t, wanted['timestamp'] * 1000)
    for name, column in (('x', got.x), ('y', got.y), ('polarity', got.p)):
        np.testing.assert_array_equal(column, wanted[name])


def test_every_type_of_trigger_has_a_channel_and_an_edge(tmp_path, events):
    kind = dv.TriggerType
    told = {
        kind.EXTERNAL_SIGNAL_RISING_EDGE: (0, 1),
        kind.EXTERNAL_SIGNAL_FALLING_EDGE: (0, 0),
        kind.EXTERNAL_SIGNAL_PULSE: (4, 1),
        kind.EXTERNAL_GENERATOR_RISING_EDGE: (1, 1),
        kind.EXTERNAL_GENERATOR_FALLING_EDGE: (1, 0),
        kind.APS_FRAME_START: (2, 1),
        kind.APS_FRAME_END: (2, 0),
        kind.APS_EXPOSURE_START: (3, 1),
        kind.APS_EXPOSURE_END: (3, 0),
    }
    path = tmp_path / 'events.aedat4'
    times = [START_US + 50_000 * number for number in range(len(told))]
    write(
        path, events, triggers=[(START_US, kind.TIMESTAMP_RESET), *zip(times, told, strict=True)]
    )
    recording = open_recording(path)
    chunks = list(recording.chunks())
    triggers = streams.concatenate_triggers(chunk[1] for chunk in chunks)
    wanted = streams.make_triggers(np.array(times) * 1000, *zip(*told.values(), strict=True))
    streams.assert_same(triggers, wanted)
    assert recording.losses['timestamp_resets'] == 1
    # The file has its triggers after all events; they come out in the order of time.
    newest = 0
    for part, with_it in chunks:
        assert all(newest <= t for t in with_it.t)
        newest = max([newest, *part.t[-1:], *with_it.t[-1:]])
        if len(part):
            assert all(t <= part.t[-1] for t in with_it.t)


def test_frames_tell_the_middle_of_their_exposure(tmp_path, events, picture):
    path = tmp_path / 'events.aedat4'
    write(path, events, [picture, picture[..., 0]])
    colour, grey = open_recording(path).frames()
    # OpenCV's order of colours is the reverse of ours.
    np.testing.assert_array_equal(colour.pixels, picture[..., ::-1])
    np.testing.assert_array_equal(grey.pixels, picture[..., 0])
    assert colour.t == (START_US + EXPOSURE_US // 2) * 1000


@pytest.mark.filterwarnings('ignore:skipping unknown frame format')
def test_frames_of_other_formats_are_counted(tmp_path, events, picture):
    path = tmp_path / 'events.aedat4'
    deep, alpha = picture[..., 0].astype(np.uint16), np.dstack([picture, picture[..., 0]])
    write(path, events[:10], [deep, picture, alpha, deep.astype(np.float32)])
    recording = open_recording(path)
    assert len(list(recording.frames())) == 1
    assert recording.losses['frames_not_8_bit'] == 3


def test_a_bag_gets_events_triggers_and_frames_in_order(tmp_path, events, picture):
    path = tmp_path / 'in.aedat4'
    triggers = [(START_US + 1, dv.TriggerType.EXTERNAL_SIGNAL_RISING_EDGE)]
    write(path, events, [picture] * 3, triggers)
    report = convert_recording(open_recording(path), tmp_path / 'out', image_topic='/eye')
    assert (report.events_in, report.events_out) == (len(events), len(events))
    assert (report.triggers, report.frames) == (1, 3)
    assert sum(report.dropped.values()) == 0
    messages = list(bags.read_messages(tmp_path / 'out'))
    times = [message.time_ns for message in messages]
    assert times == sorted(times)
    assert [m.time_ns for m in messages if m.topic == '/eye'] == [
        (START_US + EXPOSURE_US // 2 + number) * 1000 for number in range(3)
    ]
    assert times[0] == (START_US + 1) * 1000


def test_raw_leaves_frames_out_and_says_so(tmp_path, events, picture):
    path = tmp_path / 'in.aedat4'
    write(path, events, [picture] * 3)
    report = convert_recording(open_recording(path), tmp_path / 'out.raw')
    assert (report.frames, report.dropped['frames_not_in_raw']) == (0, 3)
    got = streams.concatenate(chunk[0] for chunk in open_recording(tmp_path / 'out.raw').chunks())
    # EVT3 stores times modulo 2^24 us.
    wanted = (events.t - events.t[0]) // 1000
    np.testing.assert_array_equal((got.t - got.t[0]) // 1000, wanted)
    np.testing.assert_array_equal(got.t[0] // 1000, events.t[0] // 1000 % (1 << 24))


def test_streams_that_are_not_read_are_counted(tmp_path, events):
    path = tmp_path / 'in.aedat4'
    config = dv.io.MonoCameraWriter.DAVISConfig('DAVIS346_1', SIZE)
    writer = dv.io.MonoCameraWriter(str(path), config)
    store = dv.EventStore()
    store.push_back(START_US, 1, 2, True)
    writer.writeEvents(store)
    writer.writeImu(dv.IMU(START_US, 20, 0, 0, 9.81, 0, 0, 0, 0, 0, 0))
    del writer
    assert open_recording(path).losses['packets_of_other_streams'] == 1


def test_a_file_without_events_is_told(tmp_path, picture):
    path = tmp_path / 'frames.aedat4'
    config = dv.io.MonoCameraWriter.FrameOnlyConfig('DAVIS346_1', SIZE)
    writer = dv.io.MonoCameraWriter(str(path), config)
    writer.writeFrame(dv.Frame(START_US, picture))
    del writer
    with pytest.raises(MicroexprError, match='no stream of events, only frame'):
        open_recording(path)


def test_a_file_that_was_cut_off_is_told(tmp_path, events, picture):
    path = tmp_path / 'events.aedat4'
    write(path, events, [picture])
    content = path.read_bytes()
    for size in (0, 5, 100, 3000, len(content) // 2, len(content) - 1000):
        path.write_bytes(content[:size])
        with pytest.raises(MicroexprError, match=r'cannot read|is empty'):
            streams.read(path)


@pytest.mark.parametrize('damaged', [0, 2, 19, 20])
def test_a_damaged_packet_costs_its_events_and_a_damaged_index_none(tmp_path, events, damaged):
    path = tmp_path / 'events.aedat4'
    write_aedat4(path, events)
    content = bytearray(path.read_bytes())
    # Where the compression of each of 20 packets begins, and that of the index.
    places = [match.start() for match in re.finditer(b'\x04"M\x18', content)]
    assert len(places) == 21
    content[places[damaged]] ^= 0x55
    path.write_bytes(content)
    recording = open_recording(path)
    got = streams.concatenate(part for part, _ in recording.chunks())
    lost = slice(damaged * 150, (damaged + 1) * 150)
    left = [np.delete(getattr(events, name), lost) for name in 'txyp']
    streams.assert_same(got, streams.make_events(*left))
    assert recording.losses['events_unreadable'] == len(events[lost]) == 150 * (damaged < 20)
    assert recording.losses['packets_damaged'] == int(damaged < 20)
    report = convert_recording(open_recording(path), tmp_path / 'out')
    assert report.events_in == len(events)


def test_what_a_killed_recorder_cut_off_is_counted(tmp_path):
    path = tmp_path / 'events.aedat4'
    command = f"""
import os, dv_processing as dv
config = dv.io.MonoCameraWriter.EventOnlyConfig('DVXplorer', {SIZE})
writer = dv.io.MonoCameraWriter({str(path)!r}, config)
for i in range(8):
    store = dv.EventStore()
    for j in range(10_000):
        store.push_back({START_US} + i * 10_000 + j, j % 64, j % 48, True)
    writer.writeEvents(store)
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, '-c', command])
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    recording = open_recording(path)
    count = sum(len(events) for events, _ in recording.chunks())
    assert 0 < count < 80_000
    assert count % 10_000 == 0
    assert recording.losses['bytes_cut_off'] > 0
