"""What the networks reach on a split, beside what others reach on the same clips."""

from microexpr_ros.learning.evaluation.clip_scores import score_clips
from microexpr_ros.learning.evaluation.rounding import json_values

__all__ = ['json_values', 'score_clips']
