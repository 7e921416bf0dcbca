"""The base class of our nodes: lifecycle, parameters, diagnostics, what ends with the node."""

from __future__ import annotations

import threading
import time
import traceback
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, cast

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.logging import get_logger
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from std_srvs.srv import Trigger

from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import topics
from microexpr_ros.ros.diagnostics import ERROR, Diagnosis, Recurrence, to_message
from microexpr_ros.ros.inputs import Input
from microexpr_ros.ros.parameters import declare, parameter, read
from microexpr_ros.ros.qos_overrides import PREFIX, PUBLISHER, SUBSCRIPTION, QosOverrides
from microexpr_ros.ros.subscriptions import (
    MAX_WAIT_NS,
    ObjectCallback,
    SubscriptionSet,
    SubscriptionThread,
    TopicCallback,
)
from microexpr_ros.threads import start_thread

Answer: TypeAlias = tuple[bool, str]
"""What a service answers: whether it succeeded, and a line for a person."""


@dataclass(frozen=True)
class NodeParameters:
    """The parameters that all our nodes share."""

    autostart: bool = parameter(
        True, 'configure and activate at the start; otherwise a lifecycle manager does'
    )


Values = TypeVar('Values', bound=NodeParameters)


class MicroexprNode(LifecycleNode, Generic[Values]):
    """A lifecycle node whose subclass defines what happens at each transition.

    Subclasses set `name` and `Parameters` and override `configure`, `activate` and `diagnose`.
    What they create in `configure` lives until the node is cleaned up, what they create later
    until it is deactivated: an inactive node neither listens nor works. A MicroexprError from
    `configure` or `activate` fails the transition with its message in the log.

    Args:
        subscription_thread: runs the callbacks of subscriptions; nodes in one process share it.
        kwargs: as of rclpy's node.

    Attributes:
        parameters: as they were when the node was configured; the defaults before.
        error: why the node could not start or had to end; None if neither is the case.
        diagnosis: what was published last on /diagnostics, None before the first time.
        malformed: number of messages that were reported and skipped.
        failed: whether the process must exit with an error code.
        stopping: set when the node is deactivated, for the work of `start_thread`.
        finds_topics: whether the node finds out about topics while it is active; otherwise,
            overrides of topics that it does not have are refused.
    """

    name: ClassVar[str]
    Parameters: type[Values]
    finds_topics: ClassVar[bool] = False

    def __init__(
        self,
        subscription_thread: SubscriptionThread | None = None,
        # As rclpy's node takes them, which gives them no types.
        **kwargs: Any,
    ) -> None:
        try:
            super().__init__(
                self.name, automatically_declare_parameters_from_overrides=True, **kwargs
            )
        except ValueError as error:
            # rclpy cannot infer the type of an empty list in a parameter file.
            get_logger(self.name).error(f'{error}: leave out parameters that are empty')
            raise MicroexprError(f'{self.name}: a parameter has no value') from None
        self.subscription_thread = subscription_thread or SubscriptionThread()
        self.parameters = self.Parameters()
        self.error: str | None = None
        self.diagnosis: Diagnosis | None = None
        self.malformed = 0
        self._malformed_recently, self._malformed_error = Recurrence(), ''
        self.failed = False
        self.stopping = threading.Event()
        self._configured = False
        self._active = False
        self._subscription_sets: list[SubscriptionSet] = []
        self._made_while_active: list[SubscriptionSet] = []
        self._until_cleanup = ExitStack()
        self._until_deactivation = ExitStack()
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._qos_overrides = QosOverrides({})
        try:
            declare(self, self.Parameters)
            self._qos_overrides = self._read_qos_overrides()
        except MicroexprError as error:
            self._report(error)
        self.add_on_set_parameters_callback(self._check_parameters)
        self._diagnostics = self.create_publisher(
            DiagnosticArray,
            topics.DIAGNOSTICS,
            self._override(topics.DIAGNOSTICS, PUBLISHER, QoSProfile(depth=10)),
        )
        self.create_timer(1.0, self._publish_diagnosis, clock=self._steady)
        self._diagnosis_changed = self.create_guard_condition(self._publish_diagnosis)

    # For subclasses to override.

    def configure(self) -> None:
        """Load what the node needs and create publishers."""

    def activate(self) -> None:
        """Subscribe and start to work."""

    def diagnose(self) -> Diagnosis:
        """Return how the node is doing while it is active."""
        return Diagnosis()

    # For subclasses to use.

    def get_logger(self) -> RcutilsLogger:
        """Return the node's logger, to which rclpy gives no type."""
        logger: RcutilsLogger = super().get_logger()  # type: ignore[no-untyped-call]
        return logger

    def advertise(self, kind: type[Any], topic: str, qos: QoSProfile) -> LifecyclePublisher:
        """Create a publisher; it publishes only while the node is active.

        Raises:
            MicroexprError: another node of the process has the topic with another type.
        """
        offer = self._override(topic, PUBLISHER, qos)
        try:
            publisher: LifecyclePublisher = self.create_lifecycle_publisher(  # type: ignore[no-untyped-call]
                kind, topic, offer
            )
        except _rclpy.RCLError as error:
            reason, _, _ = str(error).partition(', at ')
            raise MicroexprError(
                f'{topic} cannot be published as {kind.__name__}: {reason}; within a process a '
                'topic has one type: rename the topic, or run a process per node (composed:=false)'
            ) from None
        self.on_teardown(lambda: self.destroy_lifecycle_publisher(publisher))
        return publisher

    def publish_diagnosis_soon(self) -> None:
        """Publish the diagnosis on the executor's thread without waiting for the next second."""
        self._diagnosis_changed.trigger()

    def watch(self, topic: str, what: str, *, is_optional: bool = False) -> Input:
        """Return what watches the messages of a topic, to be given to `subscribe`.

        Args:
            topic: its name, as it is subscribed to.
            what: what the messages are, in the plural, for people.
            is_optional: whether the node also works if none ever comes.
        """
        return Input(
            self, topic, what, is_optional=is_optional, on_change=self.publish_diagnosis_soon
        )

    def subscribe(
        self,
        *callbacks: TopicCallback,
        inputs: Sequence[Input] = (),
        objects: Mapping[str, ObjectCallback] | None = None,
        on_silence: Callable[[], None] | None = None,
        silence_ns: int = MAX_WAIT_NS,
        raw: bool = False,
        polled: bool = False,
    ) -> SubscriptionSet:
        """Subscribe to topics; the callbacks run on the subscription thread.

        An exception of a callback is reported: a MicroexprError counts the message as malformed,
        any other exception is a defect and ends the process.

        Args:
            callbacks: message type, topic, callback and quality of service of each; a callback
                gets the message and the system time in ns at which it was published.
            inputs: what watches these topics, as `watch` returns it; what is wrong with them is
                part of the diagnosis.
            objects: callbacks, by topic, that take what a node of this process hands over; its
                messages are then ignored.
            on_silence: called each time that nothing has arrived on the first topic for
                `silence_ns`.
            silence_ns: how long nothing must arrive.
            raw: whether callbacks get serialized messages, and as a third argument the system
                time in ns at which the message was received.
            polled: whether messages wait until `subscription_thread.take` is called.
        """
        overridden = [
            (kind, topic, callback, self._override(topic, SUBSCRIPTION, qos))
            for kind, topic, callback, qos in callbacks
        ]
        made = self.subscription_thread.subscribe(
            self,
            overridden,
            self._handle_callback_error,
            on_silence,
            silence_ns,
            raw,
            inputs,
            objects,
            polled,
        )
        self._subscription_sets.append(made)
        if self._active:
            # Any number of these come and go, as publishers do: `unsubscribe` leaves nothing.
            self._made_while_active.append(made)
            return made
        # What is unsubscribed before must not be kept until then.
        reference = weakref.ref(made)
        self.on_teardown(lambda: self._unsubscribe(reference()))
        return made

    def unsubscribe(self, subscription_set: SubscriptionSet) -> None:
        """Destroy what `subscribe` made; without effect the second time."""
        if subscription_set in self._subscription_sets:
            self._subscription_sets.remove(subscription_set)
            if subscription_set in self._made_while_active:
                self._made_while_active.remove(subscription_set)
            self.subscription_thread.unsubscribe(subscription_set)

    def _unsubscribe(self, subscription_set: SubscriptionSet | None) -> None:
        if subscription_set is not None:
            self.unsubscribe(subscription_set)

    def service(self, name: str, answer: Callable[[], Answer | Awaitable[Answer]]) -> None:
        """Offer a std_srvs/Trigger service, which succeeds only while the node is active.

        Args:
            name: name of the service.
            answer: does what the service is for and returns the answer, or an awaitable of it.
        """

        async def respond(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            response.success, response.message = False, 'the node is not active'
            if self._active:
                given = answer()
                given = await given if isinstance(given, Awaitable) else given
                response.success, response.message = given
            return response

        # A group of its own, so that one service that waits does not hold up the others.
        group = MutuallyExclusiveCallbackGroup()
        service = self.create_service(Trigger, name, respond, callback_group=group)
        self.on_teardown(lambda: self.destroy_service(service))

    def every(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call back at a rate of wall time, on the executor's thread."""
        timer = self.create_timer(period_s, lambda: self.guard(callback), clock=self._steady)
        self.on_teardown(lambda: self.destroy_timer(timer))

    def guard(self, work: Callable[[], None]) -> None:
        """Do a piece of work; an error of it is handled as one of a callback."""
        try:
            work()
        except Exception as error:
            self._handle_callback_error(error)

    def start_thread(self, work: Callable[[], None]) -> None:
        """Work on a thread of its own, until `stopping` is set."""

        def guarded() -> None:
            try:
                work()
            except MicroexprError as error:
                self._report(error)
            except Exception as error:
                self._handle_callback_error(error)

        self.stopping = threading.Event()
        thread = start_thread(self.get_name(), guarded)

        def end() -> None:
            self.stopping.set()
            if threading.current_thread() is not thread:
                thread.join()

        self.on_teardown(end)

    def on_teardown(self, action: Callable[[], object]) -> None:
        """Register what to do when the node is taken down, in reverse order of registration.

        Registered in `configure`, it is done at cleanup; registered later, at deactivation.
        """
        stack = self._until_deactivation if self._configured else self._until_cleanup
        stack.callback(action)

    def fail(self, error: Exception) -> None:
        """Report an error after which the process must exit with an error code.

        Of a MicroexprError the log shows the message, of a defect the traceback.
        """
        self.failed = True
        self._report(error)

    # The transitions.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters and configure."""
        try:
            declare(self, self.Parameters)
            self.parameters = read(self, self.Parameters)
            self._qos_overrides = self._read_qos_overrides()
            self.configure()
        except Exception as error:
            self._report(error)
            self._until_cleanup.close()
            return TransitionCallbackReturn.FAILURE
        self.error = None
        self._configured = True
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enable the publishers, then start."""
        result = super().on_activate(state)
        # Before the work begins, which may report an error of its own.
        self.error = None
        try:
            # Callbacks of what it subscribes to must not run before all that they use is there.
            with self.subscription_thread.lock:
                self.activate()
            if not self.finds_topics:
                self._qos_overrides.require_made()
        except Exception as error:
            self._report(error)
            self._until_deactivation.close()
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        self._active = True
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening and working."""
        self.stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Destroy what `configure` created."""
        self._configured = False
        self._until_cleanup.close()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End from any state."""
        if self._active:
            self.on_deactivate(state)
        self._until_cleanup.close()
        return super().on_shutdown(state)

    def start(self) -> None:
        """Configure and activate, unless a lifecycle manager does.

        Raises:
            MicroexprError: it could not.
        """
        if self.error is not None:
            raise MicroexprError(self.error)
        if not self.get_parameter('autostart').value:
            return
        for transition in (self.trigger_configure, self.trigger_activate):
            result = transition()  # type: ignore[no-untyped-call]
            if result != TransitionCallbackReturn.SUCCESS:
                raise MicroexprError(self.error or f'{self.get_name()} did not start')

    def stop(self) -> None:
        """Take down what the node started since it was activated."""
        self._active = False
        while self._made_while_active:
            self.unsubscribe(self._made_while_active[-1])
        self._until_deactivation.close()

    def destroy_node(self) -> None:
        """Destroy the node and all that it has made.

        rclpy leaves the state machine to the garbage collector; until then it keeps the node,
        which others would still see.
        """
        super().destroy_node()  # type: ignore[no-untyped-call]
        self._state_machine.destroy_when_not_in_use()

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Set parameters all at once; an unknown name is refused with a reason.

        rclpy raises an exception instead, of which its service makes the reason "[]".
        """
        unknown = [given.name for given in parameter_list if not self.has_parameter(given.name)]
        if unknown:
            known = ', '.join(sorted(self.get_parameters_by_prefix('')))
            return SetParametersResult(
                successful=False,
                reason=f'unknown parameter {", ".join(unknown)}; {self.get_name()} knows {known}',
            )
        return super().set_parameters_atomically(parameter_list)

    def _read_qos_overrides(self) -> QosOverrides:
        # rclpy's annotation is wrong: the values are parameters.
        given = cast('dict[str, Parameter]', self.get_parameters_by_prefix(''))
        values = {name: one.value for name, one in given.items()}
        return QosOverrides(values, made=[(topics.DIAGNOSTICS, PUBLISHER)])

    def _override(self, topic: str, side: str, profile: QoSProfile) -> QoSProfile:
        return self._qos_overrides.apply(str(self.resolve_topic_name(topic)), side, profile)

    def _report(self, error: Exception) -> None:
        """Log an error and keep it for diagnostics; a defect makes the node fail."""
        self.error = f'{self.get_name()}: {error}'
        if isinstance(error, MicroexprError):
            self.get_logger().error(str(error))
            return
        # rclpy would swallow the traceback of a transition.
        self.failed = True
        if self.context.ok():
            self.get_logger().fatal(''.join(traceback.format_exception(error)))

    def _handle_callback_error(self, error: Exception) -> None:
        if not self.context.ok():
            return  # While the process ends, every call into ROS may fail.
        if isinstance(error, MicroexprError):
            self.malformed += 1
            self._malformed_recently.add(time.monotonic_ns())
            self._malformed_error = str(error)
            self.get_logger().error(str(error), throttle_duration_sec=5.0)
            return
        # A defect: end rather than go on in an unknown state.
        self._report(error)
        self.context.try_shutdown()

    def _check_parameters(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        changed = [
            value.name
            for value in parameters
            if hasattr(self.parameters, value.name) or value.name.startswith(PREFIX)
        ]
        if self._configured and changed:
            return SetParametersResult(
                successful=False,
                reason=f'{", ".join(changed)}: deactivate and clean up the node first; '
                'parameters are read when it is configured',
            )
        return SetParametersResult(successful=True)

    def _publish_diagnosis(self) -> None:
        stamp = self.get_clock().now().to_msg()
        self.diagnosis = diagnosis = self._diagnose_state()
        self._diagnostics.publish(to_message(self.get_fully_qualified_name(), stamp, diagnosis))

    def _diagnose_state(self) -> Diagnosis:
        if self.error is not None:
            return Diagnosis(ERROR, self.error)
        if not self._active:
            return Diagnosis(message='inactive')
        diagnosis = self.diagnose()
        values = {**diagnosis.values, 'malformed_messages': self.malformed}
        if self._malformed_recently.goes_on(time.monotonic_ns()):
            problem = f'messages are malformed, and skipped: {self._malformed_error}'
            diagnosis = diagnosis.with_problem(problem)
        for one in list(self._subscription_sets):
            for watching in one.inputs:
                values |= watching.values()
                for problem in watching.problems():
                    diagnosis = diagnosis.with_problem(problem)
        diagnosis = replace(diagnosis, values=values)
        problems = [
            problem
            for one in self._subscription_sets
            for problem in one.find_incompatible_publishers()
        ]
        if problems:
            message = f'incompatible QoS: {"; ".join(problems)}'
            self.get_logger().warning(message, throttle_duration_sec=30.0)
            diagnosis = replace(diagnosis, level=ERROR, message=message)
        return diagnosis
