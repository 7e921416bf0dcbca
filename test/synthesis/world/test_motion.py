from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexpr_ros import facs
from microexpr_ros.facs import ExpressionKind
from microexpr_ros.synthesis.person.channels import CHANNELS, GAZE
from microexpr_ros.synthesis.world.labels import movements
from microexpr_ros.synthesis.world.motion import (
    Gaze,
    HeadTurn,
    Motion,
    UnitActivation,
    Wave,
    single,
)
from microexpr_ros.synthesis.world.motion_sampling import (
    CALM,
    sample_busy_story,
    sample_calm,
    sample_clip,
    sample_excerpt,
    sample_shifted_clip,
    sample_story,
)

SECOND = 1_000_000_000


def test_an_activation_rises_holds_and_falls():
    activation = UnitActivation(12, 100, 200, 300, 400, 0.5)
    levels = activation.level(np.array([0, 100, 150, 200, 250, 300, 350, 400, 500]))
    np.testing.assert_allclose(levels, [0, 0, 0.25, 0.5, 0.5, 0.5, 0.25, 0, 0], atol=1e-12)


def test_channels_hold_both_sides_and_intensity_the_stronger():
    motion = single(4, 0.8, SECOND)
    (activation,) = motion.activations
    uneven = UnitActivation(
        4,
        activation.onset_ns,
        activation.apex_ns,
        activation.release_ns,
        activation.offset_ns,
        0.8,
        1.0,
        0.25,
    )
    motion = Motion(SECOND, (uneven,), (), motion.head, (), motion.camera)
    at = 2 * facs.CODES.index(4)
    values = motion.channels(np.array([SECOND]))[0]
    assert values[at : at + 2] == pytest.approx([0.8, 0.2])
    assert motion.intensity(np.array([SECOND]))[0, at // 2] == pytest.approx(0.8)


def test_both_eyes_look_the_same_way():
    none = single(4, 0.0, SECOND)
    look = Gaze(0, 1000, 0.6, -0.3)
    motion = Motion(SECOND, (), (look,), none.head, (), none.camera)
    gaze = dict(zip(GAZE, motion.channels(np.array([2000]))[0, -8:], strict=True))
    assert gaze['eyeLookOutLeft'] == gaze['eyeLookInRight'] == pytest.approx(0.6)
    assert gaze['eyeLookDownLeft'] == gaze['eyeLookDownRight'] == pytest.approx(0.3)
    assert gaze['eyeLookInLeft'] == gaze['eyeLookUpLeft'] == 0


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), slices=st.integers(80, 120))
def test_clips_are_bounded_and_consistent(seed, slices):
    duration = slices * 10_000_000
    motion = sample_clip(np.random.default_rng(seed), duration)
    times = np.arange(0, duration + 1, 5_000_000)
    channels, intensity = motion.channels(times), motion.intensity(times)
    assert channels.shape == (len(times), CHANNELS)
    assert channels.min() >= 0
    assert channels.max() <= 1
    assert (intensity.max(axis=0) > 0).sum() == len(
        {activation.code for activation in motion.activations}
    )
    if motion.dominant:
        assert 0 <= motion.onset_ns < motion.apex_ns < motion.offset_ns <= duration
        level = intensity[:, facs.CODES.index(motion.dominant)]
        peak = level[np.searchsorted(times, motion.apex_ns)]
        assert peak == pytest.approx(motion.amplitude, abs=0.1)
    else:
        assert (motion.onset_ns, motion.apex_ns, motion.offset_ns) == (0, 0, 0)


def test_every_unit_is_often_enough_dominant_and_micro_is_micro():
    rng = np.random.default_rng(0)
    clips = [sample_clip(rng, SECOND) for _ in range(3000)]
    dominant = Counter(clip.dominant for clip in clips)
    assert min(dominant[code] for code in facs.CODES) > 40
    assert dominant[4] > 2 * dominant[18]
    micro = [clip for clip in clips if 0 < clip.amplitude < 0.35 and clip.dominant != 45]
    assert len(micro) / len(clips) == pytest.approx(0.68, abs=0.05)
    durations = np.array([clip.offset_ns - clip.onset_ns for clip in micro]) / 1e6
    assert durations.max() <= 500
    # The databases' medians: 300 to 392 ms.
    assert 280 < np.median(durations) < 410
    rise = np.array([clip.apex_ns - clip.onset_ns for clip in micro]) / 1e6
    assert 130 < np.median(rise) < 210
    units = [
        len({activation.code for activation in clip.activations})
        for clip in micro
        if not clip.distractors
    ]
    assert 1.25 < np.mean(units) < 1.73


