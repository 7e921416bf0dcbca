"""`microexpr measure sensor`, and what `microexpr synth` makes with its file."""

import json

import numpy as np
import pytest
from command_line import invoke

from microexpr_ros.cli import app
from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.dataset.recipe import Recipe, check_recipe
from microexpr_ros.synthesis.dataset.take import sample_take
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS
from microexpr_ros.synthesis.sensors.sensor_file import read_sensor

SECONDS = 3
RATE_HZ = 1.0


@pytest.fixture(scope='module')
def noise(tmp_path_factory):
    """Write a recording of a sensor that sends noise alone."""
    path = tmp_path_factory.mktemp('noise') / 'wall.npz'
    rng = np.random.default_rng(0)
    count = round(RATE_HZ * SECONDS * 160 * 128)
    t = np.sort(rng.integers(SECONDS * 10**6, size=count))
    x, y = rng.integers(160, size=count), rng.integers(128, size=count)
    np.savez(path, t=t, x=x, y=y, p=rng.integers(2, size=count))
    return path


def test_a_recordings_noise_is_measured(noise, tmp_path):
    out, picture = tmp_path / 'sensor.yaml', tmp_path / 'sensor.png'
    options = (noise, '--sensor', '160x128', '--time-unit', 'us')
    text = invoke(app, 'measure', 'sensor', *options, '--out', out, '--picture', picture).stdout
    assert 'not measured: threshold_on' in text
    assert f'{out}: the model davis346 with width' in text
    assert picture.stat().st_size > 1000
    found = json.loads(invoke(app, 'measure', 'sensor', *options, '--json').stdout)
    assert found['measured']['on_hz']['value'] == pytest.approx(RATE_HZ / 2, rel=0.05)
    assert found['on_off_ratio'] == pytest.approx(1, abs=0.05)
    assert found['hot_pixels'] == []
    sensor = read_sensor(out)
    assert sensor.name == 'davis346-wall'
    assert sensor.parameters.shot_hz == pytest.approx(
        found['parameters']['shot_hz']['value'], rel=1e-3
    )
    assert sensor.parameters.threshold_on == SENSORS['davis346'].threshold_on


def test_less_of_a_recording_can_be_used(noise):
    options = (noise, '--sensor', '160x128', '--time-unit', 'us', '--seconds', '1', '--json')
    assert json.loads(invoke(app, 'measure', 'sensor', *options).stdout)['seconds'] <= 1


def test_an_unknown_model_is_refused(noise):
    with pytest.raises(MicroexprError, match='choose davis346, vga, hd'):
        invoke(app, 'measure', 'sensor', noise, '--model', 'x')


def test_clips_are_filmed_with_the_sensor_of_a_file(tmp_path, monkeypatch):
    path = tmp_path / 'noisy.yaml'
    path.write_text('{name: noisy, model: davis346, parameters: {shot_hz: 20.0}}')
    recipes = []

    def generate(out, recipe, *_):
        recipes.append(recipe)
        raise MicroexprError('enough')

    monkeypatch.setattr('microexpr_ros.synthesis.dataset.generate.generate_clips', generate)
    for sensor in (path, 'davis346'):
        with pytest.raises(MicroexprError, match='enough'):
            invoke(app, 'synth', '--out', tmp_path / 'out', '--clips', '1', '--sensor', sensor)
    measured, plain = recipes
    assert measured.to_json()['own_sensor']['parameters']['shot_hz'] == 20.0
    assert 'own_sensor' not in plain.to_json()
    sensor = sample_take(measured, 0).sensor
    assert (sensor.name, sensor.parameters.shot_hz) == ('noisy', 20.0)
    assert sample_take(plain, 0).sensor.parameters == SENSORS['davis346']


def test_a_split_with_biases_of_its_own_takes_no_sensor(tmp_path):
    path = tmp_path / 'lab.yaml'
    path.write_text('{name: lab, model: hd, parameters: {}}')
    with pytest.raises(MicroexprError, match='lab does not go with --split shift'):
        check_recipe(Recipe('shift', sensor='hd', own_sensor=read_sensor(path)))
