"""The node that all our nodes are: lifecycle, parameters, diagnostics, a way to start alone."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile

from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import environment
from microexpr_ros.ros.diagnostics import ERROR, Diagnosis, to_message
from microexpr_ros.ros.listening import IDLE_NS, Listener, Reader, Topic
from microexpr_ros.ros.parameters import declare, parameter, read


@dataclass(frozen=True)
class NodeParameters:
    """The parameters that all our nodes share."""

    autostart: bool = parameter(
        True, 'configure and activate at the start; otherwise a lifecycle manager does'
    )


class MicroexprNode(LifecycleNode):
    """A lifecycle node whose subclass says what to do at each transition.

    Subclasses set `Parameters` and override `configure`, `activate` and `diagnose`. What
    `listen`, `every` and `stream` make while the node is activated is taken down when it is
    deactivated, so that an inactive node neither listens nor works. A MicroexprError
    from `configure` or `activate` fails the transition with its message in the log.

    Args:
        listener: takes the messages; nodes in one process share it.
        kwargs: as of rclpy's node.

    Attributes:
        error: why the node could not start, None if it could.
        malformed: messages that were reported and skipped.
        failed: whether a defect ended the node.
    """

    Parameters: ClassVar[type[NodeParameters]] = NodeParameters
    name: ClassVar[str]

    def __init__(self, listener: Listener | None = None, **kwargs: Any) -> None:
        try:
            super().__init__(
                self.name, automatically_declare_parameters_from_overrides=True, **kwargs
            )
        except ValueError as error:
            # rclpy cannot tell the type of an empty list in a parameter file.
            get_logger(self.name).error(f'{error}: leave out parameters that are empty')
            raise MicroexprError(f'{self.name}: a parameter has no value') from None
        self.listener = listener or Listener()
        self.error: str | None = None
        self.malformed = 0
        self.failed = False
        self.parameters: Any = None
        self._configured = False
        self._active = False
        self._readers: list[Reader] = []
        self._teardown: list[Callable[[], object]] = []
        self._unconfigure: list[Callable[[], object]] = []
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        try:
            declare(self, self.Parameters)
        except MicroexprError as error:
            self._report(error)
        self.add_on_set_parameters_callback(self._check_parameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.create_timer(1.0, self._diagnose, clock=self._steady)

    # For subclasses to override.

    def configure(self) -> None:
        """Load what the node needs, make publishers."""

    def activate(self) -> None:
        """Start to listen and to work."""

    def diagnose(self) -> Diagnosis:
        """Tell how the node is while it is active."""
        return Diagnosis()

    # For subclasses to use.

    def advertise(self, kind: type, topic: str, qos: QoSProfile) -> Any:
        """Make a publisher that lives until the node is cleaned up."""
        publisher = self.create_lifecycle_publisher(kind, topic, qos)
        self._unconfigure.append(lambda: self.destroy_lifecycle_publisher(publisher))
        return publisher

    def listen(
        self,
        *topics: Topic,
        silent: Callable[[], None] | None = None,
        silence_ns: int = IDLE_NS,
    ) -> None:
        """Subscribe to topics until the node is deactivated, on the listener's thread.

        Args:
            topics: type, name, callback and quality of service of each.
            silent: called whenever nothing has arrived on the first topic for `silence_ns`.
            silence_ns: how long nothing must arrive.
        """
        reader = self.listener.subscribe(self, topics, self._work_failed, silent, silence_ns)
        self._readers.append(reader)
        self._teardown.append(self._readers.clear)
        self._teardown.append(lambda: self.listener.unsubscribe(reader))

    def every(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call back at a rate of wall time until the node is deactivated."""

        def guarded() -> None:
            try:
                callback()
            except Exception as error:
                self._work_failed(error)

        timer = self.create_timer(period_s, guarded, clock=self._steady)
        self._teardown.append(lambda: self.destroy_timer(timer))

    def stream(self, work: Callable[[], None]) -> None:
        """Work on a thread of its own until the node is deactivated, which sets `stopping`."""

        def guarded() -> None:
            try:
                work()
            except MicroexprError as error:
                self._report(error)
            except Exception as error:
                self._work_failed(error)

        self.stopping = threading.Event()
        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()

        def end() -> None:
            self.stopping.set()
            if threading.current_thread() is not thread:
                thread.join()

        self._teardown.append(end)

    # The transitions.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters and configure."""
        try:
            declare(self, self.Parameters)
            self.parameters = read(self, self.Parameters)
            self.configure()
        except Exception as error:
            self._transition_failed(error)
            self._run_all(self._unconfigure)
            return TransitionCallbackReturn.FAILURE
        self.error = None
        self._configured = True
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let the publishers publish, then start."""
        result = super().on_activate(state)
        # Before the work begins, which may report an error of its own.
        self.error = None
        try:
            self.activate()
        except Exception as error:
            self._transition_failed(error)
            self._run_all(self._teardown)
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        self._active = True
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening and working."""
        self.stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget what `configure` made."""
        self._configured = False
        self._run_all(self._unconfigure)
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End from any state."""
        if self._active:
            self.on_deactivate(state)
        self._run_all(self._unconfigure)
        return super().on_shutdown(state)

    def start(self) -> None:
        """Configure and activate, if the node is to start by itself.

        Raises:
            MicroexprError: it could not.
        """
        if self.error is not None:
            raise MicroexprError(self.error)
        if not self.get_parameter('autostart').value:
            return
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                raise MicroexprError(self.error or f'{self.get_name()} did not start')

    def stop(self) -> None:
        """Take down what the node started while it was activated."""
        self._active = False
        self._run_all(self._teardown)

    def _run_all(self, actions: list[Callable[[], object]]) -> None:
        while actions:
            actions.pop()()

    def _transition_failed(self, error: Exception) -> None:
        if isinstance(error, MicroexprError):
            self._report(error)
            return
        # rclpy would swallow it; a defect shall show where it is.
        self.error = f'{self.get_name()}: {error}'
        self.failed = True
        if self.context.ok():
            self.get_logger().fatal(''.join(traceback.format_exception(error)))

    def _report(self, error: MicroexprError) -> None:
        self.error = f'{self.get_name()}: {error}'
        self.get_logger().error(str(error))

    def _work_failed(self, error: Exception) -> None:
        if not self.context.ok():
            return  # Publishing fails while the process ends; that is no news.
        if isinstance(error, MicroexprError):
            self.malformed += 1
            self.get_logger().error(str(error), throttle_duration_sec=5.0)
            return
        # A defect: show where, and end rather than run on in an unknown state.
        self.get_logger().fatal(''.join(traceback.format_exception(error)))
        self.failed = True
        self.context.try_shutdown()

    def _check_parameters(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        changed = [value.name for value in parameters if hasattr(self.parameters, value.name)]
        if self._configured and changed:
            return SetParametersResult(
                successful=False,
                reason=f'{", ".join(changed)}: deactivate and clean up the node first; '
                'parameters are read when it is configured',
            )
        return SetParametersResult(successful=True)

    def _diagnose(self) -> None:
        if self.error is not None:
            diagnosis = Diagnosis(ERROR, self.error)
        elif self._active:
            diagnosis = self.diagnose()
            values = {**diagnosis.values, 'malformed_messages': self.malformed}
            diagnosis = replace(diagnosis, values=values)
            for problem in (text for reader in self._readers for text in reader.incompatible()):
                diagnosis = replace(diagnosis, level=ERROR, message=f'incompatible QoS: {problem}')
                self.get_logger().warning(diagnosis.message, throttle_duration_sec=30.0)
        else:
            diagnosis = Diagnosis(message='inactive')
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(to_message(self.get_fully_qualified_name(), stamp, diagnosis))


def initialize(args: Sequence[str] | None = None) -> None:
    """Start rclpy; exit with code 2 and one line if its arguments cannot be used."""
    environment.prepare()
    try:
        rclpy.init(args=args)
    except Exception as error:
        sys.stderr.write(f'error: {" ".join(str(error).split())}\n')
        sys.exit(2)


def serve(
    nodes: Callable[[Listener], Iterable[MicroexprNode]], args: Sequence[str] | None = None
) -> None:
    """Run nodes in this process until it is interrupted; exit with code 2 if one cannot start.

    Args:
        nodes: given the listener that they share, makes them one by one; each is started before
            the next is made.
        args: command line, None for that of the process.
    """
    initialize(args)
    code = 0
    listener = Listener()
    hosted: list[MicroexprNode] = []
    try:
        executor = SingleThreadedExecutor()
        for node in nodes(listener):
            hosted.append(node)
            executor.add_node(node)
            node.start()
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
        for node in reversed(hosted):
            node.stop()
        listener.close()
        code = code or int(any(node.failed for node in hosted))
        rclpy.try_shutdown()
    sys.exit(code)


def run(kind: type[MicroexprNode]) -> None:
    """Run one node, as `serve` does."""
    serve(lambda listener: [kind(listener)])
