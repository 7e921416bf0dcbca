"""Clips as the networks' inputs and targets."""

from microexpr_ros.learning.data.augmentation import Augmentation, Jitter
from microexpr_ros.learning.data.batches import SequenceBatch, make_batch
from microexpr_ros.learning.data.clips import SparseClip, load_split, make_sparse

__all__ = [
    'Augmentation',
    'Jitter',
    'SequenceBatch',
    'SparseClip',
    'load_split',
    'make_batch',
    'make_sparse',
]
