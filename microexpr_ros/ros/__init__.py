"""The ROS 2 side; the only floor that knows ROS.

To write a node, derive from `MicroexprNode` and run it with `run_node`; to read our messages, see
the functions here and in `estimates`, which stands apart because it loads the network's library.
"""

from microexpr_ros.ros.conversions import (
    aligned_to_message,
    image_to_pixels,
    message_to_aligned,
    packet_to_message,
    pixels_to_image,
    to_duration,
    to_ns,
    to_time,
)
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
    'aligned_to_message',
    'image_to_pixels',
    'message_to_aligned',
    'packet_to_message',
    'parameter',
    'pixels_to_image',
    'run_node',
    'run_nodes',
    'to_duration',
    'to_ns',
    'to_time',
]
