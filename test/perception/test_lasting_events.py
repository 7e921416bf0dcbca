import numpy as np
import pytest

from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.perception.reconstruction.lasting_events import FORGET, LastingEvents
from microexpr_ros.perception.reconstruction.region_change import RegionChange

SLICE_S = 0.01


def slice_of(rows, columns, events=1.0, sign=1):
    density = np.zeros((2, 128, 128), np.float32)
    density[1 if sign > 0 else 0, rows, columns] = events
    return density


def watch(lasting, *densities):
    for density in densities:
        lasting = lasting.add(density, SLICE_S)
    return lasting


def noise(rng, hz):
    return rng.poisson(hz * SLICE_S / 2, (2, 128, 128)).astype(np.float32)


NOTHING = np.zeros((2, 128, 128), np.float32)
MOUTH = slice_of(slice(80, 96), slice(40, 88), 0.5)
EYE = slice_of(slice(40, 52), slice(30, 50), 0.5, -1)


def test_a_face_that_rests_stays_known():
    # For a while after it has moved, activity is still high.
    seen = watch(LastingEvents.nothing(128), MOUTH, EYE, *[NOTHING] * 100)
    assert (seen.signed[82:94, 42:86] > 0.3).all()
    assert (seen.signed[42:50, 32:48] < -0.3).all()
    later = watch(seen, *[NOTHING] * 5000)
    np.testing.assert_allclose(later.signed, seen.signed, rtol=1e-5)


def test_noise_neither_erases_nor_fills():
    rng = np.random.default_rng(0)
    quiet = watch(LastingEvents.nothing(128), *(noise(rng, 0.5) for _ in range(100)))
    assert quiet.noise / SLICE_S == pytest.approx(0.5, rel=0.2)
    seen = watch(quiet, *[MOUTH] * 3, *(noise(rng, 0.5) for _ in range(50)))
    later = watch(seen, *(noise(rng, 0.5) for _ in range(500)))
    shown = slice(82, 94), slice(42, 86)
    assert later.signed[shown].mean() > 0.8 * seen.signed[shown].mean()
    before, after = (np.abs(one.signed[:70]).mean() for one in (seen, later))
    assert after < before + 0.02


def test_what_moves_replaces_what_was_there_and_only_there():
    seen = watch(LastingEvents.nothing(128), MOUTH, EYE, *[NOTHING] * 100)
    later = watch(seen, *[slice_of(slice(80, 96), slice(40, 88), 0.5, -1)] * 20)
    # Half an event a slice, once the activity has risen: a sum that shrinks by exp(-FORGET / 2).
    assert later.signed[88, 60] == pytest.approx(-0.5 / (1 - np.exp(-FORGET / 2)), rel=0.05)
    np.testing.assert_allclose(later.signed[:70], seen.signed[:70], rtol=1e-5)


def test_a_region_that_moves_takes_along_what_it_shows():
    seen = watch(LastingEvents.nothing(128), MOUTH)
    # Cells of two pixels; the region goes eight pixels down and right: its cells four up and left.
    before = AlignedRegion(200.0, 200.0, 256.0)
    moved = seen.follow(RegionChange.between(before, AlignedRegion(208.0, 208.0, 256.0)))
    np.testing.assert_allclose(moved.signed[:124, :124], seen.signed[4:, 4:], atol=1e-5)
    turn = RegionChange.between(before, AlignedRegion(200.0, 200.0, 256.0, np.pi / 2))
    turned = seen.follow(turn)
    # What is turned clockwise sees everything turned the other way.
    np.testing.assert_allclose(turned.signed, np.rot90(seen.signed), atol=1e-4)
