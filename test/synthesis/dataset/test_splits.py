import numpy as np
import pytest
from fake_clips import needs_face

from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.dataset.generate import make_clip
from microexpr_ros.synthesis.dataset.recipe import Recipe, check_recipe
from microexpr_ros.synthesis.dataset.splits import (
    CALM_NS,
    LONG_SHARE,
    REST_NS,
    RESTS_FROM_NS,
    SPLITS,
)
from microexpr_ros.synthesis.person.ranges import FIRST_PERSON, PERSONS


def test_no_person_has_two_uses():
    starts = sorted(FIRST_PERSON.values())
    assert {*SPLITS, 'stream', 'live'} == {*FIRST_PERSON}
    assert min(np.diff(starts)) >= PERSONS == 1_000_000


def test_only_calm_has_no_expressions_and_its_kinds_take_turns():
    rng = np.random.default_rng(0)
    calm = [SPLITS['calm'].sample_motion(rng, index) for index in range(8)]
    assert {motion.duration_ns for motion in calm} == {5_000_000_000}
    assert not any(motion.dominant for motion in calm)
    kinds = [motion.distractors for motion in calm]
    assert kinds[:4] == [(), ('talk',), ('blink', 'gaze'), ('sway', 'nod', 'turn')] == kinds[4:]
    for name in ('val', 'test', 'shift'):
        motions = [SPLITS[name].sample_motion(rng, index) for index in range(40)]
        assert sum(motion.dominant > 0 for motion in motions) > 20
        lengths = np.array([motion.duration_ns for motion in motions])
        assert lengths.min() >= 800_000_000
        assert lengths.max() <= 1_200_000_000
        assert not (lengths % 10_000_000).any()


def test_heads_of_the_split_rest_move_at_first_and_then_rest():
    rng = np.random.default_rng(0)
    for index in range(20):
        motion = SPLITS['rest'].sample_motion(rng, index)
        assert motion.duration_ns == REST_NS == 10_000_000_000
        assert motion.dominant == 0
        assert {activation.code for activation in motion.activations} == {45}
        pose = motion.pose(np.arange(0, REST_NS, 10_000_000))
        moving, resting = np.split(pose, [RESTS_FROM_NS // 10_000_000])
        assert np.rad2deg(np.ptp(moving[:, :3], axis=0).max()) > 3
        # But for breath, of up to three thousandths.
        assert np.ptp(resting, axis=0).max() < 0.021
        assert np.rad2deg(np.ptp(resting[:, :3], axis=0).max()) < 0.5
        assert np.abs(moving[0] - resting[0]).max() < 0.021


def test_training_sees_more_of_what_looks_like_an_expression():
    rng = np.random.default_rng(0)
    motions = [SPLITS['train'].sample_motion(rng, index) for index in range(1500)]
    long = [motion for motion in motions if motion.duration_ns == CALM_NS]
    assert len(long) / len(motions) == pytest.approx(LONG_SHARE, abs=0.02)
    assert not any(motion.dominant for motion in long)
    assert {motion.distractors for motion in long} == {
        *((), ('talk',), ('blink', 'gaze'), ('sway', 'nod', 'turn'))
    }
    short = [motion for motion in motions if motion.duration_ns != CALM_NS]
    assert all(800_000_000 <= motion.duration_ns <= 1_200_000_000 for motion in short)
    speechless = [m for m in short if m.dominant in (10, 17, 18, 20, 24, 25, 26)]
    for name, able in (
        ('gaze', short),
        ('nod', short),
        ('shake', short),
        ('blink', [motion for motion in short if motion.dominant != 45]),
        ('talk', [motion for motion in short if motion not in speechless]),
    ):
        share = np.mean([name in motion.distractors for motion in able])
        assert share == pytest.approx(0.3, abs=0.04), name


def test_only_shift_changes_the_biases_of_sensors():
    rng = np.random.default_rng(0)
    for name, split in SPLITS.items():
        found = {split.sample_sensor(rng, 'vga').name for _ in range(20)}
        shifted = {'vga-sensitive', 'vga-coarse'}
        assert found == (shifted if name == 'shift' else {'vga'})


def test_what_belongs_to_another_split_is_refused(tmp_path):
    with pytest.raises(MicroexprError, match="--light 'dim' is unknown"):
        check_recipe(Recipe('shift', light='dim'))
    with pytest.raises(MicroexprError, match="--light 'night' is unknown"):
        check_recipe(Recipe('test', light='night'))
    with pytest.raises(MicroexprError, match='--skin-dir'):
        check_recipe(Recipe('shift', photographs=(tmp_path / 'skin.jpg',)))


@needs_face
def test_a_clip_names_its_light_and_sensor():
    clip = make_clip(Recipe('shift', 2, 'davis346', 'moving'), 0)
    assert clip.light == 'moving'
    assert clip.sensor in ('davis346-sensitive', 'davis346-coarse')
    assert 4_000_000 <= clip.identity < 5_000_000
    assert clip.counts.sum() > 0
