"""Images of a face from its events: the reconstructor, and the network that it runs.

What is exported here needs no torch.
"""

from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.reconstructor import (
    ReconstructionState,
    Reconstructor,
)

__all__ = ['ReconstructionConfiguration', 'ReconstructionState', 'Reconstructor']
