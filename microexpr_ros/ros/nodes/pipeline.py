"""Node `pipeline`: hosts any of the other nodes in one process, for robots with few cores."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros.diagnostics import HOST, OK, Diagnosis
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters
from microexpr_ros.ros.parameters import parameter, read
from microexpr_ros.ros.process import run_nodes
from microexpr_ros.ros.subscriptions import SubscriptionThread

NODES = {
    'event_camera': 'EventCameraNode',
    'rgb_camera': 'RgbCameraNode',
    'player': 'PlayerNode',
    'synchronizer': 'SynchronizerNode',
    'au_classifier': 'ActionUnitClassifierNode',
    'reconstructor': 'ReconstructorNode',
    'overlay': 'OverlayNode',
    'recorder': 'RecorderNode',
    'view': 'ViewNode',
}


@dataclass(frozen=True)
class PipelineParameters(NodeParameters):
    """Parameters of the process."""

    nodes: tuple[str, ...] = parameter(
        ('event_camera', 'synchronizer', 'au_classifier', 'reconstructor'),
        'nodes to host: ' + ', '.join(NODES),
        element=str,
    )


class PipelineNode(MicroexprNode[PipelineParameters]):
    """Decide which nodes the process hosts."""

    name = HOST
    Parameters = PipelineParameters

    hosted: Sequence[MicroexprNode[Any]] = ()
    """The nodes that the process hosts, as they are made."""

    def configure(self) -> None:
        """Check the names."""
        self.choose_nodes()

    def choose_nodes(self) -> list[str]:
        """Return the nodes to host, sinks before sources, so that no first message is lost.

        The node need not be configured for it: a lifecycle manager may do so later.

        Raises:
            MicroexprError: there is no such node, or none is named.
        """
        names = read(self, PipelineParameters).nodes
        unknown = [name for name in names if name not in NODES]
        if unknown or not names:
            raise MicroexprError(
                f'nodes: {", ".join(unknown) or "none"} cannot be hosted; choose from '
                f'{", ".join(NODES)}'
            )
        return sorted(names, key=list(NODES).index, reverse=True)

    def diagnose(self) -> Diagnosis:
        """Return which nodes are hosted, and what is wrong with any of them."""
        found = [(node.get_name(), node.diagnosis) for node in self.hosted]
        problems = [
            f'{name}: {one.message}' for name, one in found if one is not None and one.level != OK
        ]
        return Diagnosis(
            max((one.level for _, one in found if one is not None), default=OK),
            '; '.join(problems) or 'running',
            {'nodes': ', '.join(self.parameters.nodes)},
        )


def make_node(name: str, thread: SubscriptionThread) -> MicroexprNode[Any]:
    """Make one of the hosted nodes."""
    module = importlib.import_module(f'microexpr_ros.ros.nodes.{name}')
    node: MicroexprNode[Any] = getattr(module, NODES[name])(thread)
    return node


def make_nodes(thread: SubscriptionThread) -> Iterator[MicroexprNode[Any]]:
    """Make the host, and then the nodes that its parameters name."""
    host = PipelineNode(thread)
    yield host
    try:
        names = host.choose_nodes()
    except MicroexprError as error:
        host.fail(error)
        raise
    nodes: list[MicroexprNode[Any]] = []
    host.hosted = nodes
    for name in names:
        nodes.append(make_node(name, thread))
        yield nodes[-1]


def main() -> None:
    """Run the process."""
    run_nodes(make_nodes)


if __name__ == '__main__':
    main()
