"""The noise of sensors whose parameters are known, measured from their own recordings."""

from dataclasses import replace

import numpy as np
import pytest

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events
from microexpr_ros.synthesis.sensors import event_sensor
from microexpr_ros.synthesis.sensors.event_sensor import SensorParameters
from microexpr_ros.synthesis.sensors.noise_measurement import (
    NOT_MEASURED,
    TILE_PX,
    measure_noise,
)
from microexpr_ros.synthesis.sensors.sensor_file import (
    fit_parameters,
    read_sensor,
    write_sensor,
)

NOISY = SensorParameters(
    width=256,
    height=192,
    refractory_ns=400_000,
    leak_hz=2.0,
    shot_hz=1.0,
    rate_spread=0.2,
    hot_share=0.001,
    hot_hz=25.0,
)
LUX = NOISY.corner_lux
STEP_NS = 10_000_000


def record(parameters, seconds, lux=LUX, bar=False, seed=0):
    """Return what a sensor sends of an even wall; if wanted, a bar swings before it."""
    wall = np.full((parameters.height, parameters.width), lux, np.float32)
    state = event_sensor.start(parameters, wall, 0, np.random.default_rng(seed))
    parts = []
    for number in range(1, round(seconds * 1e9) // STEP_NS + 1):
        picture = wall.copy()
        if bar:
            left = int(60 + 30 * np.sin(number / 20))
            picture[60:110, left : left + 20] *= 2
        events, state = event_sensor.step(parameters, state, picture, number * STEP_NS)
        parts.append(events)
    return Events.concatenate(parts)


@pytest.fixture(scope='module')
def still():
    return measure_noise(record(NOISY, 6), NOISY.width, NOISY.height)


@pytest.fixture(scope='module')
def moving():
    return measure_noise(record(NOISY, 6, bar=True), NOISY.width, NOISY.height)


@pytest.mark.parametrize('scene', ['still', 'moving'])
def test_a_sensors_parameters_come_back_from_its_recording(scene, request):
    found = request.getfixturevalue(scene)
    fitted = {name: one.value for name, one in fit_parameters(found, 'davis346').items()}
    assert fitted['shot_hz'] == pytest.approx(NOISY.shot_hz, rel=0.05)
    assert fitted['leak_hz'] == pytest.approx(NOISY.leak_hz, rel=0.05)
    assert fitted['rate_spread'] == pytest.approx(NOISY.rate_spread, abs=0.03)
    assert fitted['refractory_ns'] == pytest.approx(NOISY.refractory_ns, abs=20_000)
    assert fitted['hot_share'] == pytest.approx(NOISY.hot_share, rel=0.5)
    assert fitted['hot_hz'] == pytest.approx(NOISY.hot_hz, rel=0.3)
    assert (fitted['width'], fitted['height']) == (NOISY.width, NOISY.height)
    assert fitted['tick_ns'] == NOISY.tick_ns


def test_motion_is_left_out_and_the_rest_is_used(still, moving):
    assert still.still_share > 0.95
    assert 0.5 < moving.still_share < 0.9
    bar = np.isfinite(moving.tile_hz[60 // TILE_PX : 110 // TILE_PX + 1, 1:3])
    assert not bar.all()
    assert moving.on_hz.value == pytest.approx(still.on_hz.value, rel=0.03)


def test_intervals_hold_the_value_and_shrink_with_time(still):
    short = measure_noise(record(NOISY, 2), NOISY.width, NOISY.height)
    for name in ('on_hz', 'off_hz', 'shot_hz', 'rate_spread', 'hot_share'):
        one = getattr(still, name)
        assert one.low <= one.value <= one.high
    assert short.on_hz.high - short.on_hz.low > still.on_hz.high - still.on_hz.low


def test_hot_pixels_are_those_that_the_sensor_has():
    parameters = replace(NOISY, hot_share=0.0, leak_hz=0.0, shot_hz=0.2, rate_spread=0.1)
    quiet = record(parameters, 4)
    t = np.arange(0, 4_000_000_000, 20_000_000)
    x, y = np.full(len(t), 17, np.uint16), np.full(len(t), 33, np.uint16)
    t = np.concatenate([quiet.t, t])
    order = np.argsort(t, kind='stable')
    events = Events(
        t[order],
        np.concatenate([quiet.x, x])[order],
        np.concatenate([quiet.y, y])[order],
        np.concatenate([quiet.p, np.ones(len(y), np.uint8)])[order],
    )
    found = measure_noise(events, parameters.width, parameters.height)
    assert found.hot.tolist() == [[17, 33]]
    assert found.hot_hz.value == pytest.approx(50, rel=0.1)
    assert measure_noise(quiet, parameters.width, parameters.height).hot_hz is None


def test_what_is_switched_off_does_not_count(still):
    events = record(NOISY, 3)
    kept = events.x < NOISY.width // 2
    half = Events(events.t[kept], events.x[kept], events.y[kept], events.p[kept])
    found = measure_noise(half, NOISY.width, NOISY.height)
    assert found.on_hz.value == pytest.approx(still.on_hz.value, rel=0.03)
    assert np.isnan(found.tile_hz[:, NOISY.width // 2 // TILE_PX :]).all()


def test_light_is_taken_out_if_it_is_given():
    parameters = replace(NOISY, leak_hz=0.0)
    found = measure_noise(record(parameters, 4, lux=7.5), parameters.width, parameters.height)
    # A quarter of the light makes twice the noise.
    assert fit_parameters(found, 'vga')['shot_hz'].value == pytest.approx(2, rel=0.06)
    assert fit_parameters(found, 'vga', 7.5)['shot_hz'].value == pytest.approx(1, rel=0.06)


def test_events_that_are_repeated_show_no_refractory_period():
    events = record(NOISY, 1)
    twice = Events(*(np.repeat(column, 2) for column in (events.t, events.x, events.y, events.p)))
    found = measure_noise(twice, NOISY.width, NOISY.height)
    assert found.repeated_share > 0.4
    assert found.refractory_ns is None
    assert 'refractory_ns' not in fit_parameters(found, 'vga')


def test_pairs_of_noise_are_told():
    events = record(replace(NOISY, shot_hz=0.2, leak_hz=0.0, hot_share=0.0), 4)
    lone = measure_noise(events, NOISY.width, NOISY.height).paired_share
    back = Events(events.t + 2_000_000, events.x, events.y, 1 - events.p)
    both = Events.concatenate([events, back])
    order = np.argsort(both.t, kind='stable')
    paired = Events(both.t[order], both.x[order], both.y[order], both.p[order])
    assert lone < 0.01
    found = measure_noise(paired, NOISY.width, NOISY.height)
    assert found.paired_share == pytest.approx(0.5, abs=0.02)


def test_a_dead_or_short_recording_is_refused_or_shows_nothing():
    with pytest.raises(MicroexprError, match='too short to measure noise'):
        measure_noise(Events.empty(), 64, 64)
    few = Events(np.array([0, 10**9]), np.uint16([1, 2]), np.uint16([1, 2]), np.uint8([0, 1]))
    found = measure_noise(few, 64, 64)
    assert found.on_hz is None
    assert found.rate_spread is None
    assert found.refractory_ns is None
    assert found.hot_share.value == 0
    assert found.hot_share.high > 0


def test_a_file_brings_the_parameters_back(still, tmp_path):
    path = tmp_path / 'sensor.yaml'
    fitted = fit_parameters(still, 'hd')
    write_sensor(path, 'lab', 'hd', fitted)
    sensor = read_sensor(path)
    assert (sensor.name, sensor.model) == ('lab', 'hd')
    for name, one in fitted.items():
        assert getattr(sensor.parameters, name) == pytest.approx(one.value, rel=1e-3)
    own = event_sensor.SENSORS['hd']
    for name in NOT_MEASURED:
        assert getattr(sensor.parameters, name) == getattr(own, name)
        assert f'#   {name}: ' in path.read_text()


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{', 'not a readable YAML'),
        ('a: 1', 'holds no sensor'),
        ('{model: hd, parameters: {}, gain: 2}', 'holds gain'),
        ('{model: x, parameters: {}}', "the model 'x'"),
        ('{model: hd, parameters: {gain: 2}}', "the parameter 'gain'"),
        ('{model: hd, parameters: {shot_hz: -1}}', 'a number from 0'),
        ('{model: hd, parameters: {shot_hz: true}}', 'a number from 0'),
        ('{model: hd, parameters: {width: 12.5}}', 'a whole number above 0'),
        ('{model: hd, parameters: {hot_share: 1.5}}', 'to 1'),
    ],
)
def test_a_file_that_holds_no_sensor_is_refused(text, message, tmp_path):
    path = tmp_path / 'sensor.yaml'
    path.write_text(text)
    with pytest.raises(MicroexprError, match=message):
        read_sensor(path)