def test_a_story_goes_on_to_its_end():
    motion = sample_story(np.random.default_rng(1), 20 * SECOND)
    active = motion.intensity(np.arange(0, 20 * SECOND, SECOND // 50)).max(axis=1) > 0.03
    assert 0.2 < active.mean() < 0.95
    assert active[-250:].any()


@pytest.mark.parametrize('seed', range(20))
def test_much_happens_in_a_busy_story(seed):
    motion = sample_busy_story(np.random.default_rng(seed), 10 * SECOND)
    talks = 'talk' in motion.distractors
    found = movements(motion)
    expressions = [one for one in found if one.kind is ExpressionKind.EXPRESSION]
    assert 2 <= len(expressions) <= 8
    assert any(one.kind is ExpressionKind.BLINK for one in found)
    assert any(one.kind is ExpressionKind.SPEECH for one in found) == talks
    assert bool(motion.turns) == bool({'nod', 'turn'} & {*motion.distractors})
    assert len(motion.gaze) > 2
    mouth = {10, 17, 18, 20, 24, 25, 26}
    for one in expressions:
        assert one.dominant in one.codes
        assert not (talks and one.dominant in mouth)
        assert 0 < one.onset_ns < one.offset_ns <= 10 * SECOND
        # The head rests, but for its sway, while an expression is shown.
        assert all(
            t.offset_ns <= one.onset_ns or t.onset_ns >= one.offset_ns for t in motion.turns
        )


@pytest.mark.parametrize('seed', range(40))
def test_an_excerpt_has_one_expression_or_none(seed):
    motion = sample_excerpt(np.random.default_rng(seed))
    assert motion.duration_ns % 10_000_000 == 0
    assert 0.9 * SECOND <= motion.duration_ns <= 4 * SECOND
    expressions = [one for one in movements(motion) if one.kind is ExpressionKind.EXPRESSION]
    # Blinks that fall together with a unit may make more of one.
    assert bool(expressions) == bool(motion.dominant) or motion.dominant == 45
    if motion.dominant:
        assert 0 < motion.onset_ns < motion.apex_ns < motion.offset_ns <= motion.duration_ns
        at = motion.intensity(np.array([motion.apex_ns]))[0, facs.CODES.index(motion.dominant)]
        assert at == pytest.approx(motion.amplitude, abs=0.01)
    assert np.abs(motion.pose(np.arange(0, motion.duration_ns, 10_000_000))).max() > 1e-3


def test_excerpts_are_as_stories_are():
    excerpts = [sample_excerpt(np.random.default_rng(n)) for n in range(200)]
    seen = Counter(name for excerpt in excerpts for name in excerpt.distractors)
    assert seen['sway'] == 200
    assert all(25 < seen[name] < 75 for name in ('nod', 'turn', 'talk'))
    assert 30 < sum(not excerpt.dominant for excerpt in excerpts) < 75
    assert len({excerpt.dominant for excerpt in excerpts}) > 15


def test_some_stories_talk_nod_and_turn_and_their_expressions_are_mostly_micro():
    stories = [sample_busy_story(np.random.default_rng(n), 10 * SECOND) for n in range(60)]
    seen = Counter(name for story in stories for name in story.distractors)
    assert all(seen[name] == 60 for name in ('blink', 'gaze', 'sway'))
    assert seen['nod'] > 40
    assert seen['turn'] > 40
    assert 15 < seen['talk'] < 45
    micro = [
        one.micro
        for story in stories
        for one in movements(story)
        if one.kind is ExpressionKind.EXPRESSION
    ]
    assert 0.5 < np.mean(micro) < 0.85


def test_a_turn_of_the_head_adds_to_its_sway_and_comes_back():
    rest = single(4, 0.0, SECOND)
    turn = HeadTurn(1, 100, 200, 300, 400, 0.3)
    wave = Wave(np.array([0.1]), np.array([0.0]), np.array([np.pi / 2]))
    head = (rest.head[0], wave, *rest.head[2:])
    motion = Motion(SECOND, (), (), head, (turn,), rest.camera)
    pose = motion.pose(np.array([0, 150, 250, 500]))
    np.testing.assert_allclose(pose[:, 1], [0.1, 0.25, 0.4, 0.1])
    np.testing.assert_array_equal(np.delete(pose, 1, axis=1), 0)


def test_all_distractors_occur_and_everybody_breathes():
    rng = np.random.default_rng(3)
    clips = [sample_clip(rng, SECOND) for _ in range(600)]
    seen = Counter(name for clip in clips for name in clip.distractors)
    assert set(seen) == {'blink', 'gaze', 'talk', 'sway', 'nod', 'turn', 'shake'}
    assert all(
        (len(clip.turns) > 0) == bool({'nod', 'turn'} & {*clip.distractors}) for clip in clips
    )
    times = np.arange(0, 6 * SECOND, SECOND // 10)
    still = next(clip for clip in clips if not {'sway', 'nod', 'turn'} & {*clip.distractors})
    height = still.pose(times)[:, 4]
    assert 2e-4 < np.ptp(height) < 2.1e-2


@pytest.mark.parametrize('kind', CALM)
def test_calm_takes_have_no_expression_and_what_their_kind_says(kind):
    motion = sample_calm(np.random.default_rng(5), 5 * SECOND, kind)
    moved = {activation.code for activation in motion.activations}
    assert motion.dominant == 0
    turned = np.abs(np.rad2deg(motion.pose(np.arange(0, 5 * SECOND, SECOND // 100))[:, :3])).max()
    expected = {
        'neutral': (set(), set()),
        'talk': ({25, 26}, {10, 18, 20, 24}),
        'blink': ({45}, set()),
        'head': (set(), set()),
    }
    always, perhaps = expected[kind]
    assert always <= moved <= always | perhaps
    assert (turned > 3) == (kind == 'head')


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), slices=st.integers(80, 120))
def test_expressions_are_fainter_or_stronger_than_elsewhere_and_as_short(seed, slices):
    duration = slices * 10_000_000
    motion = sample_shifted_clip(np.random.default_rng(seed), duration)
    assert facs.is_micro(motion.offset_ns - motion.onset_ns)
    if motion.dominant not in (0, 45):
        assert 0.03 <= motion.amplitude < 0.05 or 0.35 <= motion.amplitude < 0.5
        times = np.arange(motion.onset_ns, motion.offset_ns, 1_000_000)
        channels = motion.channels(times)
        unit = facs.CODES.index(motion.dominant)
        if motion.dominant not in (25, 26):
            peak = channels[:, 2 * unit : 2 * unit + 2].max()
            assert peak == pytest.approx(motion.amplitude, rel=1e-3)
