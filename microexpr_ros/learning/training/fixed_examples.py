"""Examples of clips that are the same each time: by the age of the frame, and without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.data.exposures import measure_exposures
from microexpr_ros.learning.training.reconstruction import ReconstructionExample, remember_frames
from microexpr_ros.perception.reconstruction.frame_memory import FrameMemory

WARM_UP_SLICES: Final = 20
"""Slices of a clip before its first example."""


def find_examples(
    recording: SparseClip,
    low: int,
    high: int,
    targets: int,
    remembered: Sequence[FrameMemory] | None = None,
) -> list[ReconstructionExample]:
    """Return examples of a clip whose frame is at least `low` and less than `high` slices old.

    Args:
        recording: the clip.
        low: least age of the frame, slices.
        high: age that it does not reach, slices.
        targets: most examples, spread over the clip.
        remembered: of `remember_frames`; None to make it.
    """
    clip = recording.clip
    examples = []
    for number, at in enumerate(clip.target_slice.tolist()):
        ages = at - clip.frame_slice
        fitting = np.flatnonzero((ages >= low) & (ages < high))
        if at >= WARM_UP_SLICES and len(fitting):
            # Of several, that in the middle: neither age is the rule at the borders of a group.
            frame = int(fitting[len(fitting) // 2])
            examples.append(ReconstructionExample(recording, number, frame))
    remembered = remember_frames(recording) if remembered is None else remembered
    exposures = measure_exposures(clip)
    return [
        replace(e, thresholds=memory.thresholds, average=memory.average, exposures=exposures)
        for e in _spread(examples, targets)
        for memory in [remembered[e.frame or 0]]
    ]


def without_frame(recording: SparseClip, targets: int) -> list[ReconstructionExample]:
    """Return examples of a clip without a frame.

    Args:
        recording: the clip.
        targets: most examples, spread over the clip.
    """
    exposures = measure_exposures(recording.clip)
    examples = [
        ReconstructionExample(recording, number, None, exposures=exposures)
        for number, at in enumerate(recording.clip.target_slice.tolist())
        if at >= WARM_UP_SLICES
    ]
    return _spread(examples, targets)


def _spread(examples: list[ReconstructionExample], count: int) -> list[ReconstructionExample]:
    chosen = np.unique(np.linspace(0, len(examples) - 1, count).round().astype(int))
    return [examples[k] for k in chosen] if examples else []
