"""The conditions of a clip: light, sensor, amplitude, movements."""

from __future__ import annotations

from typing import Final

import numpy as np

from microexpr_ros.learning.training.calibration import HEAD
from microexpr_ros.synthesis.dataset.clip import Clip

AMPLITUDES: Final = (0.15, 0.25, 0.35, 1.0)
"""Upper bounds of the groups of the dominant unit's amplitude; the last group holds
macro-expressions."""


STRONG: Final = 0.08
"""Amplitude from which an expression is strong; a fainter one hardly moves a face."""


def comparison_conditions(clip: Clip) -> tuple[str, ...]:
    """Return the conditions of a clip under which events and frames are compared."""
    moves = any(name in clip.distractors for name in (*HEAD, 'shake'))
    return clip.light, 'head or camera moving' if moves else 'head and camera still'


def strength(clip: Clip) -> str | None:
    """Return whether a clip's expression is strong or faint; None without one."""
    if not clip.dominant:
        return None
    return 'strong' if clip.amplitude >= STRONG else 'faint'


def condition_groups(clip: Clip) -> dict[str, tuple[str, ...]]:
    """Return the groups that a clip is in, by what divides the clips; it may be in several."""
    group = min(int(np.searchsorted(AMPLITUDES, clip.amplitude, 'right')), len(AMPLITUDES) - 1)
    amplitude = f'{(0.0, *AMPLITUDES)[group]:.2f}-{AMPLITUDES[group]:.2f}'
    head = tuple(name for name in HEAD if name in clip.distractors)
    others = tuple(name for name in clip.distractors if name not in HEAD)
    return {
        'sensor': (clip.sensor,),
        'light': (clip.light,),
        'amplitude': (amplitude,) if clip.dominant else (),
        'head': head or ('still',),
        'distractor': others or ('none',),
    }
