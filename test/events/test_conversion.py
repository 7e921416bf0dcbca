from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import event_streams as streams
import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from packet_bags import SECOND, fill
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from typer.testing import CliRunner

from microexpr_ros import bags
from microexpr_ros.bags.folder import BagFolder
from microexpr_ros.cli.convert import convert
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import codecs
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.packets import PACKET_NS, packetize
from microexpr_ros.topics import EVENTS_TOPIC

SENSOR = (streams.WIDTH, streams.HEIGHT)


@pytest.fixture
def source(tmp_path):
    """A bag with events and triggers, and what is in it."""
    events = streams.random_events(np.random.default_rng(0), 3000, 40_000_000)
    triggers = streams.make_triggers(np.arange(40) * 1_000_000, [6] * 40, [0, 1] * 20)
    epoch_ns = 1_700_000_000_000_000_000
    path = tmp_path / 'source'
    with bags.BagWriter(path) as writer:
        stream = [(events, triggers)]
        for packet in packetize(stream, streams.HEIGHT, streams.WIDTH, epoch_ns=epoch_ns):
            writer.write_packet(EVENTS_TOPIC, packet)
    return path, events, triggers, epoch_ns


def read(path):
    chunks = list(open_recording(path).chunks())
    return (
        streams.concatenate(chunk[0] for chunk in chunks),
        streams.concatenate_triggers(chunk[1] for chunk in chunks),
    )


def run(*arguments):
    app = typer.Typer()
    app.command()(convert)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ('target', 'options'),
    [('out.raw', ()), ('out', ()), ('out', ('--storage', 'sqlite3', '--packet-ms', '5'))],
)
def test_evt3_targets_keep_everything(tmp_path, source, target, options):
    path, events, triggers, _ = source
    result = run(path, tmp_path / target, '--json', *options)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report['events_in'], report['events_out']) == (len(events), len(events))
    assert report['triggers'] == len(triggers)
    assert report['dropped']['outside_sensor'] == 0
    assert sum(report['dropped'].values()) == 0
    assert report['seconds'] > 0
    assert report['peak_mb'] > 0
    decoded = read(tmp_path / target)
    streams.assert_same(decoded[0], events)
    streams.assert_same(decoded[1], triggers)


def test_encodings_without_triggers_count_what_is_left_out(tmp_path, source):
    path, events, triggers, epoch_ns = source
    recording = open_recording(path)
    report = convert_recording(recording, tmp_path / 'out', encoding='libcaer', topic='/eye')
    assert report.triggers == 0
    assert report.dropped['triggers_not_in_encoding'] == len(triggers)
    streams.assert_same(read(tmp_path / 'out')[0], events)
    _, first = next(bags.read_packets(tmp_path / 'out', '/eye'))
    # A bag keeps the host's times.
    assert first.stamp_ns == epoch_ns + int(events.t[0])


@pytest.mark.parametrize(('encoding', 'cut'), [('evt3', 2), ('libcaer', 2), ('mono', 0)])
def test_times_that_an_encoding_cuts_are_counted(tmp_path, encoding, cut):
    zeros = np.zeros(3, int)
    np.savez(tmp_path / 'in.npz', t=np.array([1000, 2001, 2999]), x=zeros, y=zeros, p=zeros)
    recording = open_recording(tmp_path / 'in.npz', time_unit='ns', sensor=SENSOR)
    report = convert_recording(recording, tmp_path / 'out', encoding=encoding)
    assert report.times_cut == cut
    assert sum(report.dropped.values()) == 0
    times = read(tmp_path / 'out')[0].t
    assert times.tolist() == ([1000, 2000, 2000] if cut else [1000, 2001, 2999])


def test_arrays_become_bags(tmp_path, source):
    events = source[1]
    np.savez(tmp_path / 'in.npz', t=events.t, x=events.x, y=events.y, p=events.p)
    result = run(tmp_path / 'in.npz', tmp_path / 'out', '--time-unit', 'ns', '--sensor', '64x48')
    assert result.exit_code == 0, result.output
    streams.assert_same(read(tmp_path / 'out')[0], events)


