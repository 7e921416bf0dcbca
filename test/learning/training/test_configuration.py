from pathlib import Path

import pytest
import yaml

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.training.action_units import TrainingConfiguration
from microexpr_ros.learning.training.configuration import (
    ActionUnitRun,
    FaceRun,
    ReconstructionRun,
    from_plain_values,
    read_run,
)
from microexpr_ros.perception.settings import to_settings
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration

RUNS = sorted((Path(__file__).parents[3] / 'config' / 'training').glob('*.yaml'))


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / 'run.yaml'
        path.write_text(text)
        return path

    return write


def test_options_go_before_the_file_and_the_file_before_the_defaults(write):
    path = write('data: a\nout: b\ntraining: {epochs: 3, batch: 4}\nnetwork:\n  integrators: 7\n')
    run = read_run(
        ActionUnitRun,
        path,
        {'training.epochs': 5, 'training.seed': None, 'model': 'twin', 'out': Path('c')},
    )
    expected = TrainingConfiguration(epochs=5, batch=4)
    network = SpikingConfiguration(integrators=7)
    assert run == ActionUnitRun(Path('a'), Path('c'), 'twin', expected, network)


def test_no_file_is_needed():
    run = read_run(ReconstructionRun, None, {'data': Path('a'), 'out': Path('b')})
    assert run == ReconstructionRun(Path('a'), Path('b'))


def test_numbers_and_lists_become_what_the_configuration_has(write):
    text = """
    data: a
    out: b
    training: {learning_rate: 3e-3, clip_weight: 1, augmentation: {zoom: 0}}
    network:
      channels: [4, 5, 6, 7]
      kernels: [5, 3, 3, 3]
      strides: [4, 2, 1, 2]
      tau_ms: [30, 100, 20, 20]
      half: 0.2
    """
    run = read_run(ActionUnitRun, write(text), {})
    assert run.training.learning_rate == 0.003
    assert isinstance(run.training.augmentation.zoom, float)
    assert run.network.channels == (4, 5, 6, 7)
    assert run.network.tau_ms == (30.0, 100.0, 20.0, 20.0)
    assert run.network.semi_saturation == 0.2


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('data: a\nout: b\ntraining: {burn_in: 1, settle: 2}', 'burn_in and settle.*remove one'),
        ('data: a', 'lacks out'),
        ('data: a\nout: b\nepochs: 3', 'unknown key epochs'),
        ('data: a\nout: b\ntraining: {epoch: 3}', r'training in .*unknown key epoch'),
        ('data: a\nout: b\ntraining: {epochs: many}', "epochs in .* 'many'"),
        ('data: a\nout: b\ntraining: {epochs: 2.5}', 'epochs in .* 2.5'),
        ('data: a\nout: b\ntraining: {epochs: 0}', 'epochs 0'),
        ('data: a\nout: b\ntraining: 5', 'training in .* 5'),
        ('data: a\nout: b\nmodel: cnn', "'cnn': expected one of events, rgb"),
        ('data: a\nout: b\nnetwork: {channels: [1]}', 'one value per spiking layer'),
        ('data: a\nout: b\nnetwork: {trace_ms: 30}', 'trace_ms'),
        ('- a', 'holds no keys'),
        ('data: [', 'cannot read the run'),
    ],
)
def test_runs_without_sense_are_refused(write, text, reason):
    with pytest.raises(MicroexprError, match=reason):
        read_run(ActionUnitRun, write(text), {})


def test_missing_file_is_named(tmp_path):
    with pytest.raises(MicroexprError, match=r'none\.yaml'):
        read_run(ActionUnitRun, tmp_path / 'none.yaml', {})


@pytest.mark.parametrize('path', RUNS, ids=lambda path: path.stem)
def test_runs_of_the_package_can_be_read(path):
    pictures = dict.fromkeys(('reconstruction', 'unet', 'recurrent'), ReconstructionRun)
    kind = {**pictures, 'face': FaceRun}.get(path.stem, ActionUnitRun)
    run = read_run(kind, path, {})
    if kind is ActionUnitRun:
        control = run.training.control
        named = {'graded': 'analog', 'rectified': 'rectified'}
        model = named.get(run.network.neurons, run.model)
        # The runs of one file whose model is given by an option have graded neurons.
        name = {'frames': 'analog'}.get(path.stem, path.stem.removesuffix('-excerpts'))
        assert name == (model if control == 'none' else control)


def test_a_folder_of_scenes_may_be_given_or_not(write):
    text = 'data: a\nout: b\ntraining: {{fresh: {{scenes: {}}}}}'
    for given, expected in (('null', None), ('c/d', Path('c/d'))):
        run = read_run(ActionUnitRun, write(text.format(given)), {})
        assert run.training.fresh.scenes == expected
    with pytest.raises(MicroexprError, match=r'scenes in .* 5'):
        read_run(ActionUnitRun, write(text.format(5)), {})


def test_a_negative_number_of_takes_without_a_face_is_refused(write):
    with pytest.raises(MicroexprError, match='nobody -1 must be at least 0'):
        read_run(FaceRun, write('data: a\nout: b\nnobody: -1'), {})


def test_there_are_runs_of_the_package():
    assert {'events', 'rgb', 'twin', 'linear', 'reconstruction', 'face'} <= {
        path.stem for path in RUNS
    }


def test_configurations_survive_plain_values():
    configuration = TrainingConfiguration(epochs=3, burn_in=2, control='memoryless')
    plain = yaml.safe_load(yaml.safe_dump(to_settings(configuration)))
    assert from_plain_values(TrainingConfiguration, plain, 'test') == configuration
