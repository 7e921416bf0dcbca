"""From a configuration to trained weights."""

from microexpr_ros.learning.training.action_units import TrainingConfiguration, train
from microexpr_ros.learning.training.configuration import (
    ActionUnitRun,
    ReconstructionRun,
    read_run,
)
from microexpr_ros.learning.training.reconstruction import (
    ReconstructionTraining,
    train_reconstruction,
)
from microexpr_ros.learning.training.runner import Optimization, Progress, Trained

__all__ = [
    'ActionUnitRun',
    'Optimization',
    'Progress',
    'ReconstructionRun',
    'ReconstructionTraining',
    'Trained',
    'TrainingConfiguration',
    'read_run',
    'train',
    'train_reconstruction',
]
