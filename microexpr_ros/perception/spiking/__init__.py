"""The spiking network that reads Action Units from slices of events; needs torch and norse."""

from microexpr_ros.perception.spiking.network import (
    NetworkState,
    SpikingConfiguration,
    SpikingNetwork,
)

__all__ = ['NetworkState', 'SpikingConfiguration', 'SpikingNetwork']
