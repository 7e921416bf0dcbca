"""Folders for EVREAL, read as its `dataset.MemMapDataset` reads them."""

import json

import event_streams as streams
import numpy as np
import pytest
from typer.testing import CliRunner

from microexpr_ros import bags
from microexpr_ros.cli.convert import app
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.events import Frame, Triggers
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.packets import packetize
from microexpr_ros.events.writers.evreal import EvrealWriter
from microexpr_ros.topics import EVENT_FRAMES_TOPIC, EVENTS_TOPIC

EPOCH_NS = 1_700_000_000_000_000_000


@pytest.fixture
def bag(tmp_path):
    events = streams.random_events(np.random.default_rng(0), 3000, 40_000_000)
    path = tmp_path / 'bag'
    with bags.BagWriter(path) as writer:
        stream = [(events, Triggers.empty())]
        for packet in packetize(stream, streams.HEIGHT, streams.WIDTH, epoch_ns=EPOCH_NS):
            writer.write_packet(EVENTS_TOPIC, packet)
        for number, level in enumerate((50, 200)):
            pixels = np.full((2 * streams.HEIGHT, 2 * streams.WIDTH, 3), level, np.uint8)
            at_ns = EPOCH_NS + (15 + 15 * number) * 1_000_000
            writer.write_image(EVENT_FRAMES_TOPIC, pixels, at_ns, 'camera')
    return path, events


def test_events_and_frames_have_the_layout_of_evreal(bag, tmp_path):
    path, events = bag
    out = tmp_path / 'out'
    result = CliRunner().invoke(app, [str(path), str(out), '--to', 'evreal', '--json'])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report['events_out'], report['frames']) == (len(events), 2)
    made = {file.stem: np.load(file) for file in out.glob('*.npy')}
    assert {name: (array.dtype.kind, array.shape) for name, array in made.items()} == {
        'events_ts': ('f', (len(events),)),
        'events_xy': ('i', (len(events), 2)),
        'events_p': ('u', (len(events),)),
        'images': ('u', (2, streams.HEIGHT, streams.WIDTH, 1)),
        'images_ts': ('f', (2,)),
        'image_event_indices': ('i', (2, 1)),
    }
    times_ns = events.t // 1000 * 1000
    np.testing.assert_allclose(np.diff(made['events_ts']), np.diff(times_ns) / 1e9, atol=1e-9)
    np.testing.assert_array_equal(made['events_xy'].T, [events.x, events.y])
    np.testing.assert_array_equal(made['events_p'], events.p)
    assert [int(image.max()) for image in made['images']] == [50, 200]
    for at_s, (before,) in zip(made['images_ts'], made['image_event_indices'], strict=True):
        assert (made['events_ts'][:before] <= at_s).all()
        assert (made['events_ts'][before:] > at_s).all()
    described = json.loads((out / 'metadata.json').read_text())
    assert described == {'sensor_resolution': [streams.HEIGHT, streams.WIDTH]}


def test_without_frames_there_are_none(tmp_path):
    events = streams.random_events(np.random.default_rng(0), 100, 1_000_000)
    np.savez(tmp_path / 'in.npz', t=events.t, x=events.x, y=events.y, p=events.p)
    size = streams.WIDTH, streams.HEIGHT
    recording = open_recording(tmp_path / 'in.npz', time_unit='ns', sensor=size)
    report = convert_recording(recording, tmp_path / 'out', to='evreal')
    # Floating-point seconds need no whole us.
    assert (report.times_cut, report.frames) == (0, 0)
    assert sorted(file.name for file in (tmp_path / 'out').iterdir()) == [
        'events_p.npy',
        'events_ts.npy',
        'events_xy.npy',
        'metadata.json',
    ]
    np.testing.assert_allclose(np.load(tmp_path / 'out/events_ts.npy'), events.t / 1e9)


def test_a_frame_in_colour_becomes_grey(tmp_path):
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[..., 1] = 255
    with EvrealWriter(tmp_path / 'out', 4, 6) as writer:
        writer.write_frame(Frame(1_000_000, pixels))
    assert set(np.load(tmp_path / 'out/images.npy').ravel().tolist()) == {150}
    assert np.load(tmp_path / 'out/image_event_indices.npy').tolist() == [[0]]
