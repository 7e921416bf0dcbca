"""Processes that run nodes: what the executables start with."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import environment
from microexpr_ros.ros.lifecycle import MicroexprNode
from microexpr_ros.ros.subscriptions import SubscriptionThread
from microexpr_ros.threads import start_thread


def run_node(kind: type[MicroexprNode[Any]]) -> None:
    """Run one node, as `run_nodes` does."""
    run_nodes(lambda thread: [kind(thread)])


def run_nodes(
    make: Callable[[SubscriptionThread], Iterable[MicroexprNode[Any]]],
    args: Sequence[str] | None = None,
) -> None:
    """Run nodes in this process until it is interrupted, then exit.

    The exit code is 2 if a node cannot start, 1 if one failed, else 0.

    Args:
        make: makes the nodes one by one, given the thread of subscriptions that they share; each
            is started before the next is made.
        args: command line, None for that of the process.
    """
    code = 0
    thread = SubscriptionThread()
    nodes: list[MicroexprNode[Any]] = []
    try:
        interrupt_once()
        initialize(args)
        _spin(make, thread, nodes)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except MicroexprError:
        code = 2  # The node has logged it.
    finally:
        # Nothing may interrupt the end of the process: a bag is completed in it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for node in reversed(nodes):
            node.stop()
        thread.close()
        code = code or int(any(node.failed for node in nodes))
        rclpy.try_shutdown()
    sys.exit(code)


def _spin(
    make: Callable[[SubscriptionThread], Iterable[MicroexprNode[Any]]],
    thread: SubscriptionThread,
    nodes: list[MicroexprNode[Any]],
) -> None:
    """Start nodes one by one, as they are added to `nodes`, and run them."""
    try:
        with ExitStack() as others:
            executors = []
            for node in make(thread):
                nodes.append(node)
                executors.append(SingleThreadedExecutor())
                executors[-1].add_node(node)
                node.start()
            # Modules, types and networks live as long as the process: without this, the collector
            # visits these hundreds of thousands of objects again and again.
            gc.collect()
            gc.freeze()
            # To take one call, an executor looks at every service, timer and event of its nodes:
            # one for all of them would look at those of all.
            for node, executor in zip(nodes[1:], executors[1:], strict=True):
                others.enter_context(_spinning(node, executor))
            executors[0].spin()
    except Exception:
        # An interrupt invalidates the context first and reaches Python later: until then, every
        # call into ROS fails.
        if rclpy.ok():
            raise


@contextmanager
def _spinning(node: MicroexprNode[Any], executor: SingleThreadedExecutor) -> Iterator[None]:
    """Run a node's services and timers on a thread of their own."""
    ending = threading.Event()

    def spin() -> None:
        try:
            # Not `spin` and `shutdown`: that takes away what a thread is about to wait for.
            while node.context.ok() and not ending.is_set():
                executor.spin_once()
        except ExternalShutdownException:
            pass
        except Exception as error:
            if node.context.ok():
                node.fail(error)
                node.context.try_shutdown()

    thread = start_thread('executor', spin)
    try:
        yield
    finally:
        ending.set()
        executor.wake()
        thread.join()


def initialize(args: Sequence[str] | None = None) -> None:
    """Initialize rclpy; exit with code 2 and one line if its arguments cannot be used."""
    environment.prepare()
    try:
        rclpy.init(args=None if args is None else list(args))
    except Exception as error:
        sys.stderr.write(f'error: {" ".join(str(error).split())}\n')
        sys.exit(2)


def interrupt_once() -> None:
    """Raise KeyboardInterrupt at the first SIGINT and ignore all others.

    At Ctrl-C a launched process often gets two, from the terminal and from launch.
    """

    def interrupt(number: int, _: FrameType | None) -> None:
        # Not SIG_IGN: Python complains about a signal that arrives while it sets that.
        signal.signal(number, lambda *_: None)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
