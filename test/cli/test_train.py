import json

import numpy as np
import pytest
import torch
from command_line import assert_one_clear_line, invoke

from microexpr_ros.cli import evaluate, train
from microexpr_ros.errors import MicroexprError
from microexpr_ros.perception import weights
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['au', 'reconstruction'])
def test_train_then_evaluate(data, tmp_path, kind):
    trained = invoke(train.app, kind, '--data', data, '--out', tmp_path, '--epochs', 1, '--json')
    result = json.loads(trained.stdout)
    assert result['weights'] == str(tmp_path / f'{kind}.safetensors')
    scored = invoke(evaluate.app, kind, '--data', data, '--weights', result['weights'], '--json')
    report = json.loads(scored.stdout)
    assert report['split'] == 'test'
    assert report['n_clips'] == 6
    assert report['weights'] == result['model']
    assert 'test' in report['provenance']['data']


@pytest.fixture(scope='module')
def tiny_reconstructor(tmp_path_factory):
    """Return the weights file of an untrained reconstructor."""
    torch.manual_seed(0)
    network = ConditionalVae(ReconstructionConfiguration(fine=4, width=4, latent=2)).deployed()
    path = tmp_path_factory.mktemp('tiny') / 'reconstruction.safetensors'
    settings = {**Reconstructor(network).to_settings(), 'training': {'epochs': 7}}
    weights.save(path, 'reconstruction', 'tiny', settings, dict(network.state_dict()))
    return path


def fit_intervals(data, file, out, clips):
    options = ('--data', data, '--weights', file, '--out', out, '--clips', clips)
    return invoke(train.app, 'intervals', *options, '--json')


@pytest.mark.slow
def test_intervals_are_fitted_again_to_chosen_persons(data, tiny_reconstructor, tmp_path):
    result = json.loads(fit_intervals(data, tiny_reconstructor, tmp_path, '0:4').stdout)
    assert (result['clips'], result['persons']) == (4, 1)
    path = tmp_path / 'reconstruction.safetensors'
    before, after = (weights.load(p, 'reconstruction') for p in (tiny_reconstructor, path))
    assert result['model'] == after.model != before.model
    for name, tensor in before.tensors.items():
        assert torch.equal(tensor, after.tensors[name])
    assert after.settings['training'] == {'epochs': 7}
    assert after.settings['intervals_fitted_to'] == f'{data.name}/val 0:4'
    assert after.settings['intervals'] != before.settings['intervals']
    exported, network = Reconstructor.load(path), Reconstructor.from_weights(after)
    assert exported.intervals == network.intervals
    state = network.initial_state()
    found, same = (each.reconstruct(state).interval for each in (exported, network))
    assert np.abs(found.astype(int) - same).max() <= 1


@pytest.mark.parametrize(
    ('clips', 'what'),
    [('0:5', 'whole persons'), ('0:7', '6 clips'), ('4:4', 'FIRST:END'), ('-1:4', 'FIRST:END')],
)
def test_clips_that_intervals_cannot_be_fitted_to(data, tiny_reconstructor, tmp_path, clips, what):
    with pytest.raises(MicroexprError, match=what):
        fit_intervals(data, tiny_reconstructor, tmp_path, clips)


def test_a_run_is_a_file_that_options_change(data, tmp_path):
    run_file = tmp_path / 'run.yaml'
    run_file.write_text(f'data: {data}\nout: {tmp_path}\nmodel: linear\ntraining: {{epochs: 9}}\n')
    command = ('au', '--config', run_file, '--epochs', 2, '--json')
    result = json.loads(invoke(train.app, *command).stdout)
    assert result['weights'] == str(tmp_path / 'linear.safetensors')
    assert len(result['history']) == 2
    assert (
        json.loads(invoke(train.app, *command, '--resume').stdout)['history'] == result['history']
    )
    with pytest.raises(MicroexprError, match='other settings'):
        invoke(train.app, *command, '--resume', '--learning-rate', 0.5)


def test_curves_are_written_beside_the_weights(data, tmp_path):
    pytest.importorskip('tensorboardX')
    options = ('--data', data, '--out', tmp_path, '--model', 'linear', '--epochs', 1)
    invoke(train.app, 'au', *options, '--tensorboard')
    assert any((tmp_path / 'tensorboard').iterdir())


def test_a_run_needs_data_and_out(tmp_path):
    with pytest.raises(MicroexprError, match='--data'):
        invoke(train.app, 'au', '--out', tmp_path)


def test_missing_data_names_the_command(tmp_path):
    with pytest.raises(MicroexprError, match='microexpr synth'):
        invoke(train.app, 'au', '--data', tmp_path, '--out', tmp_path)


def test_missing_data_end_the_process_with_one_clear_line(microexpr):
    assert_one_clear_line(microexpr('train', 'au', '--data', 'nowhere', '--out', 'runs'))
