"""The ROS 2 side; the only floor that knows ROS.

To write a node, derive from `MicroexprNode` and run it with `run_node`. To read our messages, see
`conversions` and `estimates`, which are not imported here because they load heavy libraries.
"""

from microexpr_ros.ros.diagnostics import Diagnosis
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.process import run_node, run_nodes
from microexpr_ros.ros.subscriptions import SubscriptionThread

__all__ = [
    'Diagnosis',
    'MicroexprNode',
    'NodeParameters',
    'SubscriptionThread',
    'parameter',
    'run_node',
    'run_nodes',
]
