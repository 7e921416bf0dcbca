"""A report on Action Units that nothing had to be evaluated for."""

import math

from microexpr_ros.facs import CODES
from microexpr_ros.learning.evaluation.action_unit_report import (
    ActionUnitReport,
    Asymmetry,
    Calibration,
    ClipScores,
    Comparison,
    ConditionComparison,
    ConditionScores,
    ConfidenceBin,
    DetectionDelays,
    FalseAlarms,
    LateFrames,
    LostPackets,
    MethodScores,
    Operations,
    ReferenceScores,
    Robustness,
    Score,
    ShiftScores,
    SideScores,
    SpottingCounts,
    UnitScores,
)


def make_report(value):
    """Return a report whose optional values are all the same number, or all nan and missing."""
    missing = math.isnan(value)
    optional = Score(value, (value, value))
    scores = MethodScores(
        clip_accuracy=Score(0.25, (0.2, 0.3)),
        uf1=Score(0.5, (0.4, 0.6)),
        uar=Score(0.6, (0.5, 0.7)),
        spotting_f1=optional,
        median_delay_ms=optional,
        auc=value,
    )
    clip = ClipScores(clip_accuracy=0.25, clip_uar=0.3, clip_uf1=0.4, clip_auc=value)
    kinds = ('neutral', 'talking', 'blinking', 'head')
    return ActionUnitReport(
        weights='spiking<s>@1',
        boxes='aligned',
        split='test',
        n_clips=7,
        n_identities=3,
        methods={'events': scores, 'other': scores} | ({} if missing else {'rgb': scores}),
        references={
            'chance': ReferenceScores(clip_accuracy=0.05, auc=0.5),
            'always_positive': ReferenceScores(uf1=0.1, uar=0.5),
        },
        against={} if missing else {'rgb': Comparison(lead=optional, ratio=optional)},
        against_by_condition={}
        if missing
        else {'rgb': {'dim': ConditionComparison(Comparison(lead=optional, ratio=optional), n=4)}},
        clip=clip,
        per_au={
            code: UnitScores(
                f1=value, auc=value, n=2, n_slices=9, dominant_recall=value, n_dominant=1
            )
            for code in CODES
        },
        asymmetry=Asymmetry(
            named=optional,
            auc=value,
            n_slices=5,
            n_clips=2,
            per_au={} if missing else {12: SideScores(value, math.nan, n_slices=5, n_clips=3)},
        ),
        confusion=((0,) * 19,) * 19,
        by_condition={
            'light': {'bright': ConditionScores(scores.clip_accuracy, 0.5, 0.6, value, value, n=7)}
        },
        spotting=SpottingCounts(3, 4, 5, precision=3 / 7, recall=3 / 8, names_dominant=value),
        delay=DetectionDelays(found=value, p90_ms=value, all_ms=() if missing else (value,)),
        false_alarms={kind: FalseAlarms(optional, 0.0 if missing else value) for kind in kinds},
        shift=None if missing else scores,
        shift_drop=optional,
        shift_by_strength={}
        if missing
        else {name: ShiftScores(optional, optional, n=3) for name in ('strong', 'faint')},
        calibration=Calibration(
            error=Score(0.01, (value, value)),
            error_active=Score(0.02, (value, value)),
            by_status={'OK': 0.01, 'STALE': math.nan},
            all_decisions=(ConfidenceBin(0.6, 0.5, 8), ConfidenceBin(0.9, 0.9, 99)),
            called_active=(),
        ),
        robustness=Robustness(
            (LostPackets(0.0, clip),), {} if missing else {'rgb': (LateFrames(0.0, clip),)}
        ),
        operations=Operations(7e4, 1.5e7, {'readout': 1.5e7}),
        twin_macs_per_s=value,
    )
