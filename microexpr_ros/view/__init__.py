"""The live page: what the pipeline sees and finds, in a browser. Knows no ROS."""

from microexpr_ros.view.server import ServerOptions, ViewServer
from microexpr_ros.view.snapshots import NodeReport, SnapshotComposer, read_snapshot

__all__ = ['NodeReport', 'ServerOptions', 'SnapshotComposer', 'ViewServer', 'read_snapshot']
