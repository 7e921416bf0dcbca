import numpy as np
import pytest

from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.world.light import ROOM_LIGHTS, SHIFTED_LIGHTS


@pytest.mark.parametrize('seed', range(8))
def test_no_light_in_rooms_is_like_those_that_are_shifted(seed):
    rng = np.random.default_rng(seed)
    others = [ROOM_LIGHTS.sample(rng, name) for name in ROOM_LIGHTS.names]
    assert SHIFTED_LIGHTS.sample(rng, 'night').lamps[0].lux < min(o.lamps[0].lux for o in others)
    flicker = SHIFTED_LIGHTS.sample(rng, 'flicker120')
    assert flicker.flicker_hz == 120
    assert flicker.flicker_depth > max(o.flicker_depth for o in others)
    assert set(SHIFTED_LIGHTS.names).isdisjoint(ROOM_LIGHTS.names)
    assert SHIFTED_LIGHTS.sample(rng, 'random').name in SHIFTED_LIGHTS.names
    with pytest.raises(MicroexprError, match='unknown light'):
        SHIFTED_LIGHTS.sample(rng, 'dim')


def test_the_lamp_moves_evenly_and_keeps_its_strength():
    light = SHIFTED_LIGHTS.sample(np.random.default_rng(3), 'moving')
    period_ns = round(1e9 / light.swing_hz)
    places = []
    for t in range(0, period_ns, period_ns // 400):
        lux = np.array([lamp.lux for lamp in light.at(t).lamps])
        assert lux.sum() == pytest.approx(light.lamps[0].lux)
        assert (lux > 0).sum() <= 2
        places.append(lux @ np.arange(len(lux)) / lux.sum())
    # There and back over the whole way, without a jump.
    assert min(places) < 0.01
    assert max(places) > len(light.lamps) - 1.01
    assert np.abs(np.diff(places)).max() < 0.2
    # It moves, but does not flicker.
    assert light.gain(np.array([0, 1])).tolist() == [1, 1]


def test_a_light_that_stands_still_is_itself_at_any_time():
    light = ROOM_LIGHTS.sample(np.random.default_rng(0), 'flicker')
    assert light.at(123) is light
    assert light.longest_step_ns is None
