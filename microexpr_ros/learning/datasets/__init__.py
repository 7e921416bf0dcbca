"""Published recordings of real faces, read as their publishers lay them out.

Each module reads one data set and says which documentation it follows. What is not documented is
not read.
"""

from __future__ import annotations

from typing import Final

from microexpr_ros.learning.datasets.dvs_lip import DVS_LIP
from microexpr_ros.learning.datasets.facemorphic import FACEMORPHIC
from microexpr_ros.learning.datasets.fes import FES
from microexpr_ros.learning.datasets.labelled import (
    Dataset,
    FaceLabels,
    LabelledRecording,
    read_dataset,
    spread,
)
from microexpr_ros.learning.datasets.nefer import NEFER

__all__ = [
    'DATASETS',
    'Dataset',
    'FaceLabels',
    'LabelledRecording',
    'read_dataset',
    'spread',
]

DATASETS: Final[dict[str, Dataset]] = {
    dataset.name: dataset for dataset in (NEFER, FACEMORPHIC, DVS_LIP, FES)
}
"""Data sets by their names on the command line."""
