"""The noise of the shipped sensors, against what was measured in real recordings."""

import os
from pathlib import Path

import numpy as np
import pytest

from microexpr_ros.events.events import Events
from microexpr_ros.events.files import open_recording
from microexpr_ros.synthesis.sensors import event_sensor
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS
from microexpr_ros.synthesis.sensors.noise_measurement import measure_noise

SECONDS = {'vga': 2.08, 'hd': 1.25}

RECORDINGS = {'vga': 'test_events_1.db3', 'hd': 'test_data_evt3_trigger_0.db3'}

MEASURED = {
    # Twice the ON events: many of its still tiles slowly darken, which makes OFF events.
    'vga': {'hz': 0.1735, 'spread': 0.476, 'paired': 0.286},
    'hd': {'hz': 0.0592, 'spread': 0.746, 'paired': 0.270},
}
"""What `microexpr measure sensor` finds in the still parts of RECORDINGS."""

QUARTILES_NS = {'vga': (2.8e6, 4.4e6, 9.5e6), 'hd': (1.8e6, 5.7e6, 16.2e6)}
"""Of the times below 50 ms between two noise events of a pixel, in the same still parts."""


def measure(events, sensor):
    return measure_noise(events, SENSORS[sensor].width, SENSORS[sensor].height)


@pytest.fixture(scope='module', params=list(MEASURED))
def sensor(request):
    return request.param


@pytest.fixture(scope='module')
def simulated(sensor):
    parameters = SENSORS[sensor]
    wall = np.full((parameters.height, parameters.width), parameters.corner_lux, np.float32)
    state = event_sensor.start(parameters, wall, 0, np.random.default_rng(0))
    parts = []
    for number in range(1, int(10 * SECONDS[sensor]) + 1):
        events, state = event_sensor.step(parameters, state, wall, number * 100_000_000)
        parts.append(events)
    return measure(Events.concatenate(parts), sensor)


def test_simulated_noise_is_like_the_measured_noise(sensor, simulated):
    expected = MEASURED[sensor]
    assert simulated.on_hz.value + simulated.off_hz.value == pytest.approx(expected['hz'], rel=0.1)
    assert simulated.rate_spread.value == pytest.approx(expected['spread'], rel=0.25)
    assert simulated.paired_share == pytest.approx(expected['paired'], abs=0.03)
    assert simulated.on_off_ratio == pytest.approx(1, abs=0.03)


def test_simulated_intervals_are_like_the_measured_ones(sensor, simulated):
    soon = simulated.intervals_ns[simulated.intervals_ns < 50e6]
    assert np.percentile(soon, (25, 50, 75)) == pytest.approx(QUARTILES_NS[sensor], rel=0.25)
    refractory = SENSORS[sensor].refractory_ns
    assert 0.7 * refractory < simulated.refractory_ns.value < 1.1 * refractory


def test_the_recordings_show_what_the_sensors_were_fitted_to(sensor):
    folder = os.environ.get('MICROEXPR_TEST_DATA')
    path = Path(folder or '.') / 'recordings' / RECORDINGS[sensor]
    if not path.is_file():
        pytest.skip('MICROEXPR_TEST_DATA has no recordings')
    found = measure(Events.concatenate([e for e, _ in open_recording(path).chunks()]), sensor)
    expected = MEASURED[sensor]
    assert 2 * found.on_hz.value == pytest.approx(expected['hz'], rel=0.02)
    assert found.rate_spread.value == pytest.approx(expected['spread'], rel=0.01)
    assert found.paired_share == pytest.approx(expected['paired'], abs=0.002)
    assert found.refractory_ns.value == pytest.approx(SENSORS[sensor].refractory_ns, rel=0.02)
