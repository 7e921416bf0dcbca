import json

import pytest
from command_line import assert_one_clear_line, invoke

from microexpr_ros.cli import evaluate, train
from microexpr_ros.errors import MicroexprError


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
