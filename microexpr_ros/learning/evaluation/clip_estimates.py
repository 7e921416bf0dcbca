"""What the classifier estimates in a clip, slice by slice, and how good its confidence is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.slices import Slice
from microexpr_ros.events.grid import GRID, SLICE_NS
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.facs import PRESENT
from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.clips import SparseClip, dense_counts
from microexpr_ros.learning.prediction import Prediction
from microexpr_ros.perception.classifier import ActionUnitClassifier, Status


@dataclass(frozen=True, slots=True)
class ClipEstimates:
    """Estimates at the end of each of T slices of a clip.

    Attributes:
        sides: float32 [T, 18, 2], intensities on the subject's left and right.
        confidence: float32 [T, 18].
        active: bool [T, 18].
        status: int64 [T], of `Status`.
        evidence: float32 [T, 18], that the unit is the main one; None if there is none.
    """

    sides: NDArray[np.float32]
    confidence: NDArray[np.float32]
    active: NDArray[np.bool_]
    status: NDArray[np.int64]
    evidence: NDArray[np.float32] | None = None

    @property
    def prediction(self) -> Prediction:
        """What is said of intensities and of the main unit."""
        return Prediction(self.intensity, self.evidence)

    @property
    def intensity(self) -> NDArray[np.float32]:
        """Intensity of the stronger side, float32 [T, 18]."""
        return np.asarray(self.sides.max(axis=2), np.float32)


def classify_clip(classifier: ActionUnitClassifier, recording: SparseClip) -> ClipEstimates:
    """Step the classifier over a clip, as the node does over the slices of a stream."""
    state = classifier.initial_state()
    # Only the region's area matters: it gives the clip's sensor pixels per cell.
    area = recording.clip.pixels_per_cell * GRID**2
    aligned = recording.boxes != 'coarse'
    region = AlignedRegion(0, 0, area**0.5) if aligned else Region(0, 0, round(area), 1)
    estimates = []
    for number in range(recording.slices):
        counts = dense_counts(recording, number)
        end_ns = (number + 1) * SLICE_NS
        slice_ = Slice(end_ns, SLICE_NS, region, counts, int(counts.sum()))
        estimate, state = classifier.step(slice_, state)
        estimates.append(estimate)
    evidence = [e.evidence for e in estimates if e.evidence is not None]
    return ClipEstimates(
        np.stack([e.sides for e in estimates]),
        np.stack([e.confidence for e in estimates]),
        np.stack([e.active for e in estimates]),
        np.array([e.status for e in estimates], np.int64),
        np.stack(evidence) if evidence else None,
    )


def count_reliability(
    estimates: ClipEstimates,
    recording: SparseClip,
    statuses: Sequence[Status],
    active: bool = False,
) -> NDArray[np.float64]:
    """Compare the confidence with how often `active` is right.

    Args:
        estimates: of the clip.
        recording: the clip.
        statuses: only slices with one of these count.
        active: only units that are called active count; most are absent most of the time, which
            is easy to know.

    Returns:
        As of `metrics.reliability`.
    """
    truth = recording.clip.intensity >= PRESENT
    chosen = np.isin(estimates.status, statuses)[:, None] & (estimates.active | (not active))
    return metrics.reliability(estimates.confidence[chosen], (estimates.active == truth)[chosen])
