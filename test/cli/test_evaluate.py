import json
import re

import pytest
import small_clips
import torch
from command_line import assert_one_clear_line, invoke
from labelled_faces import REGION, write_dvs_lip

from microexpr_ros.cli import evaluate
from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.evaluation import report_from_json, resting_faces
from microexpr_ros.learning.report import format_action_units, render_page
from microexpr_ros.perception import weights
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.network import SpikingNetwork

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
    result = invoke(evaluate.app, 'au', *options)
    report = json.loads(result.stdout)
    assert report['weights'] == weights.load(untrained, 'au').model
    assert report['split'] == 'test'
    assert report['shift_drop'] is None
    assert report['weights'] in page.read_text()
    assert report['weights'] in card.read_text()
    # All are made of one report, which is read back from its JSON.
    again = report_from_json(report)
    assert render_page(again) == page.read_text()
    assert format_action_units(again) == card.read_text()


def test_without_json_the_tables_are_shown(data, untrained):
    options = ('--data', data, '--weights', untrained, '--split', 'val')
    result = invoke(evaluate.app, 'au', *options)
    assert '| uniform guess | 5.3 % |' in result.stdout


@pytest.fixture
def untrained_painter(tmp_path):
    torch.manual_seed(0)
    network = ConditionalVae(ReconstructionConfiguration(fine=4, width=4, latent=2)).deployed()
    path = tmp_path / 'reconstruction.safetensors'
    tensors = {key: value.contiguous() for key, value in network.state_dict().items()}
    weights.save(path, 'reconstruction', 'tiny', Reconstructor(network).to_settings(), tensors)
    return path


def test_images_are_shown_as_a_table(data, untrained_painter):
    options = ('reconstruction', '--data', data, '--weights', untrained_painter, '--split', 'val')
    result = invoke(evaluate.app, *options)
    assert 'tiny@' in result.stdout
    assert 'split val: 6 clips' in result.stdout
    assert '| events alone | mean face |' in result.stdout
    assert 'split shift' not in result.stdout


def test_pictures_of_shift_and_rest_are_scored_where_there_are_some(
    untrained_painter, tmp_path, monkeypatch
):
    small_clips.write_data_set(tmp_path, ('train', 'val', 'shift', 'rest'))
    # These takes have 0.4 s.
    monkeypatch.setattr(resting_faces, 'RESTS_FROM_NS', 100_000_000)
    options = ('--data', tmp_path, '--weights', untrained_painter, '--split', 'val', '--json')
    found = json.loads(invoke(evaluate.app, 'reconstruction', *options).stdout)
    assert found['shift']['split'] == 'shift'
    assert found['shift']['by_frame_age'].keys() == found['by_frame_age'].keys()
    assert found['rest']['n_clips'] == 6
    assert 0 < found['rest']['scores']['psnr_last'] < 60


def test_a_page_that_cannot_be_written_is_named(data, untrained, tmp_path):
    (tmp_path / 'file').write_text('')
    page = tmp_path / 'file' / 'report.html'
    options = ('--data', data, '--weights', untrained, '--report', page)
    with pytest.raises(MicroexprError, match=re.escape(str(page))):
        invoke(evaluate.app, 'au', *options)


@pytest.mark.parametrize('kind', ['au', 'reconstruction'])
def test_missing_weights_name_the_file(data, tmp_path, kind):
    with pytest.raises(MicroexprError, match=r'none\.safetensors'):
        invoke(evaluate.app, kind, '--data', data, '--weights', tmp_path / 'none.safetensors')


def test_missing_weights_end_the_process_with_one_clear_line(microexpr):
    options = ('--data', 'nowhere', '--weights', 'nowhere.safetensors')
    assert_one_clear_line(microexpr('evaluate', 'au', *options))


def test_published_recordings_go_through_the_chain(untrained, tmp_path):
    write_dvs_lip(tmp_path / 'lips')
    card = tmp_path / 'card.md'
    options = ('--dataset', 'dvs-lip', tmp_path / 'lips', '--weights', untrained, '--limit', '1')
    result = invoke(evaluate.app, 'au', *options, '--region', REGION, '--card', card, '--json')
    found = json.loads(result.stdout)
    assert found['recordings'] == 1
    assert found['model'] == weights.load(untrained, 'au').model
    assert found['opened']['ci95'] == [None, None]
    assert 'DVS-Lip' in card.read_text()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ((), 'give --data FOLDER'),
        (('--data', '.', '--limit', '3'), 'give --data FOLDER'),
        (('--dataset', 'nefer'), 'needs the folder of its recordings'),
        (('--dataset', 'casme', '.'), 'choose nefer, facemorphic, dvs-lip, fes'),
        (('--dataset', 'nefer', '.', '--data', '.'), 'goes with neither --data'),
        (('--dataset', 'nefer', '.', '--no-controls'), 'nor --no-controls'),
        (('--dataset', 'nefer', 'missing'), 'does not exist: download it from'),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(MicroexprError, match=message):
        invoke(evaluate.app, 'au', *options)
