import json

import numpy as np
import pytest
import torch
from command_line import invoke
from face_bags import write_face_bag
from torch import nn

from microexpr_ros.bags import BagWriter
from microexpr_ros.cli.bench import models
from microexpr_ros.cli.demo import sources
from microexpr_ros.cli.demo.sources import Source
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.packets import packetize


@pytest.fixture(autouse=True)
def threads():
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    """Return a bag in which a face is found."""
    path = tmp_path_factory.mktemp('bench') / 'bag'
    write_face_bag(path, 1.5)
    return path


def test_every_runtime_is_timed_and_agrees(bag):
    result = invoke(models.app, '--source', bag, '--slices', 40, '--json')
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    rows = {(row['model'].partition('@')[0], row['runtime']): row for row in report['rows']}
    assert [runtime for _, runtime in rows] == [
        'norse', 'onnxruntime', 'classifier', 'torch', 'onnxruntime'
    ]  # fmt: skip
    for row in rows.values():
        assert 0 < row['ms'] <= row['p99_ms']
        assert row['agreement'] >= 0.9999
        assert row['same_decisions'] in (None, 1.0)
        assert row['mmac'] > 1
    assert report['slices'] == 40


def test_the_table_is_printed(bag):
    result = invoke(models.app, '--source', bag, '--slices', 20)
    assert result.exit_code == 0, result.output
    assert 'onnxruntime' in result.stdout


def test_without_a_face_there_is_nothing_to_measure(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        one = Events(np.array([5]), *(np.zeros(1, d) for d in (np.uint16, np.uint16, np.uint8)))
        for packet in packetize([(one, Triggers.empty())], 48, 64):
            writer.write_packet('/event_camera/events', packet)
    with pytest.raises(MicroexprError, match='no face'):
        invoke(models.app, '--source', tmp_path / 'bag')


def test_multiply_adds_by_hand():
    class Tiny(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = nn.Conv2d(2, 3, 3, padding=1)
            self.projection = nn.Linear(3 * 4 * 4, 5)

        def inputs(self):
            return (torch.zeros(1, 2, 4, 4),)

        def forward(self, x):
            return self.projection(self.convolution(x).flatten(1))

    assert models._macs(Tiny()) == 4 * 4 * 3 * (2 * 3 * 3) + 3 * 4 * 4 * 5


def test_synthetic_events_stand_in_for_a_recording_that_cannot_be_had(monkeypatch, tmp_path):
    stand_in = Source(tmp_path, '/events', None, 'stand-in', 1.0)
    asked = []

    def prepare(name, seconds, scratch, progress, **_):
        asked.append((name, seconds))
        if name == 'real':
            raise MicroexprError('no network')
        return stand_in

    monkeypatch.setattr(sources, 'prepare_source', prepare)
    assert models._prepare('real', 500, tmp_path, None, None) is stand_in
    assert [name for name, _ in asked] == ['real', 'synthetic']
    assert asked[0][1] == pytest.approx(6.0)
