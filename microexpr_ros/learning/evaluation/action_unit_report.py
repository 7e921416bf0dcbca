"""The report on Action Units, as typed values.

Accuracies, F1 scores, recalls, areas under the curve and calibration errors are between 0 and 1,
times are in milliseconds. A number that was not measured is nan: there was no such baseline, no
such split, or nothing to score. `report_json` writes a report as JSON and reads it back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

Interval: TypeAlias = tuple[float, float]
"""Bounds of a 95 % confidence interval over persons; both nan where it is unknown."""

UNKNOWN: Final[Interval] = (math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Score:
    """A number with its confidence interval.

    Attributes:
        value: over all clips; nan where nothing was measured.
        ci95: over persons, as of `resampling`.
    """

    value: float = math.nan
    ci95: Interval = UNKNOWN


@dataclass(frozen=True, slots=True)
class MethodScores:
    """The scores that stand for one method on one split.

    Attributes:
        clip_accuracy: share of the clips whose dominant unit, or none, was found.
        uf1: mean F1 of the units' presence over all slices.
        uar: mean recall of present and absent over all slices, 0.5 is chance.
        spotting_f1: F1 of the detections against the true expressions.
        median_delay_ms: from the true onset to the detection, of the expressions that were found.
        auc: mean area under the curve of the units' intensities over all slices, 0.5 is chance.
    """

    clip_accuracy: Score
    uf1: Score
    uar: Score
    spotting_f1: Score
    median_delay_ms: Score
    auc: float


@dataclass(frozen=True, slots=True)
class ReferenceScores:
    """Scores of an answer that looks at no clip; as of `MethodScores`, None where none applies."""

    clip_accuracy: float | None = None
    uf1: float | None = None
    uar: float | None = None
    auc: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The clip accuracy of the network against that of a baseline on the same clips.

    Attributes:
        lead: the network's less the baseline's, -1 to 1.
        ratio: the network's divided by the baseline's, from 0.
    """

    lead: Score
    ratio: Score


@dataclass(frozen=True, slots=True)
class ConditionComparison:
    """A `Comparison` on the clips that were taken under one condition.

    Attributes:
        comparison: of the network and a baseline, over the persons of these clips.
        n: number of clips.
    """

    comparison: Comparison
    n: int


@dataclass(frozen=True, slots=True)
class ShiftScores:
    """Expressions of the split shift of one strength.

    Attributes:
        clip_accuracy: share of the clips whose dominant unit was found.
        drop: what it is below that of expressions of the same strength in the other split, -1 to
            1; nan if there are none.
        n: number of clips.
    """

    clip_accuracy: Score
    drop: Score
    n: int


@dataclass(frozen=True, slots=True)
class ClipScores:
    """Scores by clip, of the largest intensities in each.

    Attributes:
        clip_accuracy: share of the clips whose dominant unit, or none, was found.
        clip_uar: mean recall of the dominant units and of none.
        clip_uf1: mean F1 of the units' presence.
        clip_auc: mean area under the curve of the units' largest intensities.
    """

    clip_accuracy: float
    clip_uar: float
    clip_uf1: float
    clip_auc: float


@dataclass(frozen=True, slots=True)
class UnitScores:
    """Scores of one unit.

    Attributes:
        f1: of its presence over all slices; nan if it never occurs.
        auc: area under the curve of its intensity over all slices; nan if it never occurs.
        n: clips in which it is present.
        n_slices: slices in which it is present.
        dominant_recall: share found of the clips whose dominant unit it is.
        n_dominant: clips whose dominant unit it is.
    """

    f1: float
    auc: float
    n: int
    n_slices: int
    dominant_recall: float
    n_dominant: int


@dataclass(frozen=True, slots=True)
class SideScores:
    """Whether the stronger side of one unit is named rightly.

    Attributes:
        named: share of the slices in which it is, a tie counting half.
        auc: area under the curve of left minus right, for left being the stronger side.
        n_slices: slices in which the true sides differ enough.
        n_clips: clips with such slices.
    """

    named: float
    auc: float
    n_slices: int
    n_clips: int


@dataclass(frozen=True, slots=True)
class Asymmetry:
    """Whether the stronger side is named rightly, of all units; as `SideScores`.

    Attributes:
        named: share of the units and slices in which it is, a tie counting half; 0.5 is chance.
        auc: area under the curve of left minus right.
        n_slices: pairs of a unit and a slice in which the true sides differ enough.
        n_clips: clips with such slices.
        per_au: by the FACS code of the unit; only units that are uneven in enough clips.
    """

    chance: ClassVar[float] = 0.5

    named: Score
    auc: float
    n_slices: int
    n_clips: int
    per_au: Mapping[int, SideScores]


@dataclass(frozen=True, slots=True)
class ConditionScores:
    """Scores of the clips that were taken under one condition; as of `MethodScores`.

    Attributes:
        clip_accuracy: with its interval over the persons of these clips.
        uf1: mean F1 of the units by slice.
        uar: mean recall of the units by slice.
        spotting_f1: F1 of the detections.
        median_delay_ms: from onset to detection.
        n: number of clips.
    """

    clip_accuracy: Score
    uf1: float
    uar: float
    spotting_f1: float
    median_delay_ms: float
    n: int


