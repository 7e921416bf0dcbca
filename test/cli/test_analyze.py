"""`microexpr analyze` in this process."""

import json
import re

import numpy as np
import pytest
from command_line import invoke
from counting_network import counting_classifier
from event_streams import random_events
from face_bags import write_face_bag

from microexpr_ros.bags import BagWriter
from microexpr_ros.cli.analyze import app
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.packets import packetize
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.perception.faces import landmarker
from microexpr_ros.topics import EVENTS_TOPIC


@pytest.fixture
def bag(tmp_path, monkeypatch):
    """Three seconds of a head, read by a network that costs nothing."""
    monkeypatch.setattr(ActionUnitClassifier, 'load', lambda path=None: counting_classifier())
    write_face_bag(tmp_path / 'face', 3.0)
    return tmp_path / 'face'


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_runs_write_the_same_bytes(bag, tmp_path):
    for name in ('one', 'two'):
        result = invoke(app, bag, '--out', tmp_path / name)
        assert result.exit_code == 0
        assert '1 blinks, 3 of speech; left out: nothing' in result.stdout
        assert re.search(r'0 frames, a face in \d+% of it, from events: ', result.stdout)
    one, two = (contents(tmp_path / name / 'face') for name in ('one', 'two'))
    assert one == two
    assert set(one) == {'action_units.csv', 'movements.csv', 'summary.json', 'timeline.png'}


def test_a_line_says_where_no_face_was_found_or_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(ActionUnitClassifier, 'load', lambda path=None: counting_classifier())
    noise = random_events(np.random.default_rng(0), 4000, 500_000_000, 480, 640)
    with BagWriter(tmp_path / 'noise') as writer:
        for packet in packetize([(noise, Triggers.empty())], 480, 640, epoch_ns=10**18):
            writer.write_packet(EVENTS_TOPIC, packet)
    given = (app, tmp_path / 'noise', '--out')
    assert '0 frames, no face was found: ' in invoke(*given, tmp_path / 'a').stdout
    region = ('--region', '10,20,200,200')
    assert '0 frames, a fixed region: ' in invoke(*given, tmp_path / 'b', *region).stdout
    read = [json.loads((tmp_path / name / 'noise' / 'summary.json').read_text()) for name in 'ab']
    assert [one['face_source'] for one in read] == ['events', 'fixed']


def test_a_video_is_written_and_redacted_results_replace_it(bag, tmp_path):
    out = tmp_path / 'out'
    invoke(app, bag, '--out', out, '--video')
    assert (out / 'face' / 'overlay.mp4').stat().st_size > 1000
    with pytest.raises(MicroexprError, match='leave out --video'):
        invoke(app, bag, '--out', out, '--video', '--redact')
    with pytest.raises(MicroexprError, match='--overwrite'):
        invoke(app, bag, '--out', out)
    invoke(app, bag, '--out', out, '--redact', '--overwrite')
    assert set(contents(out / 'face')) == {'action_units.csv', 'movements.csv', 'summary.json'}


def test_what_faces_are_found_in_is_checked_before_anything_is_read(bag, tmp_path, monkeypatch):
    monkeypatch.setattr(landmarker, '_find_missing', lambda: ['mediapipe'])
    out = tmp_path / 'out'
    for given, message in (
        (('--face-source', 'hri'), "'hri' is none of auto, rgb, events"),
        (('--face-source', 'rgb'), 'MediaPipe needs packages'),
        (('--geometry', tmp_path / 'none.yaml'), 'no geometry'),
        (('--face-source', 'events', '--workers', '1'), 'a fleet finds faces in the events'),
    ):
        with pytest.raises(MicroexprError, match=message):
            invoke(app, bag, '--out', out, *given)
    assert not out.exists()


def test_a_recording_that_cannot_be_read_does_not_cost_the_others(bag, tmp_path):
    damaged = tmp_path / 'damaged.npz'
    damaged.write_bytes(b'nothing')
    out = tmp_path / 'out'
    result = invoke(app, damaged, bag, '--out', out, '--json')
    assert result.exit_code == 2
    broken, whole = json.loads(result.stdout)['recordings']
    assert str(damaged) in broken['error']
    assert str(damaged) in result.stderr
    assert (whole['recording'], whole['blinks']) == ('face', 1)
    assert [path.name for path in out.iterdir()] == ['face']


def test_files_of_other_formats_and_a_fixed_region(tmp_path, bag):
    table = np.zeros(3000, [('t', 'i8'), ('x', 'u2'), ('y', 'u2'), ('p', '?')])
    table['t'], table['x'] = np.arange(3000) * 100, 9
    np.save(tmp_path / 'array.npy', table)
    options = ('--sensor', '64x48', '--time-unit', 'us', '--region', '0,0,64,48')
    result = invoke(app, tmp_path / 'array.npy', '--out', tmp_path / 'out', '--json', *options)
    [found] = json.loads(result.stdout)['recordings']
    assert (found['events'], found['slices'], found['faces']) == (3000, 30, 1)
    with pytest.raises(MicroexprError, match='X,Y,WIDTH,HEIGHT'):
        invoke(app, bag, '--out', tmp_path / 'new', '--region', '1,2,3')
