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
from collections import deque
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
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
from microexpr_ros.threads import start_thread

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

MOST_POSTED = 1000
"""Objects that wait for the thread at most, as many as packets in a DDS queue; then the oldest are
lost."""

IGNORE_NS = 100_000_000
"""How often messages that are ignored are removed: each look takes as long as to read one."""

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


@dataclass(frozen=True, slots=True, eq=False)
class SubscribedTopic:
    """One subscription of a set.

    Attributes:
        name: full name of the topic.
        kind: message type.
        callback: takes the messages.
        subscription: of rclpy.
        watching: what watches the messages, None if nothing does.
    """

    name: str
    kind: type[Any]
    callback: Callback
    subscription: Subscription
    watching: Input | None


@dataclass(eq=False)
class SubscriptionSet:
    """Subscriptions of one node that are made and destroyed together.

    Attributes:
        node: node that subscribes.
        topics: what is subscribed to.
        objects: callbacks that take what a node of this process hands over, by the full name of
            the topic.
        on_error: called with an exception that a callback raised.
        on_silence: called each time that nothing has arrived on the first topic for `silence_ns`.
        silence_ns: how long nothing must arrive.
        quiet_since_ns: steady time of the first topic's last message, or of the last call of
            `on_silence`.
        deferred_until_ns: steady time before which nobody needs what arrives.
    """

    node: Node
    topics: Sequence[SubscribedTopic]
    on_error: Callable[[Exception], None]
    on_silence: Callable[[], None] | None
    silence_ns: int
    objects: Mapping[str, ObjectCallback] = field(default_factory=dict)
    quiet_since_ns: int = field(default_factory=time.monotonic_ns)
    deferred_until_ns: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _ignored_ns: dict[str, int] = field(default_factory=dict)
    _destroyed: bool = False

    @property
    def inputs(self) -> list[Input]:
        """What watches the messages."""
        return [one.watching for one in self.topics if one.watching is not None]

    def find_incompatible_publishers(self) -> list[str]:
        """Return a line for each publisher whose quality of service does not match ours."""
        problems = []
        for one in self.topics:
            for info in self.node.get_publishers_info_by_topic(one.name):
                verdict, reason = qos_check_compatible(
                    info.qos_profile, one.subscription.qos_profile
                )
                if verdict == QoSCompatibility.ERROR:
                    problems.append(f'{one.name} of {info.node_name}: {reason.rstrip(";")}')
        return problems

    def find_awaited(self, handed_over: Set[str]) -> list[SubscribedTopic]:
        """Return the topics whose messages are not ignored.

        Args:
            handed_over: full names of the topics that a node of this process hands over: their
                messages are for others.
        """
        ignored = handed_over & self.objects.keys()
        return [one for one in self.topics if one.name not in ignored]

    def take(self, topics: Sequence[SubscribedTopic]) -> bool:
        """Run the callbacks of what has arrived on some topics, of each up to `MAX_IN_A_ROW`.

        Returns:
            Whether messages may be left over.
        """
        with self._lock:
            left_over = [self._take(one) for one in topics]
            return any(left_over)

    def defer(self, duration_ns: int) -> None:
        """Let what arrives wait for a time: it alone does not wake the thread."""
        self.deferred_until_ns = time.monotonic_ns() + duration_ns

    def destroy(self) -> None:
        """Destroy the subscriptions; none of their callbacks runs after this."""
        with self._lock:
            self._destroyed = True
            for one in self.topics:
                self.node.destroy_subscription(one.subscription)

    def _take(self, topic: SubscribedTopic) -> bool:
        subscription, watching = topic.subscription, topic.watching
        for _ in range(MAX_IN_A_ROW):
            if self._destroyed:
                return False
            taken = subscription.handle.take_message(topic.kind, subscription.raw)
            if taken is None:
                return False
            message, info = taken
            times = [info['source_timestamp']]
            if watching is not None:
                watching.take(times[0], info['publication_sequence_number'])
            if subscription.raw:
                times.append(info['received_timestamp'])
            try:
                topic.callback(message, *times)
            except Exception as error:
                self.on_error(error)
            if topic is self.topics[0]:
                self.quiet_since_ns = time.monotonic_ns()
        return True

    def take_object(self, topic: str, item: object, published_ns: int) -> None:
        """Run the callback for an object that was handed over.

        Args:
            topic: full name of the topic.
            item: the object.
            published_ns: system time at which it was handed over.
        """
        now_ns = time.monotonic_ns()
        if now_ns - self._ignored_ns.get(topic, now_ns - IGNORE_NS) >= IGNORE_NS:
            self._ignored_ns[topic] = now_ns
            self.ignore_messages(topic)
        for one in self.topics:
            if one.name == topic and one.watching is not None:
                one.watching.take(published_ns, None)
        try:
            self.objects[topic](item)
        except Exception as error:
            self.on_error(error)
        if topic == self.topics[0].name:
            self.quiet_since_ns = time.monotonic_ns()

    def ignore_messages(self, topic: str) -> None:
        """Remove the messages of a topic that have arrived, as they are, without reading them."""
        with self._lock:
            for one in self.topics:
                if one.name == topic and not self._destroyed:
                    while one.subscription.handle.take_message(one.kind, True) is not None:
                        pass

    def notice_silence(self, now_ns: int) -> None:
        """Call `on_silence` if nothing has arrived for long enough; let inputs notice it, too."""
        for watching in self.inputs:
            watching.check(now_ns)
        if self.on_silence is not None and now_ns - self.quiet_since_ns >= self.silence_ns:
            self.quiet_since_ns = now_ns
            try:
                self.on_silence()
            except Exception as error:
                self.on_error(error)


