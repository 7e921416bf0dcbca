"""One thread per process that takes messages from subscriptions and runs their callbacks.

An rclpy executor checks every service, timer and event of a node each time it wakes up, in
Python; at hundreds of packets a second that fills most of a robot's core. More threads would not
help, because they share Python's interpreter lock. So one thread waits for the messages of all
nodes in the process and runs the callbacks. Messages that have not been taken wait in the bounded
queue of the DDS reader. Services and timers stay with the executor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from rclpy.callback_groups import CallbackGroup
from rclpy.context import Context
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.exceptions import InvalidHandle
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.subscription import Subscription

from microexpr_ros.ros.inputs import Input

Callback: TypeAlias = Callable[..., None]
"""What `SubscriptionThread.subscribe` describes: its arguments depend on `raw`."""

ObjectCallback: TypeAlias = Callable[[Any], None]
"""Takes an object that another node of the process hands over."""

TopicCallback: TypeAlias = tuple[type[Any], str, Callback, QoSProfile]
"""Message type, topic name, callback and quality of service of one subscription. rclpy's message
types are untyped."""

MAX_IN_A_ROW = 20
"""Messages of one topic that are taken in a row, so that after a stall no other topic's queue
overflows."""

MAX_WAIT_NS = 200_000_000
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


@dataclass(eq=False)
class SubscriptionSet:
    """Subscriptions of one node that are made and destroyed together.

    Attributes:
        node: node that subscribes.
        subscriptions: subscription, message type and callback of each topic.
        inputs: what watches the messages, by subscription.
        objects: callbacks that take what a node of this process hands over, by the full name of
            the topic.
        on_error: called with an exception that a callback raised.
        on_silence: called each time that nothing has arrived on the first topic for `silence_ns`.
        silence_ns: how long nothing must arrive.
        quiet_since_ns: steady time of the first topic's last message, or of the last call of
            `on_silence`.
    """

    node: Node
    subscriptions: list[tuple[Subscription, type[Any], Callback]]
    on_error: Callable[[Exception], None]
    on_silence: Callable[[], None] | None
    silence_ns: int
    inputs: Mapping[Subscription, Input] = field(default_factory=dict)
    objects: Mapping[str, ObjectCallback] = field(default_factory=dict)
    quiet_since_ns: int = field(default_factory=time.monotonic_ns)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _destroyed: bool = False

    def find_incompatible_publishers(self) -> list[str]:
        """Return a line for each publisher whose quality of service does not match ours."""
        problems = []
        for subscription, _, _ in self.subscriptions:
            for info in self.node.get_publishers_info_by_topic(subscription.topic_name):
                verdict, reason = qos_check_compatible(info.qos_profile, subscription.qos_profile)
                if verdict == QoSCompatibility.ERROR:
                    problems.append(
                        f'{subscription.topic_name} of {info.node_name}: {reason.rstrip(";")}'
                    )
        return problems

    def find_awaited(self, handed_over: Set[str]) -> list[Subscription]:
        """Return the subscriptions whose messages are not ignored.

        Args:
            handed_over: full names of the topics that a node of this process hands over: their
                messages are for others.
        """
        ignored = handed_over & self.objects.keys()
        return [one for one, _, _ in self.subscriptions if one.topic_name not in ignored]

    def take(self, handed_over: Set[str]) -> bool:
        """Run the callbacks of what has arrived, of each topic up to `MAX_IN_A_ROW`.

        Args:
            handed_over: as of `find_awaited`.

        Returns:
            Whether messages may be left over.
        """
        with self._lock:
            return not self._destroyed and self._take(handed_over)

    def destroy(self) -> None:
        """Destroy the subscriptions; none of their callbacks runs after this."""
        with self._lock:
            self._destroyed = True
            for subscription, _, _ in self.subscriptions:
                self.node.destroy_subscription(subscription)

    def _take(self, handed_over: Set[str]) -> bool:
        left_over = False
        ignored = handed_over & self.objects.keys()
        for subscription, kind, callback in self.subscriptions:
            if subscription.topic_name in ignored:
                continue
            watching = self.inputs.get(subscription)
            for _ in range(MAX_IN_A_ROW):
                taken = subscription.handle.take_message(kind, subscription.raw)
                if taken is None:
                    break
                message, info = taken
                times = [info['source_timestamp']]
                if watching is not None:
                    watching.take(times[0], info['publication_sequence_number'])
                if subscription.raw:
                    times.append(info['received_timestamp'])
                try:
                    callback(message, *times)
                except Exception as error:
                    self.on_error(error)
                if subscription is self.subscriptions[0][0]:
                    self.quiet_since_ns = time.monotonic_ns()
            else:
                left_over = True
        return left_over

    def take_object(self, topic: str, item: object) -> None:
        """Run the callback for an object that was handed over."""
        self.ignore_messages(topic)
        for subscription, watching in self.inputs.items():
            if subscription.topic_name == topic:
                watching.take(time.time_ns(), None)
        try:
            self.objects[topic](item)
        except Exception as error:
            self.on_error(error)
        if topic == self.subscriptions[0][0].topic_name:
            self.quiet_since_ns = time.monotonic_ns()

    def ignore_messages(self, topic: str) -> None:
        """Remove the messages of a topic that have arrived, as they are, without reading them."""
        with self._lock:
            for subscription, kind, _ in self.subscriptions:
                if subscription.topic_name == topic and not self._destroyed:
                    while subscription.handle.take_message(kind, True) is not None:
                        pass

    def notice_silence(self, now_ns: int) -> None:
        """Call `on_silence` if nothing has arrived for long enough; let inputs notice it, too."""
        for watching in self.inputs.values():
            watching.check(now_ns)
        if self.on_silence is not None and now_ns - self.quiet_since_ns >= self.silence_ns:
            self.quiet_since_ns = now_ns
            try:
                self.on_silence()
            except Exception as error:
                self.on_error(error)


class SubscriptionThread:
    """Take the messages of any number of nodes, and run their callbacks one at a time.

    Attributes:
        lock: held while callbacks run; other threads take it to share state with callbacks.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._sets: list[SubscriptionSet] = []
        self._polled: list[SubscriptionSet] = []
        self._handed_over: set[str] = set()
        self._thread: threading.Thread | None = None
        self._wake: GuardCondition | None = None
        self._closing = False

    def subscribe(
        self,
        node: Node,
        topics: Sequence[TopicCallback],
        on_error: Callable[[Exception], None],
        on_silence: Callable[[], None] | None = None,
        silence_ns: int = MAX_WAIT_NS,
        raw: bool = False,
        inputs: Sequence[Input] = (),
        objects: Mapping[str, ObjectCallback] | None = None,
        polled: bool = False,
    ) -> SubscriptionSet:
        """Subscribe a node to topics.

        Args:
            node: node that subscribes.
            topics: message type, name, callback and quality of service of each. A callback
                gets the message and the system time in ns at which it was published.
            on_error: called with an exception that a callback raised.
            on_silence: called each time that nothing has arrived on the first topic for
                `silence_ns`.
            silence_ns: how long nothing must arrive.
            raw: whether callbacks get serialized messages, and as a third argument the system
                time in ns at which the message was received.
            inputs: what watches the messages of these topics.
            objects: callbacks, by topic, that take what a node of this process hands over; its
                messages are then ignored.
            polled: whether messages wait until `take` is called with the subscriptions, on any
                thread. That saves a wake-up per message where nobody needs each at once.

        Returns:
            The subscriptions, to be passed to `unsubscribe`.
        """
        subscriptions = []
        by_topic = {one.topic: one for one in inputs}
        watched = {}
        for kind, topic, callback, qos in topics:
            # An event handler in the executor would wake it for every message, so there is
            # none; `find_incompatible_publishers` reports mismatched QoS instead.
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
            if topic in by_topic:
                watched[subscription] = by_topic[topic]
        taken = {node.resolve_topic_name(topic): take for topic, take in (objects or {}).items()}
        made = SubscriptionSet(
            node, subscriptions, on_error, on_silence, silence_ns, watched, taken
        )
        if polled:
            with self.lock:
                self._polled.append(made)
            return made
        with self.lock:
            self._sets.append(made)
            if self._thread is None:
                self._wake = GuardCondition(lambda: None, _OwnThread(), context=node.context)
                self._thread = threading.Thread(
                    target=self._run, args=(node.context, self._wake), daemon=True
                )
                self._thread.start()
            elif self._wake is not None:
                self._wake.trigger()
        return made

    def unsubscribe(self, subscription_set: SubscriptionSet) -> None:
        """Destroy subscriptions; none of their callbacks runs after this."""
        with self.lock:
            for sets in (self._sets, self._polled):
                if subscription_set in sets:
                    sets.remove(subscription_set)
            subscription_set.destroy()

    def take(self, polled: SubscriptionSet) -> bool:
        """Run the callbacks of polled subscriptions on the calling thread, for what has arrived.

        Returns:
            Whether messages may be left over.
        """
        return polled.take(self._handed_over)

    def hand_over(self, topic: str, item: object) -> int:
        """Give an object to all nodes of this process that take those of a topic, at once.

        To be called from a callback of this thread, or with its lock held.

        Args:
            topic: full name of the topic.
            item: what its messages would carry.

        Returns:
            How many nodes took it; each also has a subscription, whose messages are ignored
            from now on until `end_handing_over`.
        """
        self._handed_over.add(topic)
        takers = [one for one in (*self._sets, *self._polled) if topic in one.objects]
        for one in takers:
            one.take_object(topic, item)
        return len(takers)

    def end_handing_over(self, topic: str) -> None:
        """Let messages of a topic be taken again."""
        with self.lock:
            self._handed_over.discard(topic)
            for one in (*self._sets, *self._polled):
                if topic in one.objects:
                    one.ignore_messages(topic)

    def close(self) -> None:
        """End the thread; to be called before the context is destroyed."""
        self._closing = True
        if self._wake is not None and self._thread is not None:
            self._wake.trigger()
            if threading.current_thread() is not self._thread:
                self._thread.join()

    def _run(self, context: Context, wake: GuardCondition) -> None:
        try:
            self._take_until_closed(context, wake)
        except Exception as error:
            # While the process ends, every call into the middleware may fail.
            if context.ok() and not self._closing:
                for first in self._sets[:1]:
                    first.on_error(error)

    def _take_until_closed(self, context: Context, wake: GuardCondition) -> None:
        while context.ok() and not self._closing:
            with self.lock:
                sets = list(self._sets)
                # Messages of what is handed over must not wake the thread: nobody reads them.
                awaited = [one for each in sets for one in each.find_awaited(self._handed_over)]
            with ExitStack() as held:
                # While they are held, nobody can destroy the entities that are waited on.
                handles = [subscription.handle for subscription in awaited]
                try:
                    for handle in (context.handle, wake.handle, *handles):
                        held.enter_context(handle)
                except InvalidHandle:
                    continue  # Another thread has just unsubscribed.
                wait_set = _rclpy.WaitSet(len(handles), 1, 0, 0, 0, 0, context.handle)
                wait_set.clear_entities()
                for handle in handles:
                    wait_set.add_subscription(handle)
                wait_set.add_guard_condition(wake.handle)
                wait_set.wait(self._timeout_ns(sets))
            now_ns = time.monotonic_ns()
            for one in sets:
                with self.lock:
                    if one in self._sets and context.ok():
                        one.take(self._handed_over)
                        one.notice_silence(now_ns)

    def _timeout_ns(self, sets: list[SubscriptionSet]) -> int:
        now_ns = time.monotonic_ns()
        deadlines = [
            one.quiet_since_ns + one.silence_ns for one in sets if one.on_silence is not None
        ]
        return min([MAX_WAIT_NS, *(max(deadline - now_ns, 0) for deadline in deadlines)])
