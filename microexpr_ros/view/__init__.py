"""The live page: what the pipeline sees and finds, in a browser. Knows no ROS."""

from microexpr_ros.view.server import ServerOptions, ViewServer
from microexpr_ros.view.snapshots import NodeReport, Snapshot, SnapshotComposer

__all__ = [
    'NodeReport',
    'ServerOptions',
    'Snapshot',
    'SnapshotComposer',
    'ViewServer',
]
