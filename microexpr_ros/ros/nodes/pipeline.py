"""Process `pipeline`: any set of the nodes in one process, for robots with few cores."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros.diagnostics import Diagnosis
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters, serve
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
    'recorder': 'RecorderNode',
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


def make_all(listener: Listener) -> Iterator[MicroexprNode]:
    """Make the node that decides, and then those that it names."""
    host = PipelineNode(listener)
    yield host
    # Sinks before sources, so that nothing is sent before it can be heard.
    for name in sorted(host.parameters.nodes, key=list(NODES).index, reverse=True):
        yield make(name, listener)


def main() -> None:
    """Run the process."""
    serve(make_all)


if __name__ == '__main__':
    main()
