"""Spotting: are expressions found, how soon, and how often is one found where there is none?

The protocol is that of the facial micro-expression grand challenges (Li et al., MEGC2020 and
MEGC2021): a detection is right if its interval and that of a true expression have an
intersection over union of at least 0.5, one detection per expression and one expression per
detection; F1 is over all clips together. Which units a detection names does not matter there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import repeat
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.facs import CODES, PRESENT
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.prediction import Prediction
from microexpr_ros.learning.training.calibration import BACKGROUND
from microexpr_ros.perception.classifier import Status
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.spotting import MicroExpression, Spotter

MIN_OVERLAP: Final = 0.5

Span: TypeAlias = tuple[int, int]
"""Onset and offset, ns since the start of the clip."""


def spot_clip(
    prediction: Prediction, presence: Presence, status: NDArray[np.int64] | None = None
) -> tuple[MicroExpression, ...]:
    """Run the package's own spotter over a clip.

    A clip begins with a face at rest, so the slices of the warm-up count as OK. A movement that
    goes on at the end of the clip ends there, one slice after the last: the method is not to
    blame for clips that are cut off.

    Args:
        prediction: of the clip.
        presence: limits.
        status: int64 [T], of `Status`; None for a method without statuses: all slices count as OK.
    """
    spotter = Spotter(presence)
    state = spotter.initial_state()
    intensity, evidence = prediction.intensity, prediction.evidence
    given = (
        [Status.OK] * len(intensity) if status is None else [Status(s) for s in status.tolist()]
    )
    trusted = [Status.OK if s is Status.WARMING_UP else s for s in given]
    found: tuple[MicroExpression, ...] = ()
    slices = zip(
        [*intensity, np.zeros_like(intensity[0])],
        [*trusted, Status.OK],
        [*evidence, np.zeros_like(evidence[0])] if evidence is not None else repeat(None),
        strict=False,
    )
    for number, (values, now, decisive) in enumerate(slices, 1):
        done, state = spotter.step(number * SLICE_NS, values, now, state, evidence=decisive)
        found += done
    return found + spotter.finish(state)


def intersection_over_union(a: Span, b: Span) -> float:
    """Return the intersection over union of two intervals.

    Example:
        >>> intersection_over_union((0, 30), (10, 40))
        0.5
    """
    both = min(a[1], b[1]) - max(a[0], b[0])
    return max(both, 0) / (a[1] - a[0] + b[1] - b[0] - both) if both > 0 else 0.0


def match_spans(found: Sequence[Span], true: Sequence[Span]) -> list[tuple[int, int]]:
    """Pair detections with true expressions one to one, those that overlap most first.

    Returns:
        Positions in `found` and `true`, of pairs that overlap by at least `MIN_OVERLAP`.
    """
    pairs = [
        (intersection_over_union(f, t), i, j)
        for i, f in enumerate(found)
        for j, t in enumerate(true)
    ]
    matched: list[tuple[int, int]] = []
    for shared, i, j in sorted(pairs, key=lambda pair: -pair[0]):
        if shared >= MIN_OVERLAP and not any(i == m or j == n for m, n in matched):
            matched.append((i, j))
    return matched


def count_detections(recording: SparseClip, found: Sequence[MicroExpression]) -> NDArray[np.int64]:
    """Count right detections, wrong ones and missed expressions, int64 [3].

    The true expression of a clip is that of its dominant unit, from onset to offset. Blinks go
    on during everything else, and the spotter reports them by themselves: where the lids really
    close, such a detection is neither right nor wrong, unless the blink is the clip's own
    expression. Detections during speech count as wrong, as no unit is labelled there.
    """
    clip = recording.clip
    true = [(clip.onset_ns, clip.offset_ns)] if clip.dominant else []
    counted = [
        (d.onset_ns, d.offset_ns)
        for d in found
        if clip.dominant in BACKGROUND
        or not set(d.codes) <= set(BACKGROUND)
        or is_false_alarm(recording, d)
    ]
    right = len(match_spans(counted, true))
    return np.array([right, len(counted) - right, len(true) - right], np.int64)


def names_dominant(recording: SparseClip, found: Sequence[MicroExpression]) -> bool:
    """Return whether a right detection also names the clip's dominant unit."""
    clip = recording.clip
    spans = [(d.onset_ns, d.offset_ns) for d in found]
    matched = match_spans(spans, [(clip.onset_ns, clip.offset_ns)])
    return any(clip.dominant in found[i].codes for i, _ in matched)


def is_false_alarm(recording: SparseClip, detection: MicroExpression) -> bool:
    """Return whether none of a detection's units is really present at any time of its span."""
    first, end = detection.onset_ns // SLICE_NS, math.ceil(detection.offset_ns / SLICE_NS)
    units = [CODES.index(code) for code in detection.codes]
    return not bool((recording.clip.intensity[first:end, units] >= PRESENT).any())


def detection_delay_ms(recording: SparseClip, active: NDArray[np.bool_]) -> float:
    """Return how long after its true onset the dominant unit becomes active, ms.

    That is the end of the first slice in which the unit is active: an estimate exists no
    earlier. The time of the computation is not included.

    Args:
        recording: a clip.
        active: bool [T, 18], presence at the end of each slice.

    Returns:
        nan if the clip has no expression, if its unit becomes active only after the offset,
        or if it was already active before the onset, which is no detection.
    """
    clip = recording.clip
    if not clip.dominant:
        return math.nan
    unit = active[:, recording.label]
    first, end = clip.onset_ns // SLICE_NS, math.ceil(clip.offset_ns / SLICE_NS)
    rising = np.flatnonzero(unit[first:end])
    if len(rising) == 0 or (first > 0 and unit[first - 1]):
        return math.nan
    return float((first + rising[0] + 1) * SLICE_NS - clip.onset_ns) / 1e6
