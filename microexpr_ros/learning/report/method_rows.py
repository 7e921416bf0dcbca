"""The table of all methods: what the page and the model card show of each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from microexpr_ros.learning.evaluation.action_unit_report import (
    ActionUnitReport,
    MethodScores,
    ReferenceScores,
    Score,
)

METHODS: Final[dict[str, str]] = {
    'events': 'spiking network, events',
    'fusion': 'events and RGB',
    'rgb': 'the same network, RGB at 30 fps',
    'mediapipe': 'MediaPipe blendshapes, RGB',
    'twin': 'non-spiking twin (conv + GRU)',
    'linear': 'linear, events per region',
    'time_shuffled': 'trained on slices in random order',
    'memoryless': 'trained without memory between slices',
    'events_time_shuffled': 'same weights, slices in random order',
    'events_memoryless': 'same weights, no memory between slices',
    'majority': 'most frequent label of training',
    'always_positive': 'every unit always present',
    'chance': 'uniform guess',
}
"""Names for people, in the order of tables."""


@dataclass(frozen=True, slots=True)
class MethodRow:
    """Scores of a method, or of a reference, as of `MethodScores`; nan where none applies.

    Attributes:
        key: of the method in the report.
        name: for people.
        clip_accuracy: with its confidence interval.
        uf1: mean F1 of the units by slice.
        uar: mean recall of the units by slice.
        auc: mean area under the curve of the units by slice.
        spotting_f1: F1 of the detections.
        median_delay_ms: from onset to detection.
    """

    key: str
    name: str
    clip_accuracy: Score
    uf1: float
    uar: float
    auc: float
    spotting_f1: float = math.nan
    median_delay_ms: float = math.nan

    @property
    def is_network(self) -> bool:
        """Whether this is the network that the report is about."""
        return self.key == 'events'


def method_rows(report: ActionUnitReport) -> list[MethodRow]:
    """Return a row for each method and reference, in the order of `METHODS`, then by name."""
    scores: dict[str, MethodScores | ReferenceScores] = {**report.methods, **report.references}
    order = [key for key in METHODS if key in scores] + sorted(scores.keys() - METHODS.keys())
    return [_row(key, METHODS.get(key, key), scores[key]) for key in order]


def _row(key: str, name: str, scores: MethodScores | ReferenceScores) -> MethodRow:
    if isinstance(scores, ReferenceScores):
        accuracy, *others = (
            math.nan if value is None else value
            for value in (scores.clip_accuracy, scores.uf1, scores.uar, scores.auc)
        )
        return MethodRow(key, name, Score(accuracy), *others)
    return MethodRow(
        key=key,
        name=name,
        clip_accuracy=scores.clip_accuracy,
        uf1=scores.uf1.value,
        uar=scores.uar.value,
        auc=scores.auc,
        spotting_f1=scores.spotting_f1.value,
        median_delay_ms=scores.median_delay_ms.value,
    )
