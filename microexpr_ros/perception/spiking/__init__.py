"""The spiking network that reads Action Units from slices of events, and what it is given.

What is exported here needs no torch; `network` and `inference` do, and norse.
"""

from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.region_traces import RegionTraces

__all__ = ['RegionTraces', 'SpikingConfiguration']
