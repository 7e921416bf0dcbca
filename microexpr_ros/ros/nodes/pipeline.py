"""Process `pipeline`: any set of the nodes in one process, for robots with few cores."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import ClassVar

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros.diagnostics import Diagnosis
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters, initialize
from microexpr_ros.ros.listening import Listener
from microexpr_ros.ros.parameters import parameter

NODES = {
    'event_camera': 'EventCameraNode',
    'rgb_camera': 'RgbCameraNode',
    'player': 'PlayerNode',
    'synchronizer': 'SynchronizerNode',
    'au_classifier': 'ActionUnitClassifierNode',
    'reconstructor': 'ReconstructorNode',
    'overlay': 'OverlayNode',
}


@dataclass(frozen=True)
class PipelineParameters(NodeParameters):
    """Parameters of the process."""

    nodes: tuple[str, ...] = parameter(
        ('event_camera', 'synchronizer', 'au_classifier', 'reconstructor'),
        'nodes to host: ' + ', '.join(NODES),
        element=str,
    )


class PipelineNode(MicroexprNode):
    """Decide which nodes the process hosts."""

    name = 'pipeline'
    Parameters: ClassVar[type[NodeParameters]] = PipelineParameters

    def configure(self) -> None:
        """Check the names."""
        unknown = [name for name in self.parameters.nodes if name not in NODES]
        if unknown or not self.parameters.nodes:
            raise MicroexprError(
                f'nodes: {", ".join(unknown) or "none"} cannot be hosted; choose from '
                f'{", ".join(NODES)}'
            )

    def diagnose(self) -> Diagnosis:
        """Tell which nodes are hosted."""
        return Diagnosis(values={'nodes': ', '.join(self.parameters.nodes)})


def make(name: str, listener: Listener) -> MicroexprNode:
    """Make one of the hosted nodes; they share the thread that takes the data."""
    module = importlib.import_module(f'microexpr_ros.ros.nodes.{name}')
    node: MicroexprNode = getattr(module, NODES[name])(listener)
    return node


def main() -> None:
    """Run the process; exit with code 2 if a node cannot start."""
    initialize()
    code = 0
    nodes: list[MicroexprNode] = []
    listener = Listener()
    try:
        host = PipelineNode()
        nodes.append(host)
        host.start()
        # Sinks before sources, so that nothing is sent before it can be heard.
        hosted = sorted(host.parameters.nodes, key=list(NODES).index, reverse=True)
        nodes += [make(name, listener) for name in hosted]
        for node in nodes[1:]:
            node.start()
        executor = SingleThreadedExecutor()
        for node in nodes:
            executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except MicroexprError:
        code = 2  # Its reason is in the log.
    except Exception:
        # Interrupted while it started, when every call into ROS fails: no news.
        if rclpy.ok():
            raise
    finally:
        for node in reversed(nodes):
            node.stop()
        listener.close()
        code = code or int(any(node.failed for node in nodes))
        rclpy.try_shutdown()
    sys.exit(code)


if __name__ == '__main__':
    main()
