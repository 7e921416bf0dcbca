"""Action Units and micro-expressions of a face, from its slices; nothing here needs torch.

Images of the face are in `reconstruction`, which loads OpenCV; the spiking network in
`spiking.network`, which loads torch.
"""

from microexpr_ros.perception.activity import Activity, ActivityConfiguration
from microexpr_ros.perception.classifier import (
    ActionUnitClassifier,
    ActionUnitEstimate,
    ActionUnitState,
    Status,
)
from microexpr_ros.perception.neutral import Neutral, measure_neutral
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.spotting import (
    MicroExpression,
    Spotter,
    SpottingConfiguration,
    SpottingState,
)

__all__ = [
    'ActionUnitClassifier',
    'ActionUnitEstimate',
    'ActionUnitState',
    'Activity',
    'ActivityConfiguration',
    'MicroExpression',
    'Neutral',
    'Presence',
    'Spotter',
    'SpottingConfiguration',
    'SpottingState',
    'Status',
    'measure_neutral',
]
