"""Mixed clips against closed forms, and against films of rendered pictures."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from fake_clips import needs_face

from microexpr_ros import facs
from microexpr_ros.events.events import Events
from microexpr_ros.events.grid import GRID, SLICE_NS, accumulate
from microexpr_ros.events.region import Region
from microexpr_ros.synthesis.appearance import (
    AppearanceBasis,
    AppearanceChange,
    count_events,
    measure_basis,
    mix_log_radiance,
    read_basis,
    write_basis,
)
from microexpr_ros.synthesis.dataset.recipe import Recipe
from microexpr_ros.synthesis.dataset.take import sample_take
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS, SensorParameters
from microexpr_ros.synthesis.sensors.filming import film
from microexpr_ros.synthesis.world.light import Light
from microexpr_ros.synthesis.world.motion import Instant, single

SIDE = 8
STEADY = Light('bright', (), 100.0)
IDEAL = SensorParameters(
    threshold_sigma=0.0,
    corner_hz=1e6,
    refractory_ns=0,
    leak_hz=0.0,
    shot_hz=0.0,
    hot_share=0.0,
)


class Centred:
    """A generator of middles: every pixel stands halfway between equal thresholds."""

    def __init__(self):
        self._rng = np.random.default_rng(0)

    def normal(self, mean=0.0, _=1.0, size=None):
        return np.full(size, mean)

    def standard_normal(self, size=None, dtype=float):
        return np.zeros(size, dtype)

    def random(self, size=None, dtype=float):
        return np.full(size, 0.5, dtype)

    def uniform(self, low, high, size=None):
        return (np.asarray(low) + np.asarray(high)) / 2

    def integers(self, *args, **kwargs):
        return self._rng.integers(*args, **kwargs)


def make_basis(rest=None, deltas=()):
    """Return a basis whose units change the whole picture by the delta of their code."""
    rest = np.full((SIDE, SIDE), np.log(100), np.float32) if rest is None else rest
    nothing = np.zeros((2, *rest.shape), np.float32)
    knots = np.array([0, 1], np.float32)
    changes = [AppearanceChange(knots, nothing, 0, 0, 0.0) for _ in range(len(facs.CODES) + 4)]
    for code, delta in dict(deltas).items():
        change = nothing.copy()
        change[1] = delta
        changes[facs.CODES.index(code)] = AppearanceChange(knots, change, 0, 0, 1.0)
    half = np.zeros_like(rest)
    half[:, SIDE // 2 :] = 1
    return AppearanceBasis(
        rest,
        np.zeros_like(rest),
        np.ones_like(rest),
        half,
        np.zeros((6, 2, *rest.shape), np.float32),
        tuple(changes),
        np.zeros((68, 2), np.float32),
    )


def cells_of(shape, grid):
    rows, columns = (np.arange(size) * grid // size for size in shape)
    return (rows[:, None] * grid + columns).astype(np.int32)


def count(basis, motion, light=STEADY, parameters=IDEAL, rng=None, grid=SIDE):
    cells = cells_of(basis.rest.shape, grid)
    return count_events(basis, motion, light, parameters, cells, grid, rng or Centred())


def test_a_rise_of_0_62_crosses_thresholds_of_0_2_three_times():
    counts = count(make_basis(deltas={12: 0.62}), single(12, 1.0, 20 * SLICE_NS))
    assert counts.shape == (20, 2, SIDE, SIDE)
    assert (counts[:, 1].sum(axis=0) == 3).all()
    assert not counts[:, 0].any()


def test_a_fall_is_seen_as_off_events():
    counts = count(make_basis(deltas={4: -0.62}), single(4, 1.0, 20 * SLICE_NS))
    assert (counts[:, 0].sum(axis=0) == 3).all()
    assert not counts[:, 1].any()


def test_events_between_two_pictures_are_counted_in_their_own_slices():
    motion = single(12, 1.0, 20 * SLICE_NS)
    counts = count(make_basis(deltas={12: 6.2}), motion)[:, 1, 0, 0].astype(int)
    # A pixel halfway between its thresholds crosses the first after 0.2, as it stands at 0.
    ends = SLICE_NS * np.arange(1, 21)
    crossed = np.floor(6.2 * motion.channels(ends)[:, 2 * facs.CODES.index(12)] / 0.2)
    assert np.count_nonzero(np.diff(crossed, prepend=0)) > 8
    assert abs(np.cumsum(counts) - crossed).max() <= 1


def test_a_still_scene_is_silent_without_noise():
    motion = single(12, 0.0, 100 * SLICE_NS)
    assert not count(make_basis(), motion).any()


def test_one_side_changes_alone():
    motion = single(12, 1.0, 20 * SLICE_NS)
    left = replace(motion, activations=(replace(motion.activations[0], right=0.0),))
    counts = count(make_basis(deltas={12: 0.62}), left).sum(axis=(0, 1))
    assert (counts[:, SIDE // 2 :] == 3).all()
    assert not counts[:, : SIDE // 2].any()


def test_pixels_outside_the_grid_are_not_counted():
    basis, motion = make_basis(deltas={12: 0.62}), single(12, 1.0, 20 * SLICE_NS)
    cells = cells_of(basis.rest.shape, SIDE)
    cells[0] = -1
    counts = count_events(basis, motion, STEADY, IDEAL, cells, SIDE, Centred())
    assert not counts[..., 0, :].any()
    assert counts[..., 1:, :].any()


@pytest.mark.parametrize('phase', [0.0, 0.3, 1.0, 2.5])
def test_flicker_is_counted_as_by_crossing_every_level(phase):
    light = Light('flicker', (), 100.0, 100.0, 0.3, phase)
    counts = count(make_basis(), single(12, 0.0, 50 * SLICE_NS), light).astype(int)
    # One pixel, step by step, after two periods in which it follows the light.
    t_ns = np.arange(-20_000_000, 500_000_001, 10_000)
    level, events = None, [0, 0]
    for t, value in zip(t_ns, np.log(light.gain(t_ns)), strict=True):
        level = value if level is None else level
        while abs(value - level) >= 0.2:
            events[int(value > level)] += t > 0
            level += np.copysign(0.2, value - level)
    assert min(events) >= 49
    assert abs(counts.sum(axis=0) - np.array(events)[:, None, None]).max() <= 2


def test_noise_has_the_rate_of_the_parameters():
    noisy = replace(IDEAL, shot_hz=5.0, rate_spread=0.0)
    side = 64
    basis = make_basis(np.full((side, side), np.log(100), np.float32))
    counts = count(basis, single(12, 0.0, 100 * SLICE_NS), STEADY, noisy, np.random.default_rng(1))
    expected = 5.0 * side * side
    assert abs(counts.astype(int).sum() - expected) < 5 * np.sqrt(expected)


def test_the_leak_makes_on_events_of_its_rate():
    leaky = replace(IDEAL, leak_hz=4.0, rate_spread=0.0)
    counts = count(make_basis(), single(12, 0.0, 100 * SLICE_NS), parameters=leaky)
    assert abs(counts[:, 1].sum(axis=0).astype(int) - 4).max() <= 1
    assert not counts[:, 0].any()


def test_the_camera_s_shake_moves_the_head_in_front_of_the_background():
    rest = np.random.default_rng(2).random((16, 16)).astype(np.float32)
    basis = make_basis(rest)
    still = Instant(0, np.zeros(44, np.float32), np.zeros(6), np.zeros(2))
    moved = mix_log_radiance(basis, replace(still, shake=np.array([3 / 16, 1 / 16])))
    np.testing.assert_allclose(mix_log_radiance(basis, still), rest)
    np.testing.assert_allclose(moved[1:, 3:], rest[:-1, :-3], atol=1e-5)


@pytest.fixture(scope='module')
def take():
    return sample_take(Recipe('train', 5, light='bright', sensor='hd'), 24)


@pytest.fixture(scope='module')
def basis(take):
    return measure_basis(take.scene)


@needs_face
def test_a_basis_is_read_as_it_was_written(basis, tmp_path):
    write_basis(tmp_path / 'scene.npz', basis)
    read = read_basis(tmp_path / 'scene.npz')
    np.testing.assert_allclose(read.rest, basis.rest, atol=0.005)
    assert len(read.changes) == len(basis.changes)
    for one, other in zip(read.changes, basis.changes, strict=True):
        np.testing.assert_array_equal(one.knots, other.knots)
        np.testing.assert_allclose(one.delta, other.delta, atol=0.005)
        assert (one.row, one.column) == (other.row, other.column)
    np.testing.assert_array_equal(read.landmarks, basis.landmarks)


@needs_face
def test_mixed_pictures_are_rendered_ones_where_one_unit_moves(take, basis):
    motion = single(12, 0.3, 100_000_000)
    (instant,) = motion.instants(np.array([motion.apex_ns]))
    mixed = mix_log_radiance(basis, instant)
    error = np.abs(mixed - np.log(take.scene.radiance(instant)))
    # Between two knots an edge fades where it moves: by up to half a pixel, along the lips.
    assert np.quantile(error, 0.998) < 0.05


@needs_face
@pytest.mark.parametrize('code', facs.CODES)
def test_a_unit_s_events_are_those_of_a_film(take, basis, code):
    motion = single(code, 0.3, 200_000_000)
    sensor = replace(
        SENSORS['hd'],
        threshold_sigma=0.0,
        leak_hz=0.0,
        shot_hz=0.0,
        hot_share=0.0,
        jitter_ns=0,
    )
    mixed = count(basis, motion, take.scene.light, sensor, Centred(), GRID).astype(int)
    samples = film(take.scene, motion, sensor, Centred(), step_px=1.0)
    events = Events.concatenate([sample.events for sample in samples])
    height, width = basis.rest.shape
    filmed = np.zeros((len(mixed), 2, GRID, GRID), np.uint8)
    for number in range(len(mixed)):
        first, last = np.searchsorted(events.t, [number * SLICE_NS, (number + 1) * SLICE_NS])
        accumulate(events[first:last], Region(0, 0, width, height), filmed[number])
    filmed = filmed.astype(int)
    signed = [(counts[:, 1] - counts[:, 0]).sum(axis=0).ravel() for counts in (mixed, filmed)]
    assert np.corrcoef(*signed)[0, 1] > 0.9
    assert mixed.sum() == pytest.approx(filmed.sum(), rel=0.15)
    on = partial(np.sum, axis=(0, 2, 3))
    assert on(mixed)[1] / mixed.sum() == pytest.approx(on(filmed)[1] / filmed.sum(), abs=0.05)
    slices = np.arange(len(mixed))
    times = [counts.sum(axis=(1, 2, 3)) @ slices / counts.sum() for counts in (mixed, filmed)]
    assert times[0] == pytest.approx(times[1], abs=0.5)