@pytest.mark.parametrize(
    ('target', 'options'),
    [
        ('out.raw', {}),
        ('mcap', {'encoding': 'evt3'}),
        ('sqlite3', {'encoding': 'evt3', 'storage': 'sqlite3'}),
        ('libcaer', {'encoding': 'libcaer'}),
        ('libcaer_cmp', {'encoding': 'libcaer_cmp'}),
        ('mono', {'encoding': 'mono'}),
    ],
)
@settings(max_examples=15, deadline=None)
@given(events=streams.events(), packet_ns=st.sampled_from([100_000, PACKET_NS]))
def test_every_target_says_the_same(events, packet_ns, target, options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'in.npz')
        np.savez(path, t=events.t, x=events.x, y=events.y, p=events.p)
        recording = open_recording(path, time_unit='ns', sensor=SENSOR)
        report = convert_recording(recording, Path(folder, target), packet_ns=packet_ns, **options)
        assert (report.events_in, report.events_out) == (len(events), len(events))
        assert sum(report.dropped.values()) == 0
        if len(events) or target.endswith('.raw'):
            streams.assert_same(read(Path(folder, target))[0], events)


@pytest.mark.parametrize('target', ['out.raw', 'out'])
def test_an_error_leaves_nothing_behind(tmp_path, source, target):
    events = source[1]
    x = events.x.copy()
    x[-1] = 64
    np.savez(tmp_path / 'in.npz', t=events.t, x=x, y=events.y, p=events.p)
    before = set(tmp_path.iterdir())
    result = run(tmp_path / 'in.npz', tmp_path / target, '--time-unit', 'ns', '--sensor', '64x48')
    assert isinstance(result.exception, MicroexprError)
    assert set(tmp_path.iterdir()) == before


def test_nothing_is_overwritten(tmp_path, source, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MicroexprError, match='already there'):
        convert_recording(open_recording(source[0]), Path())
    (tmp_path / 'out.raw').write_text('precious')
    with pytest.raises(MicroexprError, match='already there'):
        convert_recording(open_recording(source[0]), tmp_path / 'out.raw')
    assert (tmp_path / 'out.raw').read_text() == 'precious'


