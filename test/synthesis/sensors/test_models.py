from itertools import product

import numpy as np
import pytest

from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS
from microexpr_ros.synthesis.sensors.models import (
    BIASES,
    REGION_SIDES_PX,
    change_biases,
    sample_sensor,
)


def test_the_biases_surround_those_of_the_other_splits():
    known = SENSORS.values()
    low, high = (f(p.threshold_on for p in known) for f in (min, max))
    noise = max(p.shot_hz for p in known)
    for model, bias in product(SENSORS, BIASES):
        sensor = change_biases(model, bias)
        parameters = sensor.parameters
        assert sensor.name == f'{model}-{bias}'
        assert parameters.width == SENSORS[model].width
        if bias == 'sensitive':
            assert max(parameters.threshold_on, parameters.threshold_off) < low
            assert parameters.shot_hz > 2 * noise
        else:
            assert min(parameters.threshold_on, parameters.threshold_off) > high
            assert parameters.corner_hz < min(p.corner_hz for p in known)


def test_a_sensor_is_sampled_or_the_one_that_is_asked_for():
    rng = np.random.default_rng(0)
    assert (
        {sample_sensor(rng, 'random').name for _ in range(40)} == {*SENSORS} == {*REGION_SIDES_PX}
    )
    assert sample_sensor(rng, 'vga').parameters == SENSORS['vga']
    found = {sample_sensor(rng, 'vga', ('coarse', 'sensitive')).name for _ in range(20)}
    assert found == {'vga-coarse', 'vga-sensitive'}
    with pytest.raises(MicroexprError, match="unknown sensor 'lens'"):
        sample_sensor(rng, 'lens')
