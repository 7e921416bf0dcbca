"""The demo's own subscriber: outside the pipeline's process, as a robot's behaviour would be."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from sensor_msgs.msg import Image

from microexpr_ros.msg import ActionUnitArray, AlignedEvents, MicroExpression
from microexpr_ros.perception.classifier import ActionUnitEstimate, Status
from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.conversions import to_ns
from microexpr_ros.ros.estimates import FaceEstimate, message_to_estimate
from microexpr_ros.ros.subscriptions import SubscriptionThread

Shown: TypeAlias = AlignedEvents | FaceEstimate | Image | DiagnosticArray
"""What a picture of the run shows."""


@dataclass
class Observation:
    """Everything that came out of the pipeline.

    Attributes:
        estimates: one per message on `au_predictions`, except STALE ones, in order.
        arrivals_ns: monotonic time at which each estimate arrived.
        latencies_ns: latency of each estimate as its message has it; 0 if unknown.
        expressions: messages on `micro_expressions`.
        slices: number of messages on `aligned_events`.
        events: events of all slices inside the region.
        lost_packets: number of event packets lost, as the newest slice has it.
        images: number of messages on `reconstruction/image`.
        overlays: number of messages on `overlay/image`.
        diagnostics: last values of each node, by node and name.
        model: name of the network.
    """

    estimates: list[ActionUnitEstimate] = field(default_factory=list)
    arrivals_ns: list[int] = field(default_factory=list)
    latencies_ns: list[int] = field(default_factory=list)
    expressions: list[MicroExpression] = field(default_factory=list)
    slices: int = 0
    events: int = 0
    lost_packets: int = 0
    images: int = 0
    overlays: int = 0
    diagnostics: dict[str, dict[str, str]] = field(default_factory=dict)
    model: str = ''


class Observer:
    """Subscribe to what the pipeline publishes, until it is closed.

    Args:
        show: called on a thread of its own with every slice, estimate, image and diagnosis, in
            order.

    Attributes:
        seen: everything so far.
    """

    def __init__(self, show: Callable[[Shown], None]) -> None:
        self.seen = Observation()
        self._queue: queue.SimpleQueue[Shown | None] = queue.SimpleQueue()
        self._context = Context()
        self._context.init()
        self._node = rclpy.create_node('microexpr_demo', context=self._context)
        self._error: Exception | None = None
        self._thread = SubscriptionThread()
        self._subscriptions = self._thread.subscribe(
            self._node,
            (
                (AlignedEvents, topics.ALIGNED_EVENTS, self._on_slice, qos.SLICES),
                (ActionUnitArray, topics.ACTION_UNITS, self._on_units, qos.RESULTS),
                (MicroExpression, topics.MICRO_EXPRESSIONS, self._on_expression, qos.RESULTS),
                (Image, topics.RECONSTRUCTION, self._on_image, qos.RESULTS),
                (Image, topics.OVERLAY, self._on_overlay, qos.FRAMES),
                (DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, qos.RESULTS),
            ),
            self._failed,
        )
        self._shower = threading.Thread(target=self._show_all, args=(show,), daemon=True)
        self._shower.start()

    def close(self) -> Observation:
        """Unsubscribe, finish showing and return what was seen.

        Raises:
            Exception: A message could not be taken in.
        """
        # The last messages may still be on their way.
        time.sleep(0.2)
        self._thread.unsubscribe(self._subscriptions)
        self._thread.close()
        self._node.destroy_node()
        self._context.try_shutdown()
        self._queue.put(None)
        self._shower.join()
        if self._error is not None:
            raise self._error
        return self.seen

    def _failed(self, error: Exception) -> None:
        self._error = error

    def _show_all(self, show: Callable[[Shown], None]) -> None:
        while (item := self._queue.get()) is not None:
            show(item)

    def _on_slice(self, message: AlignedEvents, _: int) -> None:
        self.seen.slices += 1
        self.seen.events += message.events
        self.seen.lost_packets = message.lost_packets
        self._queue.put(message)

    def _on_units(self, message: ActionUnitArray, _: int) -> None:
        if message.state == Status.STALE:
            return
        estimate = message_to_estimate(message)
        self.seen.estimates.append(estimate)
        self.seen.arrivals_ns.append(time.monotonic_ns())
        self.seen.latencies_ns.append(to_ns(message.latency))
        self.seen.model = message.model
        self._queue.put(FaceEstimate(estimate, message.face_id, to_ns(message.latency)))

    def _on_expression(self, message: MicroExpression, _: int) -> None:
        self.seen.expressions.append(message)

    def _on_image(self, message: Image, _: int) -> None:
        self.seen.images += 1
        self._queue.put(message)

    def _on_overlay(self, _: Image, __: int) -> None:
        self.seen.overlays += 1

    def _on_diagnostics(self, message: DiagnosticArray, _: int) -> None:
        self._queue.put(message)
        for status in message.status:
            self.seen.diagnostics[status.name] = {
                value.key: value.value for value in status.values
            }
