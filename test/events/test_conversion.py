from __future__ import annotations

import json

import event_streams as streams
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from microexpr_ros.cli.convert import convert
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import bags
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.packets import packetize


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
            writer.write_packet(bags.EVENTS_TOPIC, packet)
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
    assert (report['triggers'], report['dropped']) == (len(triggers), 0)
    assert report['seconds'] > 0
    assert report['peak_mb'] > 0
    decoded = read(tmp_path / target)
    streams.assert_same(decoded[0], events)
    streams.assert_same(decoded[1], triggers)


def test_encodings_without_triggers_count_what_is_left_out(tmp_path, source):
    path, events, triggers, epoch_ns = source
    recording = open_recording(path)
    report = convert_recording(recording, tmp_path / 'out', encoding='libcaer', topic='/eye')
    assert (report.triggers, report.dropped_triggers) == (0, len(triggers))
    streams.assert_same(read(tmp_path / 'out')[0], events)
    _, first = next(bags.read_packets(tmp_path / 'out', '/eye'))
    # A bag keeps the host's times.
    assert first.stamp_ns == epoch_ns + int(events.t[0])


def test_arrays_become_bags(tmp_path, source):
    events = source[1]
    np.savez(tmp_path / 'in.npz', t=events.t, x=events.x, y=events.y, p=events.p)
    result = run(tmp_path / 'in.npz', tmp_path / 'out', '--time-unit', 'ns', '--sensor', '64x48')
    assert result.exit_code == 0, result.output
    streams.assert_same(read(tmp_path / 'out')[0], events)


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


def test_nothing_is_overwritten(tmp_path, source):
    (tmp_path / 'out.raw').write_text('precious')
    with pytest.raises(MicroexprError, match='already there'):
        convert_recording(open_recording(source[0]), tmp_path / 'out.raw')
    assert (tmp_path / 'out.raw').read_text() == 'precious'


def test_raw_is_always_evt3(tmp_path, source):
    with pytest.raises(MicroexprError, match='evt3, not mono'):
        convert_recording(open_recording(source[0]), tmp_path / 'out.raw', encoding='mono')


def test_progress_ends_at_one(tmp_path, source):
    fractions = []
    convert_recording(open_recording(source[0]), tmp_path / 'o.raw', on_progress=fractions.append)
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
