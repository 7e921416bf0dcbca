"""Work that takes too long for the thread of subscriptions."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from microexpr_ros.ros.lifecycle import MicroexprNode


class Worker:
    """Do pieces of work on a thread of its own, one after the other.

    Networks let other Python threads run meanwhile.

    Args:
        node: is being activated; work that is left over when it is deactivated is not done.
    """

    def __init__(self, node: MicroexprNode[Any]) -> None:
        self._node = node
        self._pieces: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        node.start_thread(self._run)
        node.on_teardown(lambda: self._pieces.put(None))

    def add(self, piece: Callable[[], None]) -> None:
        """Add a piece of work; any thread may call this."""
        self._pieces.put(piece)

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            if not self._node.stopping.is_set():
                self._node.guard(piece)