@pytest.mark.parametrize('target', ['out.raw', 'out'])
def test_an_interruption_leaves_nothing_behind(tmp_path, source, target):
    def interrupt(_):
        raise KeyboardInterrupt

    before = set(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        convert_recording(open_recording(source[0]), tmp_path / target, on_progress=interrupt)
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize('target', ['out.raw', 'out'])
def test_what_a_killed_conversion_left_is_removed_by_the_next(tmp_path, source, target):
    before = set(tmp_path.iterdir())
    command = (
        'import os, pathlib, sys\n'
        'from microexpr_ros.events.conversion import convert_recording\n'
        'from microexpr_ros.events.files import open_recording\n'
        'recording, target = open_recording(sys.argv[1]), pathlib.Path(sys.argv[2])\n'
        'convert_recording(recording, target, on_progress=lambda _: os.kill(os.getpid(), 9))\n'
    )
    result = subprocess.run([sys.executable, '-c', command, source[0], tmp_path / target])
    assert result.returncode == -signal.SIGKILL
    assert not (tmp_path / target).exists()
    assert len(set(tmp_path.iterdir()) - before) == 1
    convert_recording(open_recording(source[0]), tmp_path / target)
    assert set(tmp_path.iterdir()) - before == {tmp_path / target}
    streams.assert_same(read(tmp_path / target)[0], source[1])


def test_two_at_a_time_are_refused(tmp_path, source):
    def convert_again(_):
        with pytest.raises(MicroexprError, match='being written by another process'):
            convert_recording(open_recording(source[0]), tmp_path / 'out.raw')

    convert_recording(open_recording(source[0]), tmp_path / 'out.raw', on_progress=convert_again)
    streams.assert_same(read(tmp_path / 'out.raw')[0], source[1])


def test_what_lies_outside_the_sensor_is_counted(tmp_path):
    path = tmp_path / 'in.raw'
    # A row beyond the sensor, a word that EVT3 does not define, and half a word.
    words = np.array([0x2803, 0x8000, 0x6005, 0x0002, 0x2803, 0x0030, 0x2003, 0x1000], '<u2')
    header = b'% evt 3.0\n% geometry 64x48\n% end\n'
    path.write_bytes(header + words.tobytes() + b'\0')
    report = convert_recording(open_recording(path), tmp_path / 'out.raw')
    assert (report.events_in, report.events_out) == (3, 1)
    losses = {reason: count for reason, count in report.dropped.items() if count}
    assert losses == {'outside_sensor': 1, 'undated': 1, 'undefined_words': 2}


def test_a_bar_is_drawn_where_standard_error_is_a_terminal(tmp_path, source):
    terminal, end = pty.openpty()
    command = 'from microexpr_ros.cli import main; main()'
    arguments = ['convert', str(source[0]), str(tmp_path / 'out.raw'), '--json']
    result = subprocess.run(
        [sys.executable, '-c', command, *arguments], stdout=subprocess.PIPE, stderr=end, check=True
    )
    os.close(end)
    assert b'100%' in os.read(terminal, 1 << 16)
    os.close(terminal)
    assert json.loads(result.stdout)['events_out'] == len(source[1])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording(tmp_path):
    peaks = []
    for pieces in (4, 40):
        path = tmp_path / f'{pieces}.raw'
        write_long(path, pieces)
        command = 'from microexpr_ros.cli import main; main()'
        arguments = ['convert', str(path), str(tmp_path / f'{pieces}'), '--json']
        result = subprocess.run(
            [sys.executable, '-c', command, *arguments], stdout=subprocess.PIPE, check=True
        )
        report = json.loads(result.stdout)
        assert report['events_out'] == pieces * 1_000_000
        peaks.append(report['peak_mb'])
    assert peaks[1] < peaks[0] + 30 < 400


def write_long(path, pieces):
    """Write so many million events of a sensor of 1280 x 720 pixels, at 20 million a second."""
    height, width, span_ns = 720, 1280, 50_000_000
    rng = np.random.default_rng(0)
    encoder = codecs.encoder('evt3', height, width)
    with path.open('wb') as file:
        file.write(f'% evt 3.0\n% geometry {width}x{height}\n% end\n'.encode())
        for number in range(pieces):
            events = streams.random_events(rng, 1_000_000, span_ns, height, width)
            shifted = replace(events, t=events.t + number * span_ns)
            file.write(encoder.encode(shifted)[1])


def test_raw_is_always_evt3(tmp_path, source):
    with pytest.raises(MicroexprError, match='evt3, not mono'):
        convert_recording(open_recording(source[0]), tmp_path / 'out.raw', encoding='mono')


def test_progress_ends_at_one(tmp_path, source):
    fractions = []
    convert_recording(open_recording(source[0]), tmp_path / 'o.raw', on_progress=fractions.append)
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)


@pytest.mark.parametrize('name', ['out.dat', 'out.mcap', 'out.NPY', 'out.aedat4'])
def test_a_name_of_a_format_that_is_only_read_is_refused(tmp_path, source, name):
    with pytest.raises(MicroexprError, match='cannot be written as'):
        convert_recording(open_recording(source[0]), tmp_path / name)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize('topic', ['bad topic', '', '/', '/a//b', '/1st', 'a/', '/é'])
