import numpy as np
import pytest

from microexpr_ros.perception.faces.flicker import FlickerFilter

SHAPE = (30, 40)
SLICE_S = 0.01


def flicker(rng, events=3):
    """Return what makes slices under a lamp: cells that differ, and hardly any change."""
    usual = rng.integers(0, 2 * events + 1, (2, *SHAPE))

    def slice_of(at):
        return (usual + (rng.random(usual.shape) < 0.1)).astype(np.uint8)

    return slice_of


def run(made, slices=100):
    kept = FlickerFilter(SHAPE)
    for at in range(slices):
        left = kept.remove(counts := made(at), SLICE_S).copy()
    return kept, counts, left


def test_what_comes_in_every_slice_alike_is_taken_away():
    kept, counts, left = run(flicker(np.random.default_rng(0)))
    assert kept.flickers
    assert left.sum() < 0.1 * counts.sum()


@pytest.mark.parametrize('events', [3, 30])
def test_a_lamp_is_found_in_a_fifth_of_a_second_however_deep_it_flickers(events):
    kept, counts, left = run(flicker(np.random.default_rng(0), events), 20)
    assert kept.flickers
    assert left.sum() < 0.1 * counts.sum()


def test_a_burst_is_left_where_it_is():
    lamp = flicker(np.random.default_rng(0))

    def made(at):
        counts = lamp(at)
        if at >= 97:
            counts[1, 10:14, 20:24] += 5
        return counts

    left = run(made)[2]
    assert left[1, 10:14, 20:24].mean() == pytest.approx(5, abs=0.6)
    assert left.sum() - left[1, 10:14, 20:24].sum() < 0.1 * lamp(0).sum()


@pytest.mark.parametrize('per_cell', [0.02, 1.0, 10.0])
def test_noise_and_movement_stay_as_they_are(per_cell):
    rng = np.random.default_rng(1)

    def made(at):
        # A bar that passes again and again, over noise.
        counts = rng.poisson(per_cell, (2, *SHAPE)).astype(np.uint8)
        counts[:, :, at % 40] += 20
        return counts

    kept, counts, left = run(made)
    assert not kept.flickers
    np.testing.assert_array_equal(left, counts)


def test_when_the_lamp_is_off_nothing_is_taken_away():
    lamp = flicker(np.random.default_rng(0))
    rng = np.random.default_rng(2)

    def made(at):
        return lamp(at) if at < 100 else rng.poisson(0.3, (2, *SHAPE)).astype(np.uint8)

    kept, counts, left = run(made, 250)
    assert not kept.flickers
    np.testing.assert_array_equal(left, counts)


def test_another_stream_begins_without_what_was():
    kept = run(flicker(np.random.default_rng(0)))[0]
    kept.reset()
    counts = np.full((2, *SHAPE), 2, np.uint8)
    np.testing.assert_array_equal(kept.remove(counts, SLICE_S), counts)
    assert not kept.flickers
