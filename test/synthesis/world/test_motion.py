from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexpr_ros import facs
from microexpr_ros.synthesis.world import motion
from microexpr_ros.synthesis.world.motion import (
    CALM,
    Bump,
    HeadTurn,
    draw_calm,
    draw_clip,
    draw_story,
    single,
)

SECOND = 1_000_000_000


def test_a_bump_rises_holds_and_falls():
    bump = Bump(12, 100, 200, 300, 400, 0.5)
    levels = bump.level(np.array([0, 100, 150, 200, 250, 300, 350, 400, 500]))
    np.testing.assert_allclose(levels, [0, 0, 0.25, 0.5, 0.5, 0.5, 0.25, 0, 0], atol=1e-12)


def test_channels_hold_both_sides_and_intensity_the_stronger():
    course = single(4, 0.8, SECOND)
    (bump,) = course.bumps
    uneven = Bump(4, bump.onset_ns, bump.apex_ns, bump.release_ns, bump.offset_ns, 0.8, 1.0, 0.25)
    course = motion.Motion(SECOND, (uneven,), (), course.head, (), course.camera)
    at = 2 * facs.CODES.index(4)
    values = course.channels(np.array([SECOND]))[0]
    assert values[at : at + 2] == pytest.approx([0.8, 0.2])
    assert course.intensity(np.array([SECOND]))[0, at // 2] == pytest.approx(0.8)


def test_both_eyes_look_the_same_way():
    none = single(4, 0.0, SECOND)
    look = motion.Gaze(0, 1000, 0.6, -0.3)
    course = motion.Motion(SECOND, (), (look,), none.head, (), none.camera)
    gaze = dict(zip(motion_gaze(), course.channels(np.array([2000]))[0, -8:], strict=True))
    assert gaze['eyeLookOutLeft'] == gaze['eyeLookInRight'] == pytest.approx(0.6)
    assert gaze['eyeLookDownLeft'] == gaze['eyeLookDownRight'] == pytest.approx(0.3)
    assert gaze['eyeLookInLeft'] == gaze['eyeLookUpLeft'] == 0


def motion_gaze():
    from microexpr_ros.synthesis.person.face import GAZE

    return GAZE


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), slices=st.integers(80, 120))
def test_clips_are_bounded_and_consistent(seed, slices):
    duration = slices * 10_000_000
    course = draw_clip(np.random.default_rng(seed), duration)
    times = np.arange(0, duration + 1, 5_000_000)
    channels, intensity = course.channels(times), course.intensity(times)
    assert channels.shape == (len(times), motion.CHANNELS)
    assert channels.min() >= 0
    assert channels.max() <= 1
    assert (intensity.max(axis=0) > 0).sum() == len({bump.code for bump in course.bumps})
    if course.dominant:
        assert 0 <= course.onset_ns < course.apex_ns < course.offset_ns <= duration
        level = intensity[:, facs.CODES.index(course.dominant)]
        peak = level[np.searchsorted(times, course.apex_ns)]
        assert peak == pytest.approx(course.amplitude, abs=0.1)
    else:
        assert (course.onset_ns, course.apex_ns, course.offset_ns) == (0, 0, 0)


def test_every_unit_is_often_enough_dominant_and_micro_is_micro():
    rng = np.random.default_rng(0)
    clips = [draw_clip(rng, SECOND) for _ in range(3000)]
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
    units = [len({bump.code for bump in clip.bumps}) for clip in micro if not clip.distractors]
    assert 1.25 < np.mean(units) < 1.73


def test_a_story_goes_on_to_its_end():
    course = draw_story(np.random.default_rng(1), 20 * SECOND)
    active = course.intensity(np.arange(0, 20 * SECOND, SECOND // 50)).max(axis=1) > 0.03
    assert 0.2 < active.mean() < 0.95
    assert active[-250:].any()


def test_a_turn_of_the_head_adds_to_its_sway_and_comes_back():
    rest = single(4, 0.0, SECOND)
    turn = HeadTurn(1, 100, 200, 300, 400, 0.3)
    wave = motion.Wave(np.array([0.1]), np.array([0.0]), np.array([np.pi / 2]))
    head = (rest.head[0], wave, *rest.head[2:])
    course = motion.Motion(SECOND, (), (), head, (turn,), rest.camera)
    pose = course.pose(np.array([0, 150, 250, 500]))
    np.testing.assert_allclose(pose[:, 1], [0.1, 0.25, 0.4, 0.1])
    np.testing.assert_array_equal(np.delete(pose, 1, axis=1), 0)


def test_all_distractors_occur_and_everybody_breathes():
    rng = np.random.default_rng(3)
    clips = [draw_clip(rng, SECOND) for _ in range(600)]
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
    course = draw_calm(np.random.default_rng(5), 5 * SECOND, kind)
    moved = {bump.code for bump in course.bumps}
    assert course.dominant == 0
    turned = np.abs(np.rad2deg(course.pose(np.arange(0, 5 * SECOND, SECOND // 100))[:, :3])).max()
    expected = {
        'neutral': (set(), set()),
        'talk': ({25, 26}, {10, 18, 20, 24}),
        'blink': ({45}, set()),
        'head': (set(), set()),
    }
    always, perhaps = expected[kind]
    assert always <= moved <= always | perhaps
    assert (turned > 3) == (kind == 'head')
