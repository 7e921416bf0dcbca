"""Scores on clips that are damaged as streams are: lost packets, and frames that come late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.evaluation.action_unit_report import (
    ClipScores,
    LateFrames,
    LostPackets,
)
from microexpr_ros.learning.evaluation.clip_scores import score_clips
from microexpr_ros.learning.evaluation.trained_baselines import IntensityEstimator

LOST_SHARES: Final = (0.0, 0.01, 0.05, 0.1, 0.2)
"""Shares of the slices that lose their events."""

BURST_SLICES: Final = 3.0
"""Mean length of a loss: a full queue or a busy bus loses several packets in a row."""

LATE_SLICES: Final = (0, 1, 2, 4, 8)
"""By how many slices frames come late."""


def lose_packets(recording: SparseClip, share: float, seed: int) -> SparseClip:
    """Return a clip that has lost the events of some slices, in bursts.

    The model is Gilbert's channel (1960): losses begin and end with constant probabilities, so
    that bursts last `BURST_SLICES` on average and the share is reached over many clips.

    Args:
        recording: the clip.
        share: of the slices, 0 to below 1.
        seed: of the random losses.
    """
    rng = np.random.default_rng([seed, recording.clip.index])
    begins = share / (1 - share) / BURST_SLICES
    lost = np.zeros(recording.slices, np.bool_)
    now = bool(rng.random() < share)
    for number, chance in enumerate(rng.random(recording.slices)):
        lost[number] = now
        now = chance >= 1 / BURST_SLICES if now else chance < begins
    sizes = np.diff(recording.starts)
    kept = np.repeat(~lost, sizes)
    starts = np.concatenate([[0], np.cumsum(np.where(lost, 0, sizes))])
    return replace(
        recording, cells=recording.cells[kept], counts=recording.counts[kept], starts=starts
    )


def delay_frames(recording: SparseClip, slices: int) -> SparseClip:
    """Return a clip whose frames come late; those that would come after its end are left out.

    Args:
        recording: the clip, with images.
        slices: how late, from 0.
    """
    clip = recording.clip
    frame_slice = clip.frame_slice + np.int32(slices)
    kept = frame_slice < recording.slices
    return replace(
        recording,
        clip=replace(clip, frames=clip.frames[kept], frame_slice=frame_slice[kept]),
    )


def score_with_lost_packets(
    estimator: IntensityEstimator, recordings: Sequence[SparseClip], seed: int = 0
) -> tuple[LostPackets, ...]:
    """Return scores at each of `LOST_SHARES`."""
    return tuple(
        LostPackets(share, _score(estimator, [lose_packets(r, share, seed) for r in recordings]))
        for share in LOST_SHARES
    )


def score_with_late_frames(
    estimator: IntensityEstimator, recordings: Sequence[SparseClip]
) -> tuple[LateFrames, ...]:
    """Return scores at each of `LATE_SLICES`."""
    return tuple(
        LateFrames(
            late * SLICE_NS / 1e6,
            _score(estimator, [delay_frames(r, late) for r in recordings]),
        )
        for late in LATE_SLICES
    )


def _score(estimator: IntensityEstimator, recordings: Sequence[SparseClip]) -> ClipScores:
    return score_clips(estimator.predict(recordings), recordings, estimator.presence)
