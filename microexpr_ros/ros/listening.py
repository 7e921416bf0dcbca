"""Where the data flows: one thread per process that takes messages and does the work.

A turn of an rclpy executor looks at every service, timer and event of a node, in Python; at
hundreds of packets a second that is most of a robot's core. And threads that compute in Python
take turns at the interpreter, each waiting for the others. So one thread waits for the data of
all nodes in the process and works on it in the callbacks. The bounded queue is that of the DDS
reader. Services and timers stay with the executor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from rclpy.callback_groups import CallbackGroup
from rclpy.context import Context
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.exceptions import InvalidHandle
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.subscription import Subscription

Callback = Callable[..., None]
"""As `Listener.subscribe` says."""

Topic = tuple[type, str, Callback, QoSProfile]

MOST_PER_TURN = 20
"""Messages of one topic in a row: after a stall, every node in the process gets its turn before
the next one's queue overflows."""

IDLE_NS = 200_000_000
"""Longest wait, after which a context that was shut down is noticed."""


class _OwnThread(CallbackGroup):
    """Keeps an entity out of the executor."""

    def can_execute(self, entity: object) -> bool:
        """Return False: no executor may take these messages."""
        return False

    def beginning_execution(self, entity: object) -> bool:
        """Return False, as above."""
        return False

    def ending_execution(self, entity: object) -> None:
        """Do nothing: nothing was begun."""


@dataclass
class Reader:
    """The subscriptions of one node.

    Attributes:
        node: node that subscribes.
        subscriptions: subscription, message type and callback of each topic.
        fail: called with an exception that a callback raised.
        silent: called whenever nothing has arrived on the first topic for `silence_ns`.
        silence_ns: how long nothing must arrive.
        heard_ns: steady time of the first topic's last message, or of the last call of `silent`.
    """

    node: Node
    subscriptions: list[tuple[Subscription, type, Callback]]
    fail: Callable[[Exception], None]
    silent: Callable[[], None] | None
    silence_ns: int
    heard_ns: int = field(default_factory=time.monotonic_ns)

    def incompatible(self) -> list[str]:
        """Name the publishers whose quality of service keeps their messages from coming."""
        problems = []
        for subscription, _, _ in self.subscriptions:
            for info in self.node.get_publishers_info_by_topic(subscription.topic_name):
                verdict, reason = qos_check_compatible(info.qos_profile, subscription.qos_profile)
                if verdict == QoSCompatibility.ERROR:
                    problems.append(
                        f'{subscription.topic_name} of {info.node_name}: {reason.rstrip(";")}'
                    )
        return problems

    def take(self) -> None:
        """Work on what has arrived; what is left over wakes the thread again."""
        for subscription, kind, callback in self.subscriptions:
            for _ in range(MOST_PER_TURN):
                taken = subscription.handle.take_message(kind, subscription.raw)
                if taken is None:
                    break
                message, info = taken
                times = [info['source_timestamp']]
                if subscription.raw:
                    times.append(info['received_timestamp'])
                try:
                    callback(message, *times)
                except Exception as error:
                    self.fail(error)
                if subscription is self.subscriptions[0][0]:
                    self.heard_ns = time.monotonic_ns()

    def notice_silence(self, now_ns: int) -> None:
        """Call `silent` if nothing has arrived for long enough."""
        if self.silent is not None and now_ns - self.heard_ns >= self.silence_ns:
            self.heard_ns = now_ns
            try:
                self.silent()
            except Exception as error:
                self.fail(error)


class Listener:
    """Take the messages of any number of nodes on one thread.

    Attributes:
        lock: held while callbacks run; whoever touches what they touch takes it.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._readers: list[Reader] = []
        self._thread: threading.Thread | None = None
        self._wake: GuardCondition | None = None
        self._closing = False

    def subscribe(
        self,
        node: Node,
        topics: Sequence[Topic],
        fail: Callable[[Exception], None],
        silent: Callable[[], None] | None = None,
        silence_ns: int = IDLE_NS,
        raw: bool = False,
    ) -> Reader:
        """Begin to listen for a node.

        Args:
            node: node that subscribes.
            topics: message type, name, callback and quality of service of each. A callback
                gets the message and the system time in ns at which it was published.
            fail: called with an exception that a callback raised.
            silent: called whenever nothing has arrived on the first topic for `silence_ns`.
            silence_ns: how long nothing must arrive.
            raw: whether callbacks get serialized messages, and as a third argument the system
                time in ns at which the message was received.

        Returns:
            What `unsubscribe` takes.
        """
        subscriptions = []
        for kind, topic, callback, qos in topics:
            # An event handler in the executor would wake it for every message, so there is
            # none; `incompatible` tells of mismatched QoS instead.
            subscription = node.create_subscription(
                kind,
                topic,
                lambda _: None,
                qos,
                callback_group=_OwnThread(),
                raw=raw,
                event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
            )
            subscriptions.append((subscription, kind, callback))
        reader = Reader(node, subscriptions, fail, silent, silence_ns)
        with self.lock:
            self._readers.append(reader)
            if self._thread is None:
                self._wake = GuardCondition(lambda: None, _OwnThread(), context=node.context)
                self._thread = threading.Thread(
                    target=self._run, args=(node.context, self._wake), daemon=True
                )
                self._thread.start()
            elif self._wake is not None:
                self._wake.trigger()
        return reader

    def unsubscribe(self, reader: Reader) -> None:
        """Stop listening for a node; none of its callbacks runs any more after this."""
        with self.lock:
            self._readers.remove(reader)
            for subscription, _, _ in reader.subscriptions:
                reader.node.destroy_subscription(subscription)

    def close(self) -> None:
        """End the thread; to be called before the context is shut down for good."""
        self._closing = True
        if self._wake is not None and self._thread is not None:
            self._wake.trigger()
            if threading.current_thread() is not self._thread:
                self._thread.join()

    def _run(self, context: Context, wake: GuardCondition) -> None:
        try:
            self._take_until_closed(context, wake)
        except Exception as error:
            # What the middleware throws while the process ends is no news; anything else is.
            if context.ok() and not self._closing:
                for reader in self._readers[:1]:
                    reader.fail(error)

    def _take_until_closed(self, context: Context, wake: GuardCondition) -> None:
        while context.ok() and not self._closing:
            with self.lock:
                readers = list(self._readers)
            with ExitStack() as held:
                # While they are held, nobody can destroy the entities that are waited on.
                handles = [
                    subscription.handle
                    for reader in readers
                    for subscription, _, _ in reader.subscriptions
                ]
                try:
                    for handle in (context.handle, wake.handle, *handles):
                        held.enter_context(handle)
                except InvalidHandle:
                    continue  # A node has just unsubscribed.
                wait_set = _rclpy.WaitSet(len(handles), 1, 0, 0, 0, 0, context.handle)
                wait_set.clear_entities()
                for handle in handles:
                    wait_set.add_subscription(handle)
                wait_set.add_guard_condition(wake.handle)
                wait_set.wait(self._timeout_ns(readers))
            now_ns = time.monotonic_ns()
            for reader in readers:
                with self.lock:
                    if reader in self._readers and context.ok():
                        reader.take()
                        reader.notice_silence(now_ns)

    def _timeout_ns(self, readers: list[Reader]) -> int:
        now_ns = time.monotonic_ns()
        deadlines = [
            reader.heard_ns + reader.silence_ns for reader in readers if reader.silent is not None
        ]
        return min([IDLE_NS, *(max(deadline - now_ns, 0) for deadline in deadlines)])
