import json
from dataclasses import replace

import numpy as np
import pytest
from command_line import invoke
from fake_clips import needs_face

from microexpr_ros.cli.bench import simulate
from microexpr_ros.synthesis.dataset import generate
from microexpr_ros.synthesis.sensors import event_sensor, video_sensor


@pytest.fixture
def small(monkeypatch):
    for name, parameters in event_sensor.SENSORS.items():
        tiny = replace(parameters, width=64, height=48)
        monkeypatch.setitem(event_sensor.SENSORS, name, tiny)

    class Made:
        counts = np.zeros((100, 2, 1, 1), np.uint8)

    monkeypatch.setattr(generate, 'make_clip', lambda *_: Made)
    monkeypatch.setattr(video_sensor, 'WIDTH', 64)
    monkeypatch.setattr(video_sensor, 'HEIGHT', 48)
    # Measured for real in the slow test below.
    monkeypatch.setattr(simulate, '_mixed_seconds', lambda: (1.5, 0.05))


@pytest.mark.usefixtures('small')
def test_every_sensor_is_measured_with_and_without_noise():
    result = invoke(simulate.app, '--rounds', 1, '--json')
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    found = {(r['implementation'], r['resolution'], r['noise']) for r in report['rows']}
    wanted = {
        (implementation, sensor, noise)
        for implementation in ('microexpr', 'numpy')
        for sensor in ('davis346', 'vga', 'hd')
        for noise in (False, True)
    }
    assert wanted <= found
    assert all(row['mpix_per_s'] > 0 for row in report['rows'])
    assert report['clip_seconds_per_core'] is None or report['clip_seconds_per_core'] >= 0
    mixed = report['basis_seconds'], report['mixed_clip_seconds_per_core']
    assert mixed == (1.5, 0.05)
    assert report['webcam_cpu_percent'] > 0
    assert report['machine']['cores'] >= 1


def test_the_published_model_makes_as_many_events_as_ours():
    """Written apart from it, and with steps instead of closed forms."""
    parameters = replace(event_sensor.SENSORS['davis346'], width=160, height=120)
    pictures = simulate._pictures(160, 120)
    assert np.abs(np.diff(np.log(pictures), axis=0)).max() < 0.5
    for changes in ({}, {'leak_hz': 0.0, 'shot_hz': 0.0, 'hot_share': 0.0}):
        changed = replace(parameters, **changes)
        (_, ours), (_, theirs) = (
            make(changed, pictures)() for make in (simulate._ours, simulate._reference)
        )
        assert ours > 1000
        assert ours == pytest.approx(theirs, rel=0.06)


@needs_face
@pytest.mark.slow
def test_a_mixed_clip_takes_a_fraction_of_a_rendered_one():
    basis_s, mixed_s = simulate._mixed_seconds()
    assert basis_s < 10
    assert mixed_s < 0.2 * simulate._clip_seconds()
