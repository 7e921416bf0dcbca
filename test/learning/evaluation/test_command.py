import json

import pytest
import torch
from typer.testing import CliRunner

from microexpr_ros.cli import evaluate
from microexpr_ros.perception import weights
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.spiking.network import SpikingConfiguration, SpikingNetwork

SMALL = SpikingConfiguration(pool=4, channels=(4, 4), kernels=(5, 3), strides=(4, 2),
                             tau_ms=(20.0, 30.0), integrators=8)  # fmt: skip


@pytest.fixture
def untrained(tmp_path):
    torch.manual_seed(0)
    classifier = ActionUnitClassifier(SpikingNetwork(SMALL).deployed(), Presence.uncalibrated(0.1))
    path = tmp_path / 'au.safetensors'
    tensors = classifier.network.state_dict()
    weights.save(path, 'au', 'tiny', classifier.to_settings(), tensors)
    return path


def test_one_run_writes_all_reports(data, untrained, tmp_path):
    page, card = tmp_path / 'new' / 'report.html', tmp_path / 'card.md'
    options = ('--data', data, '--weights', untrained, '--report', page, '--card', card, '--json')
    result = CliRunner().invoke(evaluate.app, ['au', *map(str, options)])
    assert result.exception is None, result.output
    report = json.loads(result.stdout)
    assert report['weights'] == weights.load(untrained, 'au').model
    assert report['split'] == 'test'
    assert report['shift_drop'] is None
    assert report['weights'] in page.read_text()
    assert report['weights'] in card.read_text()


def test_without_json_the_tables_are_shown(data, untrained):
    options = ('--data', data, '--weights', untrained, '--split', 'val')
    result = CliRunner().invoke(evaluate.app, ['au', *map(str, options)])
    assert result.exception is None, result.output
    assert '| uniform guess | 5.3 % |' in result.stdout
