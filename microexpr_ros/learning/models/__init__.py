"""Networks and baselines that can be trained."""

from microexpr_ros.learning.models.networks import FrameNetwork, Model, Network, build
from microexpr_ros.learning.models.recurrent_twin import RecurrentTwin
from microexpr_ros.learning.models.region_counts import RegionCounts

__all__ = ['FrameNetwork', 'Model', 'Network', 'RecurrentTwin', 'RegionCounts', 'build']
