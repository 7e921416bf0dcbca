"""A node in this process, with a line in the terminal that shows how it is doing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rich.text import Text

from microexpr_ros.cli.output import live_view
from microexpr_ros.ros.lifecycle import MicroexprNode
from microexpr_ros.ros.parameters import overrides
from microexpr_ros.ros.process import run_nodes
from microexpr_ros.ros.subscriptions import SubscriptionThread

Node = TypeVar('Node', bound=MicroexprNode[Any])


def host(
    kind: Callable[..., Node],
    parameters: dict[str, Any],
    status: Callable[[Node], str],
    args: Sequence[str] = (),
) -> tuple[Node | None, int]:
    """Run a node until it ends or is interrupted.

    Args:
        kind: Its class.
        parameters: Its parameters.
        status: Returns the line.
        args: Command line for ROS.

    Returns:
        The node, None if it could not be made, and the exit code for the process.
    """
    # Standard output is for results; a log keeps its colours though it passes through a pipe.
    os.environ['RCUTILS_LOGGING_USE_STDOUT'] = '0'
    os.environ.setdefault('RCUTILS_COLORIZED_OUTPUT', str(int(sys.stderr.isatty())))
    hosted: list[Node] = []

    def make(thread: SubscriptionThread) -> list[Node]:
        hosted.append(kind(thread, parameter_overrides=overrides(parameters)))
        return hosted

    def render() -> Text:
        text = status(hosted[0]) if hosted else 'starting'
        return Text(text, no_wrap=True, overflow='ellipsis')

    code: Any = 0
    with live_view(render):
        try:
            run_nodes(make, list(args))
        except SystemExit as end:
            code = end.code
    return (hosted[0] if hosted else None), code
