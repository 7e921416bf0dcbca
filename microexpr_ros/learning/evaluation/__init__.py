"""What the networks reach on a split of a data set, and other methods on the same clips."""

from microexpr_ros.learning.evaluation.action_unit_report import ActionUnitReport, ClipScores
from microexpr_ros.learning.evaluation.action_units import Benchmark, evaluate_action_units
from microexpr_ros.learning.evaluation.clip_scores import score_clips
from microexpr_ros.learning.evaluation.provenance import describe_provenance
from microexpr_ros.learning.evaluation.reconstruction import (
    ReconstructionReport,
    evaluate_reconstruction,
)
from microexpr_ros.learning.evaluation.report_json import (
    read_report,
    report_from_json,
    report_to_json,
)
from microexpr_ros.learning.evaluation.resting_faces import evaluate_rest
from microexpr_ros.learning.evaluation.rounding import json_values
from microexpr_ros.learning.evaluation.trained_baselines import (
    IntensityEstimator,
    baseline_name,
    read_baselines,
    write_baseline,
)

__all__ = [
    'ActionUnitReport',
    'Benchmark',
    'ClipScores',
    'IntensityEstimator',
    'ReconstructionReport',
    'baseline_name',
    'describe_provenance',
    'evaluate_action_units',
    'evaluate_reconstruction',
    'evaluate_rest',
    'json_values',
    'read_baselines',
    'read_report',
    'report_from_json',
    'report_to_json',
    'score_clips',
    'write_baseline',
]
