"""The command line as a user meets it: in a process of its own."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('microexpr_ros.msg')

from microexpr_ros import facs
from microexpr_ros.bags import BagWriter
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.packets import packetize

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def microexpr(tmp_path, monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(os.getpid() % 100 + 1))
    monkeypatch.setenv('MICROEXPR_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('PYTHONPATH', str(ROOT))

    def run(*arguments):
        command = [sys.executable, '-c', 'from microexpr_ros.cli import main; main()']
        return subprocess.run(
            [*command, *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
        )

    return run


def write_bag(path, seconds=1.0, topic='/event_camera/events'):
    """A head's outline that trembles, in front of a VGA sensor."""
    random = np.random.default_rng(0)
    count = int(seconds * 200_000)
    angle = random.uniform(0, 2 * np.pi, count)
    events = Events(
        np.sort(random.integers(0, int(seconds * 1e6), count)) * 1000,
        (320 + 90 * np.cos(angle) + random.normal(0, 1.5, count)).astype(np.uint16),
        (220 + 110 * np.sin(angle) + random.normal(0, 1.5, count)).astype(np.uint16),
        random.integers(0, 2, count).astype(np.uint8),
    )
    with BagWriter(path) as writer:
        for packet in packetize([(events, Triggers.empty())], 480, 640, epoch_ns=10**18):
            writer.write_packet(topic, packet)
    return len(events)


def test_the_demo_leaves_video_timeline_table_and_report(microexpr, tmp_path):
    total = write_bag(tmp_path / 'bag', topic='/my/events')
    result = microexpr('demo', '--source', 'bag', '--out', 'out', '--headless', '--json')
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report['events'] == total
    assert report['lost_packets'] == 0
    assert report['windows'] == report['au_messages'] >= 99
    assert report['reconstructed_frames'] > 10
    assert set(report['latency_ms']) == {'p50', 'p99'}
    assert report['real_time_factor'] > 0.9
    out = tmp_path / 'out'
    assert {path.name for path in out.iterdir()} == {
        'demo.mp4',
        'timeline.png',
        'au_predictions.csv',
        'report.json',
    }
    assert json.loads((out / 'report.json').read_text()) == report
    with (out / 'au_predictions.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == report['au_messages']
    for name in (f'AU{code:02d}' for code in facs.CODES):
        stronger = max(float(rows[-1][f'{name}_{side}']) for side in ('left', 'right'))
        assert 0 <= float(rows[-1][name]) == stronger <= 1
    video = cv2.VideoCapture(str(out / 'demo.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) >= 24
    assert video.read()[1].shape == (416, 1248, 3)
    assert cv2.imread(str(out / 'timeline.png')) is not None


def no_source(_):
    return ('demo', '--source', 'nowhere', '--headless')


def bag_without_events(path):
    with BagWriter(path / 'frames') as writer:
        writer.write_image('/images', np.zeros((4, 4), np.uint8), 1, 'camera')
    return ('demo', '--source', 'frames', '--headless')


def truncated_bag(path):
    write_bag(path / 'cut', 0.2)
    (file,) = (path / 'cut').glob('*.mcap')
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    return ('demo', '--source', 'cut', '--headless')


def unknown_format(path):
    (path / 'events.xyz').write_bytes(b'0123456789')
    return ('demo', '--source', 'events.xyz', '--headless')


def events_beside_the_sensor(path):
    table = np.zeros(10, [('t', 'f8'), ('x', 'u2'), ('y', 'u2'), ('p', '?')])
    table['t'], table['x'] = np.arange(10) * 0.0015, 900
    np.save(path / 'wide.npy', table)
    return ('convert', 'wide.npy', 'bag', '--sensor', '640x480', '--time-unit', 's')


def no_data(_):
    return ('train', 'au', '--data', 'nowhere', '--out', 'runs')


def no_weights(path):
    return ('evaluate', 'au', '--data', 'nowhere', '--weights', 'nowhere.safetensors')


def bad_rates(_):
    return ('bench', 'pipeline', '--rates', 'fast')


def bad_split(_):
    return ('synth', '--out', 'data', '--split', 'exam')


def bad_option(_):
    return ('demo', '--sauce', 'real')


@pytest.mark.parametrize(
    'case',
    [
        no_source, bag_without_events, truncated_bag, unknown_format, events_beside_the_sensor,
        no_data, no_weights, bad_rates, bad_split, bad_option,
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line_and_leaves_nothing(microexpr, tmp_path, case):
    arguments = case(tmp_path)
    before = set(tmp_path.rglob('*'))
    result = microexpr(*arguments)
    assert result.returncode == 2, result.stderr
    assert 'Traceback' not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.lower().startswith('error:')]
    assert len(lines) == 1, result.stderr
    assert result.stdout == ''
    left = {path for path in set(tmp_path.rglob('*')) - before if path.is_file()}
    assert left == set()


def test_the_doctor_finds_this_environment_healthy(microexpr):
    result = microexpr('doctor', '--json')
    report = json.loads(result.stdout)
    assert result.returncode == 0, report
    assert report['healthy']
    names = {finding['name'] for finding in report['findings']}
    assert {'rclpy', 'ROS messages', 'torch', 'onnxruntime', 'PyYAML', 'cv_bridge'} <= names


def test_every_command_explains_itself(microexpr):
    result = microexpr('--help')
    assert result.returncode == 0
    for command in ('demo', 'doctor', 'synth', 'train', 'evaluate', 'bench', 'convert'):
        assert command in result.stdout
