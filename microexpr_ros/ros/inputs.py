"""Whether the messages that a node needs arrive, all of them and in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from rclpy.node import Node

from microexpr_ros.ros.diagnostics import Lag, Silence

SILENT_AFTER_NS: Final = 500_000_000
"""Silence after which a topic counts as dead; longer than the bursts of a busy network."""

START_NS: Final = 3_000_000_000
"""A first message that is missing for so long is logged: nodes start one after the other."""


class Input:
    """Watches the messages of one topic; logs when they stop and when they come again.

    The methods but `problems` and `values` are called by the subscription thread.

    Args:
        node: node that subscribes.
        topic: name of the topic, as it is subscribed to.
        what: what the messages are, in the plural, for people.
        is_optional: whether the node also works if none ever comes.
        on_change: called when messages stop or come again, or the node falls behind.

    Attributes:
        topic: name of the topic.
        lost: messages that were published and never came, while there is one publisher.
        lag: how much longer messages wait than at best.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        what: str,
        *,
        is_optional: bool = False,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.topic = topic
        self.lost = 0
        self.lag = Lag()
        self._node = node
        self._name = node.resolve_topic_name(topic)
        self._what = what
        self._is_optional = is_optional
        self._on_change = on_change
        self._silence = Silence(START_NS)
        self._arrived = False
        self._sequence_number = 0

    @property
    def is_silent(self) -> bool:
        """Whether messages came and have stopped, or do not begin to come."""
        return self._silence.is_silent

    @property
    def _is_missing(self) -> bool:
        return self.is_silent or not (self._arrived or self._is_optional)

    def take(self, published_ns: int, sequence_number: int | None) -> None:
        """Take note of a message.

        Args:
            published_ns: system time at which it was published.
            sequence_number: its number among all messages of its publisher, if that is known.
        """
        now_ns = time.monotonic_ns()
        lasted_ns = self._silence.end(now_ns)
        self._silence.limit_ns = SILENT_AFTER_NS
        if lasted_ns:
            come = 'come again' if self._arrived else 'come'
            self._node.get_logger().info(
                f'{self._what} {come} on {self._name}, after {lasted_ns / 1e9:.1f} s'
            )
            self._on_change()
        self._arrived = True
        if sequence_number is not None:
            self._count_lost(sequence_number)
        if self.lag.add(time.time_ns() - published_ns, now_ns):
            self._report_lag()

    def check(self, now_ns: int) -> None:
        """Notice silence.

        Args:
            now_ns: steady time.
        """
        if self._is_optional and not self._arrived:
            return
        if self._silence.has_begun(now_ns):
            # Nothing waits any more: all that came is processed.
            if self.lag.end(now_ns):
                self._report_lag()
            self._node.get_logger().warning(self._explain_silence())
            self._on_change()

    def problems(self) -> list[str]:
        """Return a line for each thing that is wrong, for people."""
        found = []
        if self._is_missing:
            found.append(self._explain_silence())
        if self.lag.is_behind:
            found.append(self._explain_lag())
        return found

    def values(self) -> dict[str, object]:
        """Return diagnostic values."""
        name = self._what.replace(' ', '_')
        silent_ns = self._silence.lasts_ns(time.monotonic_ns()) if self._is_missing else 0
        return {
            f'{name}_silent_s': round(silent_ns / 1e9, 1),
            **{f'{name}_{key}': value for key, value in self.lag.values().items()},
        }

    def _count_lost(self, number: int) -> None:
        before, self._sequence_number = self._sequence_number, number
        missing = number - before - 1
        # Numbers that go back are those of another publisher; the numbers of two are mixed.
        if before and missing > 0 and self._node.count_publishers(self._name) == 1:
            self.lost += missing

    def _explain_silence(self) -> str:
        lasts_s = self._silence.lasts_ns(time.monotonic_ns()) / 1e9
        publishers = sorted(
            {
                f'{one.node_namespace.rstrip("/")}/{one.node_name}'
                for one in self._node.get_publishers_info_by_topic(self._name)
            }
        )
        if publishers:
            reason = f'the publisher {", ".join(publishers)} is silent'
        else:
            reason = 'nobody publishes it'
        begun = f'no {self._what} for' if self._arrived else f'waiting for {self._what} since'
        return f'{begun} {lasts_s:.1f} s on {self._name}: {reason}'

    def _explain_lag(self) -> str:
        return (
            f'falling behind: {self._what} are processed at {self.lag.factor:.2f} of the rate at '
            f'which they come, {self.lag.excess_ns / 1e9:.1f} s late'
        )

    def _report_lag(self) -> None:
        if self.lag.is_behind:
            self._node.get_logger().warning(self._explain_lag())
        else:
            self._node.get_logger().info(
                f'caught up with {self._what} after {self.lag.lasted_ns / 1e9:.1f} s'
            )
        self._on_change()
