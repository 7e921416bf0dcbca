import json

import cv2
import pytest
from command_line import assert_one_clear_line, invoke
from fake_clips import lean_clip, needs_face

from microexpr_ros import bags
from microexpr_ros.cli import synth
from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.dataset import generate as making
from microexpr_ros.synthesis.dataset.index import read_index


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(making, 'make_clip', lean_clip)

    def make(*options):
        result = invoke(synth.app, '--out', tmp_path, *options)
        assert result.exit_code == 0, result.output
        return result.stdout

    return make


def test_json_stands_alone_on_stdout(run, tmp_path):
    assert json.loads(run('--clips', '2', '--json'))['clips'] == 2
    assert len(read_index(tmp_path, 'train')) == 2


def test_shards_are_made_one_by_one_and_checked(run):
    first = json.loads(run('--clips', '14', '--shard', '2/2', '--json'))
    assert (first['clips'], first['complete']) == (2, False)
    with pytest.raises(MicroexprError, match='incomplete'):
        run('--check')
    assert 'other shards are still to come' in run('--clips', '14', '--shard', '2/2')
    second = json.loads(run('--clips', '14', '--shard', '1/2', '--json'))
    assert (second['clips'], second['complete']) == (14, True)
    assert json.loads(run('--check', '--json'))['clips'] == 14
    assert 'whole and undamaged' in run('--check')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--split', 'dev'], '--split'),
        (['--clips', '0'], '--clips'),
        (['--light', 'neon'], '--light'),
        (['--skin-dir', 'nowhere'], '--skin-dir nowhere'),
        (['--shard', '0/2'], "--shard '0/2'"),
        (['--split', 'shift', '--light', 'dim'], "--light 'dim'"),
        (['--light', 'night'], "--light 'night'"),
        (['--bags', '--rolling-shutter-ms', '-1'], '--rolling-shutter-ms -1'),
        (['--bags', '--clips', '0'], '--clips 0'),
        (['--bags', '--story'], '--bags and --story'),
        (['--story', '--preview'], '--preview'),
        (['--check'], 'microexpr synth --split train'),
    ],
)
def test_bad_options_are_one_clear_line(run, options, message):
    with pytest.raises(MicroexprError) as caught:
        run(*options)
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


@needs_face
def test_skins_of_other_splits_are_not_for_shift(run, tmp_path):
    for number in range(3):
        (tmp_path / f'{number}.jpg').touch()
    with pytest.raises(MicroexprError, match='--skin-dir'):
        run('--split', 'shift', '--skin-dir', str(tmp_path))


@pytest.mark.slow
@needs_face
def test_a_recording_of_a_davis_can_be_opened(run, tmp_path):
    options = ('--bags', '--clips', '1', '--sensor', 'davis346', '--split', 'shift')
    summary = json.loads(run(*options, '--rolling-shutter-ms', '10', '--json'))
    assert summary['recordings'] == 1
    bag = bags.read_contents(tmp_path / 'shift/bags/clip-000000/bag')
    assert bag.complete
    assert '1 of 1 recordings in' in run(*options, '--rolling-shutter-ms', '10')


@pytest.mark.slow
@needs_face
def test_the_preview_is_a_sheet_and_a_video(run, tmp_path):
    made = json.loads(run('--preview', '--split', 'shift', '--json'))
    assert cv2.imread(made['preview']).shape == (1440, 1440, 3)
    video = cv2.VideoCapture(made['video'])
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == pytest.approx(74, abs=3)
    shown, picture = video.read()
    assert shown
    assert picture.shape == (480, 960, 3)
    # RGB and events side by side: the ground of the events is white.
    assert picture[:200, 260:460].mean() > 200


def test_an_unknown_split_ends_the_process_with_one_clear_line(microexpr):
    assert_one_clear_line(microexpr('synth', '--out', 'data', '--split', 'exam'))


def test_clips_are_not_sent_to_another_machine_without_encryption(tmp_path):
    pytest.importorskip('distributed', reason='Dask is an extra: requirements/fleet.txt')
    with pytest.raises(MicroexprError, match='without encryption'):
        invoke(synth.app, '--out', tmp_path, '--clips', 1, '--scheduler', 'tcp://head:8786')
