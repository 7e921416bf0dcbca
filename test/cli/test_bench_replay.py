"""A long recording through converter, player and decoder."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('microexpr_ros.msg')

from microexpr_ros.bags import read_packets
from microexpr_ros.cli.bench.checksum import sum_columns
from microexpr_ros.cli.bench.looped_texture import LoopedTexture
from microexpr_ros.cli.bench.rates import parse_rates
from microexpr_ros.cli.bench.receiver import Receiver
from microexpr_ros.cli.bench.replay import replay
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.packets import packetize
from microexpr_ros.ros.conversions import packet_to_message
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS

ROOT = Path(__file__).resolve().parents[2]
SENSOR = replace(SENSORS['hd'], width=96, height=64)


def test_sums_are_those_of_numpy_modulo_2_64():
    t = np.array([2**62, 2**62, 2**62 + 1])
    events = Events(t, np.uint16([1, 2, 65535]), np.uint16([4, 5, 6]), np.uint8([1, 0, 1]))
    assert sum_columns(events).tolist() == [3, int(t.sum()), 65538, 15, 2]
    triggers = Triggers(np.array([5, 6]), np.uint8([255, 1]), np.uint8([1, 0]))
    assert sum_columns(triggers).tolist() == [2, 11, 256, 1]


def test_a_texture_is_as_long_and_as_dense_as_asked_for_and_never_steps_back():
    recording = LoopedTexture(SENSOR, 0.5, 200_000.0)
    pieces = [events for events, _ in recording.chunks()]
    assert len(pieces) == recording.repeats > 1
    assert recording.duration_s == pytest.approx(0.5, rel=0.5 / recording.repeats)
    assert sum(map(len, pieces)) / recording.duration_s == pytest.approx(200_000, rel=0.01)
    assert sum(map(sum_columns, pieces)).tolist() == recording.sums.tolist()
    assert pieces[-1].t[-1] == recording.end_ns
    assert 0.3 < recording.piece.p.mean() < 0.7


def test_sums_of_a_texture_may_overflow():
    recording = LoopedTexture(SENSOR, 0.5, 200_000.0)
    recording.repeats = 40_000_000
    whole, end_ns = recording.sums, recording.end_ns
    recording.repeats -= 1
    last = replace(recording.piece, t=recording.piece.t + (end_ns - recording.piece.t[-1]))
    assert len(recording.piece) * end_ns * recording.repeats > 2**66
    assert (whole - recording.sums).tolist() == sum_columns(last).tolist()


def test_a_minute_survives_the_loops_of_the_sensors_clock(tmp_path):
    recording = LoopedTexture(SENSOR, 60.0, 1000.0)
    convert_recording(recording, tmp_path / 'texture.raw')
    raw = open_recording(tmp_path / 'texture.raw')
    convert_recording(raw, tmp_path / 'bag', packet_ns=50_000_000)
    receiver = Receiver()
    for _, packet in read_packets(tmp_path / 'bag'):
        receiver.take_packet(packet_to_message(packet), 0)
    assert recording.end_ns > 3 * (1000 << 24)
    assert receiver.report()['sums'] == recording.sums.tolist()
    assert receiver.report()['end_ns'] == recording.end_ns
    assert receiver.report()['lost_packets'] == 0


def test_a_receiver_counts_the_packets_that_are_missing():
    recording = LoopedTexture(SENSOR, 0.01, 1e6)
    packets = list(packetize(recording.chunks(), SENSOR.height, SENSOR.width))
    receiver = Receiver()
    for packet in (*packets[:2], *packets[4:]):
        receiver.take_packet(packet_to_message(packet), 0)
    report = receiver.report()
    assert report['lost_packets'] == 2
    assert report['packets'] == len(packets) - 2 == len(receiver.latencies_ns)
    assert report['sums'][0] < len(recording.piece)


@pytest.mark.parametrize('rates', ['', 'fast', '1,,2', '1,0', '-1'])
def test_rates_that_nothing_can_be_played_at(rates):
    with pytest.raises(MicroexprError, match='for example 1,2'):
        parse_rates(rates)


def test_a_recording_that_does_not_fit_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(MicroexprError, match=r'0\.0 GB are free: give fewer --seconds'):
        replay(1.0, 0.1, 'hd', 96, 64, '1', None, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_written_is_refused(tmp_path):
    with pytest.raises(MicroexprError, match=r"--source 'csv' is not known; choose of raw, meta"):
        replay(1.0, 0.1, 'hd', 96, 64, '1', None, tmp_path, source='csv')


@pytest.mark.slow
@pytest.mark.parametrize('source', ['raw', 'metavision'])
def test_nothing_is_lost_on_the_way(tmp_path, source):
    result = subprocess.run(
        [
            *(sys.executable, '-c', 'from microexpr_ros.cli import main; main()'),
            *('bench', 'replay', '--seconds', '1', '--mev-per-s', '1', '--rates', '1'),
            *('--width', '320', '--height', '180', '--work-dir', tmp_path, '--keep', '--json'),
            *('--source', source),
        ],
        cwd=ROOT,
        env={**os.environ, 'ROS_DOMAIN_ID': str(os.getpid() % 100 + 1), 'MICROEXPR_TEST_DATA': ''},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    events = report['scene']['events']
    assert report['scene']['source'] == source
    assert report['convert']['events_out'] == events
    (row,) = report['rows']
    assert row['events'] == events
    assert row['exact']
    assert row['lost_packets'] == 0
    assert max(row['peak_mb'].values()) < 1000
    assert row['latency_ms']['p50'] < 100
    assert [path.name for path in tmp_path.iterdir()] == ['bag']
