"""A node in this process, with a line in the terminal that tells how it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from microexpr_ros.ros.lifecycle import MicroexprNode

Node = TypeVar('Node', bound='MicroexprNode[Any]')


def host(
    kind: Callable[..., Node],
    parameters: dict[str, Any],
    tell: Callable[[Node], str],
    args: Sequence[str] = (),
) -> tuple[Node | None, int]:
    """Run a node until it ends or is interrupted.

    Args:
        kind: Its class.
        parameters: Its parameters.
        tell: Returns the line.
        args: Command line for ROS.

    Returns:
        The node, None if it could not be made, and the code that the process is to exit with.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from microexpr_ros.ros.parameters import overrides
    from microexpr_ros.ros.process import run_nodes
    from microexpr_ros.ros.subscriptions import SubscriptionThread

    hosted: list[Node] = []

    def make(thread: SubscriptionThread) -> list[Node]:
        hosted.append(kind(thread, parameter_overrides=overrides(parameters)))
        return hosted

    def line() -> Text:
        text = tell(hosted[0]) if hosted else 'starting'
        return Text(text, no_wrap=True, overflow='ellipsis')

    code: Any = 0
    with Live(
        get_renderable=line,
        console=Console(stderr=True),
        refresh_per_second=4,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        try:
            run_nodes(make, list(args))
        except SystemExit as end:
            code = end.code
    return (hosted[0] if hosted else None), code
