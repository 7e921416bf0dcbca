import numpy as np
import pytest

from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.world.light import (
    FLICKER_STEPS,
    ROOM_LIGHTS,
    SHIFTED_LIGHTS,
    Light,
    sample_flicker,
)


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


def test_flicker_goes_through_its_whole_range_and_rarely_deep():
    rng = np.random.default_rng(0)
    depth, phase = np.array([sample_flicker(rng) for _ in range(4000)]).T
    assert depth.min() == pytest.approx(0.02, abs=1e-3)
    assert depth.max() == pytest.approx(0.3, abs=2e-3)
    assert 0.12 < (depth > 0.11).mean() < 0.18
    assert np.histogram(phase, 8, (0, 2 * np.pi))[0].min() > 400


@pytest.mark.parametrize('phase', [0.0, 0.7, 3.0])
def test_times_that_follow_a_flicker_hold_its_extremes(phase):
    light = Light('flicker', (), 1.0, 100.0, 0.3, phase)
    times = light.follow(1_234_567, 41_234_567)
    assert (times[0], times[-1]) == (1_234_567, 41_234_567)
    assert len(times) == 4 * FLICKER_STEPS + 2
    gains = light.gain(times)
    assert gains.max() == pytest.approx(1.3, abs=1e-6)
    assert gains.min() == pytest.approx(0.7, abs=1e-6)
    assert Light('bright', (), 1.0).follow(5, 9).tolist() == [5, 9]


@pytest.mark.parametrize('seed', range(5))
def test_light_from_behind_leaves_the_face_darker_than_what_is_behind_it(seed):
    light = ROOM_LIGHTS.sample(np.random.default_rng(seed), 'backlit')
    assert light.lamps[0].direction[2] < 0
    assert light.on_face_lux == light.ambient_lux < 0.3 * light.lamps[0].lux
    assert min(light.behind) > 1
    front = ROOM_LIGHTS.sample(np.random.default_rng(seed), 'bright')
    assert front.on_face_lux > front.ambient_lux
    assert max(front.behind) < 1
