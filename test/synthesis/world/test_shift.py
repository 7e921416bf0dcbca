import numpy as np
import pytest
from fake_clips import needs_face
from hypothesis import given, settings
from hypothesis import strategies as st

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events
from microexpr_ros.synthesis.dataset.clip import (
    LIVE,
    SPLITS,
    STREAMED,
    Recipe,
    check_recipe,
    make_clip,
)
from microexpr_ros.synthesis.sensors import event_sensor
from microexpr_ros.synthesis.world import motion, scene, shift
from microexpr_ros.synthesis.world.renderer import Camera


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), slices=st.integers(80, 120))
def test_expressions_are_fainter_or_stronger_than_elsewhere_and_as_short(seed, slices):
    duration = slices * 10_000_000
    course = shift.draw_course(np.random.default_rng(seed), duration)
    assert motion.facs.is_micro(course.offset_ns - course.onset_ns)
    if course.dominant not in (0, 45):
        assert 0.03 <= course.amplitude < 0.05 or 0.35 <= course.amplitude < 0.5
        times = np.arange(course.onset_ns, course.offset_ns, 1_000_000)
        channels = course.channels(times)
        unit = motion.facs.CODES.index(course.dominant)
        if course.dominant not in (25, 26):
            peak = channels[:, 2 * unit : 2 * unit + 2].max()
            assert peak == pytest.approx(course.amplitude, rel=1e-3)


@pytest.mark.parametrize('seed', range(8))
def test_no_light_of_another_split_is_like_it(seed):
    rng = np.random.default_rng(seed)
    others = [scene.draw_light(rng, name) for name in scene.LIGHTS]
    assert shift.draw_light(rng, 'night').lamps[0].lux < min(o.lamps[0].lux for o in others)
    flicker = shift.draw_light(rng, 'flicker120')
    assert flicker.flicker_hz == 120
    assert flicker.flicker_depth > max(o.flicker_depth for o in others)
    assert set(shift.LIGHTS).isdisjoint(scene.LIGHTS)
    assert shift.draw_light(rng, 'random').name in shift.LIGHTS
    with pytest.raises(MicroexprError, match='unknown light'):
        shift.draw_light(rng, 'dim')


def test_the_biases_surround_those_of_the_other_splits():
    known = event_sensor.SENSORS.values()
    low, high = (f(p.threshold_on for p in known) for f in (min, max))
    noise = max(p.shot_hz for p in known)
    for name, parameters in shift.SENSORS.items():
        model, _, bias = name.partition('-')
        assert parameters.width == event_sensor.SENSORS[model].width
        if bias == 'sensitive':
            assert max(parameters.threshold_on, parameters.threshold_off) < low
            assert parameters.shot_hz > 2 * noise
        else:
            assert min(parameters.threshold_on, parameters.threshold_off) > high
            assert parameters.corner_hz < min(p.corner_hz for p in known)


def test_the_lamp_moves_evenly_and_keeps_its_strength():
    light = shift.draw_light(np.random.default_rng(3), 'moving')
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
    # Only still lights can be filmed without it; the others are as they are.
    assert light.gain(np.array([0, 1])).tolist() == [1, 1]


def test_persons_are_of_this_split_alone():
    starts = sorted([*SPLITS.values(), STREAMED, LIVE])
    assert min(np.diff(starts)) >= 1_000_000


def test_what_belongs_to_another_split_is_refused(tmp_path):
    with pytest.raises(MicroexprError, match="--light 'dim' is unknown"):
        check_recipe(Recipe('shift', light='dim'))
    with pytest.raises(MicroexprError, match="--light 'night' is unknown"):
        check_recipe(Recipe('test', light='night'))
    with pytest.raises(MicroexprError, match='--skin-dir'):
        check_recipe(Recipe('shift', photographs=(tmp_path / 'skin.jpg',)))


@needs_face
def test_only_a_moving_light_makes_events_on_a_face_at_rest():
    person = scene.make_person(4_000_001, 4_000_001)
    camera = Camera(48, 48, 160.0, 8.0, (24, 24))
    rest = motion.single(12, 0.0, 200_000_000)
    quiet = event_sensor.SensorParameters(leak_hz=0, shot_hz=0, hot_share=0)

    def film(light):
        rng = np.random.default_rng(0)
        view = scene.build_scene(rng, person, light, camera, np.zeros(3), 0.3)
        return Events.concatenate([s.events for s in shift.film(view, rest, quiet, rng)])

    light = shift.draw_light(np.random.default_rng(3), 'moving')
    assert len(film(light.at(0))) == 0
    events = film(light)
    assert len(events) > 100
    assert (np.diff(events.t) >= 0).all()
    assert events.t[-1] < 200_000_000


@needs_face
def test_a_clip_tells_its_light_and_sensor():
    clip = make_clip(Recipe('shift', 2, 'davis346', 'moving'), 0)
    assert clip.light == 'moving'
    assert clip.sensor in ('davis346-sensitive', 'davis346-coarse')
    assert 4_000_000 <= clip.identity < 5_000_000
    assert clip.counts.sum() > 0