@dataclass(frozen=True, slots=True)
class SpottingCounts:
    """What the F1 of spotting is made of.

    Attributes:
        right: detections that match a true expression.
        wrong: detections that match none.
        missed: true expressions without a detection.
        precision: right of all detections.
        recall: right of all true expressions.
        names_dominant: share of the right detections that also name the dominant unit.
    """

    right: int
    wrong: int
    missed: int
    precision: float
    recall: float
    names_dominant: float


@dataclass(frozen=True, slots=True)
class DetectionDelays:
    """How long after its true onset a dominant unit becomes active.

    Attributes:
        found: share of the dominant units that become active before their offset.
        p90_ms: time within which 90 % of these do.
        all_ms: time of each of these, ascending.
    """

    found: float
    p90_ms: float
    all_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """False detections in clips without any expression.

    Attributes:
        per_min: detections per minute of stream.
        minutes: length of these clips.
    """

    per_min: Score
    minutes: float


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """Decisions of about the same confidence.

    Attributes:
        confidence: their mean confidence, 0 to 1.
        right: share that is right.
        n: their number.
    """

    confidence: float
    right: float
    n: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well the published confidence matches how often decisions are right.

    Attributes:
        error: expected calibration error of all units and slices but those of the warm-up; most
            units are absent, which is easy to know.
        error_active: the same, of the units that are called active.
        by_status: error of the slices with each `Status`, by its name.
        all_decisions: bins with a decision in them, of ascending confidence.
        called_active: the same, of the units that are called active.
    """

    error: Score
    error_active: Score
    by_status: Mapping[str, float]
    all_decisions: tuple[ConfidenceBin, ...]
    called_active: tuple[ConfidenceBin, ...]


@dataclass(frozen=True, slots=True)
class LostPackets:
    """Scores where slices have lost their events.

    Attributes:
        share: of the slices, 0 to below 1.
        scores: on these clips.
    """

    share: float
    scores: ClipScores


@dataclass(frozen=True, slots=True)
class LateFrames:
    """Scores where frames come after their events.

    Attributes:
        late_ms: by how much, ms.
        scores: on these clips.
    """

    late_ms: float
    scores: ClipScores


@dataclass(frozen=True, slots=True)
class Robustness:
    """Scores on damaged streams.

    Attributes:
        lost_packets: of the network, by ascending share of lost slices.
        late_frames: of the baselines that see both events and frames or frames alone, by name.
    """

    lost_packets: tuple[LostPackets, ...]
    late_frames: Mapping[str, tuple[LateFrames, ...]]


@dataclass(frozen=True, slots=True)
class Operations:
    """What a spiking network computes per second of stream.

    Attributes:
        spikes_per_s: spikes of all layers.
        synops_per_s: additions of a weight to one neuron.
        by_layer: these additions, by the name of the layer that makes them.
    """

    spikes_per_s: float
    synops_per_s: float
    by_layer: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ActionUnitReport:
    """What `microexpr evaluate au` finds.

    Methods are named with underscores: `events` is the network itself, `events_time_shuffled`
    and `events_memoryless` are the same weights with the slices in random order, or with a state
    that is forgotten after every slice; all others are baselines.

    Attributes:
        weights: name and hash of the network.
        boxes: regions in which the network saw the faces: aligned, without a tracker's errors,
            or coarse.
        split: of the data set.
        n_clips: clips of the split.
        n_identities: persons in them.
        methods: scores by name of the method.
        references: scores of answers that look at no clip, by name: `chance`, `always_positive`
            and, if the training labels are known, `majority`.
        against: the network against each baseline, by its name.
        against_by_condition: the same under each condition, by the names of both.
        clip: scores of the network by clip.
        per_au: scores of the network by FACS code of the unit.
        asymmetry: whether the network names the stronger side.
        confusion: 19 rows of 19 numbers of clips, by true (row) and found (column) dominant
            unit; the last is none.
        by_condition: scores of the network, by what divides the clips and the name of the group.
        spotting: detections of the network.
        delay: from onset to detection.
        false_alarms: on the split calm, by what the person does.
        shift: scores of the network on the split shift; None if it was not made.
        shift_drop: clip accuracy that is lost on the split shift, -1 to 1.
        shift_by_strength: the expressions of the split shift, strong and faint apart.
        calibration: of the published confidence.
        robustness: scores on damaged streams.
        operations: of the network.
        twin_macs_per_s: dense multiply-adds of the baseline `twin` per second of stream.
    """

    weights: str
    boxes: str
    split: str
    n_clips: int
    n_identities: int
    methods: Mapping[str, MethodScores]
    references: Mapping[str, ReferenceScores]
    against: Mapping[str, Comparison]
    against_by_condition: Mapping[str, Mapping[str, ConditionComparison]]
    clip: ClipScores
    per_au: Mapping[int, UnitScores]
    asymmetry: Asymmetry
    confusion: tuple[tuple[int, ...], ...]
    by_condition: Mapping[str, Mapping[str, ConditionScores]]
    spotting: SpottingCounts
    delay: DetectionDelays
    false_alarms: Mapping[str, FalseAlarms]
    shift: MethodScores | None
    shift_drop: Score
    shift_by_strength: Mapping[str, ShiftScores]
    calibration: Calibration
    robustness: Robustness
    operations: Operations
    twin_macs_per_s: float

    @property
    def events(self) -> MethodScores:
        """Scores of the network itself."""
        return self.methods['events']

    def clip_accuracy_of(self, *names: str) -> float:
        """Return the clip accuracy of the first of these methods that was scored, else nan."""
        scored = (self.methods[name].clip_accuracy.value for name in names if name in self.methods)
        return next(scored, math.nan)
