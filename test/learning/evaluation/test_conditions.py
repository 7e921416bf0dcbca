from dataclasses import replace

import pytest

from microexpr_ros.learning.evaluation.conditions import condition_groups


@pytest.mark.parametrize(
    ('amplitude', 'group'),
    [(0.03, '0.00-0.15'), (0.15, '0.15-0.25'), (0.349, '0.25-0.35'), (1.0, '0.35-1.00')],
)
def test_amplitudes(make_clip, amplitude, group):
    clip = replace(make_clip(1), amplitude=amplitude)
    assert condition_groups(clip)['amplitude'] == (group,)


def test_a_clip_may_be_in_several_groups(make_clip):
    clip = replace(make_clip(1), distractors=('blink', 'sway', 'nod', 'shake'))
    groups = condition_groups(clip)
    assert groups['head'] == ('sway', 'nod')
    assert groups['distractor'] == ('blink', 'shake')
    still = condition_groups(replace(clip, distractors=()))
    assert still['head'] == ('still',)
    assert still['distractor'] == ('none',)