def test_a_topic_that_ros_would_refuse_is_refused(tmp_path, source, topic):
    for options in ({'topic': topic}, {'image_topic': topic}):
        with pytest.raises(MicroexprError, match='is not the name of a topic'):
            convert_recording(open_recording(source[0]), tmp_path / 'bag', **options)


def test_what_else_a_bag_holds_goes_along(tmp_path, source):
    convert_recording(open_recording(source[0]), tmp_path / 'bare', encoding='mono')
    packets = [packet for _, packet in bags.read_packets(tmp_path / 'bare')]
    picture = np.arange(48 * 64).reshape(48, 64).astype(np.uint8)
    with bags.BagWriter(tmp_path / 'in') as writer:
        for packet in packets:
            writer.write_packet('/left/events', replace(packet, frame_id='left'))
        for number in range(5):
            writer.write_image('/rgb', picture + number, packets[number].stamp_ns, 'rgb')
        latched = Qos(
            QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL,
            QosTime(0, 0), QosTime(0, 0), QosLiveliness.AUTOMATIC, QosTime(0, 0), False,
        )  # fmt: skip
        image = next(bags.read_messages(tmp_path / 'bare')).cdr
        writer.write_serialized('/latched', bags.EVENT_PACKET, image, 5, (latched,))
    report = convert_recording(
        open_recording(tmp_path / 'in', topic='/left/events'), tmp_path / 'out'
    )
    assert report.dropped['messages_of_other_topics'] == 0
    found = {topic.name: topic for topic in bags.read_contents(tmp_path / 'out').topics}
    assert found['/latched'].offered_qos == (latched,)
    images = [list(bags.read_messages(tmp_path / name, ['/rgb'])) for name in ('in', 'out')]
    assert images[0] == images[1]
    assert len(images[0]) == 5
    packets = bags.read_packets(tmp_path / 'out', EVENTS_TOPIC)
    assert {packet.frame_id for _, packet in packets} == {'left'}
    report = convert_recording(
        open_recording(tmp_path / 'in', topic='/left/events'), tmp_path / 'out.raw'
    )
    assert report.dropped['messages_of_other_topics'] == 6


def test_files_that_metadata_does_not_name_are_counted_and_named(tmp_path, caplog):
    bag = BagFolder(tmp_path / 'bag', max_ns=SECOND // 10)
    fill(bag, 250)
    bag.close()
    metadata = tmp_path / 'bag' / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('  - bag_1.mcap\n', ''))
    recording = open_recording(tmp_path / 'bag')
    assert recording.losses['files_not_in_metadata'] == 1
    assert 'metadata.yaml does not name bag_1.mcap, which is not read' in caplog.text


def test_times_that_a_decoder_held_are_counted(tmp_path):
    path = tmp_path / 'in.raw'
    words = [0x8001, 0x6020, 0x0002, 0x2003, 0x6010, 0x2004, 0x6030, 0x2005]
    path.write_bytes(b'% evt 3.0\n% geometry 64x48\n% end\n' + np.array(words, '<u2').tobytes())
    report = convert_recording(open_recording(path), tmp_path / 'out')
    assert (report.events_out, report.times_held) == (3, 1)


def test_triggers_of_channels_that_evt3_lacks_are_counted(tmp_path):
    path = tmp_path / 'in.raw'
    words = [0x80000001, 0xA << 28 | 3 << 8, 0xA << 28 | 16 << 8, 0xA << 28 | 15 << 8]
    path.write_bytes(b'% evt 2.0\n% geometry 64x48\n% end\n' + np.array(words, '<u4').tobytes())
    report = convert_recording(open_recording(path), tmp_path / 'out')
    assert (report.triggers, report.dropped['triggers_not_in_encoding']) == (2, 1)
    assert read(tmp_path / 'out')[1].id.tolist() == [3, 15]
    report = convert_recording(open_recording(path), tmp_path / 'out.hdf5')
    assert (report.triggers, report.dropped['triggers_not_in_metavision']) == (3, 0)
