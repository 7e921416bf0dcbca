import importlib.util
import json

import cv2
import pytest
import typer
from fake_clips import fake_clip
from typer.testing import CliRunner

from microexpr_ros.cli.synth import synth
from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.dataset import generate as making
from microexpr_ros.synthesis.dataset.index import read_index

app = typer.Typer()
app.command()(synth)


def test_json_stands_alone_on_stdout(tmp_path, monkeypatch):
    monkeypatch.setattr(making, 'make_clip', fake_clip)
    result = CliRunner().invoke(app, ['--out', str(tmp_path), '--clips', '2', '--json'])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)['clips'] == 2
    assert len(read_index(tmp_path, 'train')) == 2


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--split', 'dev'], '--split'),
        (['--clips', '0'], '--clips'),
        (['--light', 'neon'], '--light'),
        (['--skin-dir', 'nowhere'], '--skin-dir nowhere'),
    ],
)
def test_bad_options_are_one_clear_line(tmp_path, options, message):
    result = CliRunner().invoke(app, ['--out', str(tmp_path), *options])
    assert isinstance(result.exception, MicroexprError)
    assert message in str(result.exception)
    assert '\n' not in str(result.exception)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec('anny') is None, reason='anny is not installed')
def test_the_preview_shows_every_unit(tmp_path):
    result = CliRunner().invoke(app, ['--out', str(tmp_path), '--preview'])
    assert result.exit_code == 0, result.output
    assert cv2.imread(str(tmp_path / 'preview.png')).shape == (1440, 1440, 3)
