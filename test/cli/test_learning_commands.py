import json

import pytest
import typer
from typer.testing import CliRunner

from microexpr_ros.cli import evaluate, train
from microexpr_ros.errors import MicroexprError

app = typer.Typer()
app.add_typer(train.app, name='train')
app.add_typer(evaluate.app, name='evaluate')


def run(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None:
        raise result.exception
    return result


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['au', 'reconstruction'])
def test_train_then_evaluate(data, tmp_path, kind):
    trained = run('train', kind, '--data', data, '--out', tmp_path, '--epochs', 1, '--json')
    result = json.loads(trained.stdout)
    assert result['weights'] == str(tmp_path / f'{kind}.safetensors')
    scored = run('evaluate', kind, '--data', data, '--weights', result['weights'], '--json')
    report = json.loads(scored.stdout)
    assert report['split'] == 'test'
    assert report['n_clips'] == 6
    assert report['weights'] == result['model']


def test_a_run_is_a_file_that_options_change(data, tmp_path):
    run_file = tmp_path / 'run.yaml'
    run_file.write_text(f'data: {data}\nout: {tmp_path}\nmodel: linear\ntraining: {{epochs: 9}}\n')
    command = ('train', 'au', '--config', run_file, '--epochs', 2, '--json')
    result = json.loads(run(*command).stdout)
    assert result['weights'] == str(tmp_path / 'linear.safetensors')
    assert len(result['history']) == 2
    assert json.loads(run(*command, '--resume').stdout)['history'] == result['history']
    with pytest.raises(MicroexprError, match='other settings'):
        run(*command, '--resume', '--learning-rate', 0.5)


def test_curves_are_written_beside_the_weights(data, tmp_path):
    pytest.importorskip('tensorboardX')
    options = ('--data', data, '--out', tmp_path, '--model', 'linear', '--epochs', 1)
    run('train', 'au', *options, '--tensorboard')
    assert any((tmp_path / 'tensorboard').iterdir())


def test_a_run_needs_data_and_out(tmp_path):
    with pytest.raises(MicroexprError, match='--data'):
        run('train', 'au', '--out', tmp_path)


def test_missing_data_names_the_command(tmp_path):
    with pytest.raises(MicroexprError, match='microexpr synth'):
        run('train', 'au', '--data', tmp_path, '--out', tmp_path)


@pytest.mark.parametrize('kind', ['au', 'reconstruction'])
def test_missing_weights_name_the_file(data, tmp_path, kind):
    with pytest.raises(MicroexprError, match=r'none\.safetensors'):
        run('evaluate', kind, '--data', data, '--weights', tmp_path / 'none.safetensors')
