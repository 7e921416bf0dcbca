from dataclasses import replace
from operator import attrgetter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from microexpr_ros.facs import CODES
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.evaluation.asymmetry import score_asymmetry

SLICES = 6


def clip_of(make_clip, sides, identity=0):
    """Return a recording with these true sides and no events."""
    clip = replace(make_clip(0, slices=1, code=0), sides=sides, identity=identity)
    nothing = np.zeros(0, np.uint16), np.zeros(0, np.uint8), np.zeros(len(sides) + 1, np.int64)
    return SparseClip(*nothing, clip)


def sides_of(rows, slices=SLICES):
    """Return sides; left and right in every slice, by code."""
    out = np.zeros((slices, len(CODES), 2), np.float32)
    for code, pair in rows.items():
        out[:, CODES.index(code)] = pair
    return out


def test_a_case_by_hand(make_clip):
    true = [
        sides_of({12: (0.5, 0.1), 4: (0.3, 0.25)}),
        sides_of({12: (0.0, 0.3), 14: (0.4, 0.1)}, slices=3),
        sides_of({12: (0.6, 0.2)}, slices=3),
        sides_of({4: (0.2, 0.2)}),
    ]
    sparse_clips = [clip_of(make_clip, s, identity=n // 2) for n, s in enumerate(true)]
    said = [
        sides_of({12: (0.5, 0.375), 4: (0.0, 1.0)}),
        sides_of({12: (0.25, 0.125), 14: (0.25, 0.25)}, slices=3),
        sides_of({12: (0.5, 0.125)}, slices=3),
        sides_of({4: (1.0, 0.0)}),
    ]
    # Of the first clip 6 slices are right, and its unit 4 is too even to count; of the second
    # 3 are wrong and 3 are ties; of the third 3 are right.
    found = score_asymmetry(said, sparse_clips)
    assert found.named.value == pytest.approx((6 + 0 + 1.5 + 3) / 15)
    assert (found.n_slices, found.n_clips) == (15, 3)
    # In 3 slices right is the stronger, and left minus right is 0.125; of the 12 others, 6 tie
    # with that, 3 are below, 3 are above.
    assert found.auc == pytest.approx((6 / 2 + 3) / 12)
    assert list(found.per_au) == [12]
    assert found.per_au[12].named == pytest.approx(9 / 12)
    assert found.per_au[12].n_clips == 3
    # One person has 7.5 of 12, the other 3 of 3; drawn alone, they are the bounds.
    assert found.named.ci95 == pytest.approx((7.5 / 12, 1))


def test_equal_sides_are_at_chance(make_clip):
    sparse_clips = [
        clip_of(make_clip, sides_of({12: (0.5, 0.1)})),
        clip_of(make_clip, sides_of({12: (0.1, 0.5)})),
    ]
    alike = [sides_of({12: (0.4, 0.4)})] * 2
    found = score_asymmetry(alike, sparse_clips)
    assert found.named.value == found.auc == found.chance == 0.5
    assert np.isnan(found.named.ci95).all()  # of one person
    perfect = score_asymmetry([r.clip.sides for r in sparse_clips], sparse_clips)
    assert perfect.named.value == perfect.auc == 1
    swapped = score_asymmetry([r.clip.sides[..., ::-1] for r in sparse_clips], sparse_clips)
    assert swapped.named.value == swapped.auc == 0


def test_without_uneven_units_nothing_is_known(sparse_clips):
    found = score_asymmetry([r.clip.sides for r in sparse_clips], sparse_clips)
    assert np.isnan([found.named.value, found.auc, *found.named.ci95]).all()
    assert (found.n_slices, found.n_clips, found.per_au) == (0, 0, {})


values = arrays(np.float32, (4, SLICES, len(CODES), 2), elements=st.floats(0, 1, width=16))


@settings(max_examples=20)
@given(values, values)
def test_a_mirrored_world_scores_the_same(make_clip, true, said):
    def scores(sides_true, sides_said):
        sparse_clips = [clip_of(make_clip, s, identity=n) for n, s in enumerate(sides_true)]
        return score_asymmetry(list(sides_said), sparse_clips)

    found, mirrored = scores(true, said), scores(true[..., ::-1], said[..., ::-1])
    for name in ('named.value', 'named.ci95', 'auc', 'n_slices', 'n_clips'):
        expected = attrgetter(name)(found)
        assert attrgetter(name)(mirrored) == pytest.approx(expected, nan_ok=True)
    assert mirrored.per_au.keys() == found.per_au.keys()