def _are_deferred(sets: Sequence[SubscriptionSet], now_ns: int) -> bool:
    return bool(sets) and all(one.deferred_until_ns > now_ns for one in sets)


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
        self._posted: deque[tuple[str, object, int]] = deque(maxlen=MOST_POSTED)
        # Counts what changes the messages that are waited for.
        self._changes = 0
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
        subscribed = []
        by_topic = {one.topic: one for one in inputs}
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
            subscribed.append(
                SubscribedTopic(
                    subscription.topic_name, kind, callback, subscription, by_topic.get(topic)
                )
            )
        taken = {node.resolve_topic_name(topic): take for topic, take in (objects or {}).items()}
        made = SubscriptionSet(node, subscribed, on_error, on_silence, silence_ns, taken)
        if polled:
            with self.lock:
                self._polled.append(made)
            return made
        with self.lock:
            self._sets.append(made)
            self._changes += 1
            if self._thread is None:
                self._wake = GuardCondition(lambda: None, _OwnThread(), context=node.context)
                run = partial(self._run, node.context, self._wake)
                self._thread = start_thread('subscriptions', run)
            elif self._wake is not None:
                self._wake.trigger()
        return made

    def unsubscribe(self, subscription_set: SubscriptionSet) -> None:
        """Destroy subscriptions; none of their callbacks runs after this."""
        with self.lock:
            for sets in (self._sets, self._polled):
                if subscription_set in sets:
                    sets.remove(subscription_set)
            self._changes += 1
            subscription_set.destroy()

    def take(self, polled: SubscriptionSet) -> bool:
        """Run the callbacks of polled subscriptions on the calling thread, for what has arrived.

        Returns:
            Whether messages may be left over.
        """
        return polled.take(polled.find_awaited(self._handed_over))

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
        return self._give(topic, item, time.time_ns())

    def post(self, topic: str, item: object, published_ns: int) -> int:
        """Give an object to all nodes of this process that take those of a topic, soon.

        Any thread may call this; the callbacks run on this one. If `MOST_POSTED` objects wait,
        the oldest is lost.

        Args:
            topic: full name of the topic.
            item: what its messages would carry.
            published_ns: system time.

        Returns:
            As of `hand_over`.
        """
        takers = self._find_takers(topic)
        if not takers or self._wake is None:
            return 0
        self._posted.append((topic, item, published_ns))
        if not _are_deferred(takers, time.monotonic_ns()):
            self._wake.trigger()
        return len(takers)

    def _are_posted_due(self) -> bool:
        """Return whether the oldest object that waits is to be taken now."""
        with self.lock:
            if not self._posted:
                return False
            return not _are_deferred(self._find_takers(self._posted[0][0]), time.monotonic_ns())

    def _find_takers(self, topic: str) -> list[SubscriptionSet]:
        return [one for one in (*self._sets, *self._polled) if topic in one.objects]

    def _give(self, topic: str, item: object, published_ns: int) -> int:
        if topic not in self._handed_over:
            self._handed_over.add(topic)
            self._changes += 1
        takers = self._find_takers(topic)
        for one in takers:
            one.take_object(topic, item, published_ns)
        return len(takers)

    def _take_posted(self) -> None:
        for _ in range(min(len(self._posted), MAX_IN_A_ROW)):
            with self.lock:
                # Meanwhile `end_handing_over` of another thread may have given them.
                if self._posted:
                    self._give(*self._posted.popleft())

    def end_handing_over(self, topic: str) -> None:
        """Let messages of a topic be taken again."""
        with self.lock:
            while self._posted:
                self._give(*self._posted.popleft())
            self._handed_over.discard(topic)
            self._changes += 1
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
                changes = self._changes
                # Messages of what is handed over must not wake the thread: nobody reads them.
                awaited = [(one, one.find_awaited(self._handed_over)) for one in self._sets]
            handles = [topic.subscription.handle for _, topics in awaited for topic in topics]
            with ExitStack() as held:
                # While they are held, nobody can destroy the entities that are waited on.
                try:
                    for handle in (context.handle, wake.handle, *handles):
                        held.enter_context(handle)
                except InvalidHandle:
                    continue  # Another thread has just unsubscribed.
                self._take_until_changed(context, wake, awaited, changes)

    def _take_until_changed(
        self,
        context: Context,
        wake: GuardCondition,
        awaited: Sequence[tuple[SubscriptionSet, Sequence[SubscribedTopic]]],
        changes: int,
    ) -> None:
        """Take messages with one wait set: to make one takes as long as to take a message.

        Args:
            context: of the subscriptions.
            wake: ends a wait.
            awaited: the sets, and the topics of each that are waited for; they are held.
            changes: return when there have been more changes than these.
        """
        sets = [one for one, _ in awaited]
        handles = [topic.subscription.handle for _, topics in awaited for topic in topics]
        pointers = [
            [topic.subscription.handle.pointer for topic in topics] for _, topics in awaited
        ]
        wait_set = _rclpy.WaitSet(len(handles), 1, 0, 0, 0, 0, context.handle)
        check_ns = 0
        while context.ok() and not self._closing and changes == self._changes:
            now_ns = time.monotonic_ns()
            if now_ns >= check_ns:
                self._notice_silence(sets, now_ns)
                check_ns = self._find_deadline(sets, now_ns)
            wait_set.clear_entities()
            deferred = [one for one in sets if one.deferred_until_ns > now_ns]
            for one, topics in awaited:
                for topic in () if one in deferred else topics:
                    wait_set.add_subscription(topic.subscription.handle)
            # Silence is looked for after that: it would take what is deferred too soon.
            until_ns = min((one.deferred_until_ns for one in deferred), default=check_ns)
            wait_set.add_guard_condition(wake.handle)
            wait_set.wait(0 if self._are_posted_due() else max(until_ns - now_ns, 0))
            self._take_posted()
            ready = set(wait_set.get_ready_entities('subscription'))
            is_free = self.lock.acquire(blocking=False)
            if is_free:
                self.lock.release()
            for (one, topics), numbers in zip(awaited, pointers, strict=True):
                with self.lock:
                    # While another thread held the lock, more has come on any topic; and what was
                    # deferred was not waited for.
                    arrived = [
                        topic
                        for topic, number in zip(topics, numbers, strict=True)
                        if number in ready or not is_free or one in deferred
                    ]
                    # What a callback has just begun to hand over must not be taken here, too.
                    if arrived and changes == self._changes and context.ok():
                        one.take(arrived)

    def _notice_silence(self, sets: Sequence[SubscriptionSet], now_ns: int) -> None:
        for one in sets:
            with self.lock:
                if one in self._sets:
                    one.notice_silence(now_ns)

    def _find_deadline(self, sets: Sequence[SubscriptionSet], now_ns: int) -> int:
        """Return the steady time of the next look for silence."""
        deadlines = [
            one.quiet_since_ns + one.silence_ns for one in sets if one.on_silence is not None
        ]
        return min([now_ns + MAX_WAIT_NS, *deadlines])
