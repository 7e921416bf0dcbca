"""What `microexpr synth` does besides making clips in one go."""

import importlib.util
import json

import cv2
import pytest
import typer
from fake_clips import lean_clip
from typer.testing import CliRunner

from microexpr_ros import bags
from microexpr_ros.cli.synth import synth
from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.dataset import generate as making

app = typer.Typer()
app.command()(synth)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(making, 'make_clip', lean_clip)

    def invoke(*options):
        result = CliRunner().invoke(app, ['--out', str(tmp_path), *options])
        if isinstance(result.exception, MicroexprError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return invoke


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
        (['--shard', '0/2'], "--shard '0/2'"),
        (['--split', 'shift', '--light', 'dim'], "--light 'dim'"),
        (['--light', 'night'], "--light 'night'"),
        (['--bags', '--rolling-shutter-ms', '-1'], '--rolling-shutter-ms -1'),
        (['--bags', '--clips', '0'], '--clips 0'),
        (['--check'], 'microexpr synth --split train'),
    ],
)
def test_bad_options_are_one_clear_line(run, options, message):
    with pytest.raises(MicroexprError) as caught:
        run(*options)
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.skipif(importlib.util.find_spec('anny') is None, reason='anny is not installed')
def test_skins_of_other_splits_are_not_for_shift(run, tmp_path):
    for number in range(3):
        (tmp_path / f'{number}.jpg').touch()
    with pytest.raises(MicroexprError, match='--skin-dir'):
        run('--split', 'shift', '--skin-dir', str(tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec('anny') is None, reason='anny is not installed')
def test_a_recording_of_a_davis_can_be_opened(run, tmp_path):
    options = ('--bags', '--clips', '1', '--sensor', 'davis346', '--split', 'shift')
    summary = json.loads(run(*options, '--rolling-shutter-ms', '10', '--json'))
    assert summary['recordings'] == 1
    bag = bags.describe(tmp_path / 'shift/bags/clip-000000/bag')
    assert bag.complete
    assert '1 of 1 recordings in' in run(*options, '--rolling-shutter-ms', '10')


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec('anny') is None, reason='anny is not installed')
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
