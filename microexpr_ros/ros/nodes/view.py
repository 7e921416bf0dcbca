"""Node `view`: a live page for people, in a browser."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from microexpr_ros.alignment.synchronizer import AlignedSlice
from microexpr_ros.facs import ExpressionKind
from microexpr_ros.loopback import is_loopback
from microexpr_ros.msg import ActionUnitArray, AlignedEvents, MicroExpression
from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.conversions import image_to_pixels, message_to_aligned, to_ns
from microexpr_ros.ros.diagnostics import HARDWARE_ID, HOST, Diagnosis, Rate
from microexpr_ros.ros.estimates import (
    FaceEstimate,
    message_to_estimate,
    message_to_expression,
)
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.process import run_node
from microexpr_ros.ros.slices import FaceSlice
from microexpr_ros.ros.subscriptions import SubscriptionSet
from microexpr_ros.view import NodeReport, ServerOptions, SnapshotComposer, ViewServer

DEFAULTS = ServerOptions()


@dataclass(frozen=True)
class ViewParameters(NodeParameters):
    """Parameters of the view."""

    host: str = parameter(
        DEFAULTS.host, 'address to serve the page at; 0.0.0.0: all, which needs a token'
    )
    port: int = parameter(
        DEFAULTS.port, 'port to serve the page at; 0: any that is free', minimum=0, maximum=65535
    )
    token: str = parameter(
        DEFAULTS.token, 'what a viewer must know, at least 8 characters; empty: nothing'
    )
    rate_hz: float = parameter(
        DEFAULTS.rate_hz, 'snapshots per second of wall time', minimum=0.1, maximum=100.0
    )


class ViewNode(MicroexprNode[ViewParameters]):
    """Serve the page; subscribe and work only while somebody watches."""

    name = 'view'
    Parameters = ViewParameters
    server: ViewServer | None = None
    """What serves the page; None until the node is active."""

    def configure(self) -> None:
        """Check who may watch."""
        given = self.parameters
        self._options = ServerOptions(given.host, given.port, given.token, given.rate_hz)

    def activate(self) -> None:
        """Serve the page."""
        self._composer, self._snapshots = SnapshotComposer(), Rate()
        self._lock = threading.Lock()
        self._subscribed: SubscriptionSet | None = None
        # Subscriptions are made on the executor's thread, as everywhere.
        changed = self.create_guard_condition(self._follow_viewers)
        self.on_teardown(lambda: self.destroy_guard_condition(changed))
        self.server = server = ViewServer(self._options, self._compose, changed.trigger)
        self.start_thread(server.run)
        self.on_teardown(server.stop)
        server.wait_until_listening()
        self.get_logger().info(f'open {server.url}')
        if not is_loopback(self._options.host):
            self.get_logger().warning(
                'the connection is not encrypted: whoever is in the network can read the token '
                'and the pictures; docs/view.md shows how to put a TLS proxy before it'
            )

    @property
    def viewers(self) -> int:
        """Number of viewers."""
        return 0 if self.server is None else self.server.viewers

    def _follow_viewers(self) -> None:
        watched = self.viewers > 0
        if watched and self._subscribed is None:
            self._composer = SnapshotComposer()
            # Whoever watches sees 25 pictures a second: a wake-up for each message is a waste.
            self._subscribed = self.subscribe(
                (AlignedEvents, topics.ALIGNED_EVENTS, self._on_message, qos.SLICES),
                (ActionUnitArray, topics.ACTION_UNITS, self._on_units, qos.RESULTS),
                (MicroExpression, topics.MICRO_EXPRESSIONS, self._on_expression, qos.RESULTS),
                (Image, topics.RECONSTRUCTION, self._on_image, qos.RESULTS),
                (Image, topics.UNCERTAINTY, self._on_uncertainty, qos.RESULTS),
                (DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, qos.RESULTS),
                objects={
                    topics.ALIGNED_EVENTS: self._on_slice,
                    topics.ACTION_UNITS: self._on_estimate,
                    topics.RECONSTRUCTION: self._on_reconstruction,
                    topics.UNCERTAINTY: self._on_interval,
                },
                polled=True,
            )
        elif not watched and self._subscribed is not None:
            self.unsubscribe(self._subscribed)
            self._subscribed = None

    def _on_message(self, message: AlignedEvents, _: int) -> None:
        self._add_slice(message_to_aligned(message), message.face_id)

    def _on_slice(self, given: FaceSlice) -> None:
        self._add_slice(given.aligned, given.face_id)

    def _add_slice(self, aligned: AlignedSlice, face_id: str) -> None:
        # What this process makes comes on the thread of subscriptions, messages on the server's.
        with self._lock:
            self._composer.add_slice(aligned, face_id)

    def _on_units(self, message: ActionUnitArray, _: int) -> None:
        estimate, latency_ns = message_to_estimate(message), to_ns(message.latency)
        self._on_estimate(FaceEstimate(estimate, message.face_id, latency_ns))

    def _on_estimate(self, given: FaceEstimate) -> None:
        with self._lock:
            self._composer.add_estimate(given.estimate, given.face_id, given.latency_ns)

    def _on_expression(self, message: MicroExpression, _: int) -> None:
        with self._lock:
            expression = message_to_expression(message)
            # Blinks and speech are short, too, and no micro-expressions.
            is_micro = message.micro and expression.kind is ExpressionKind.EXPRESSION
            self._composer.add_expression(expression, message.face_id, is_micro)

    def _on_image(self, message: Image, _: int) -> None:
        self._on_reconstruction(image_to_pixels(message))

    def _on_reconstruction(self, pixels: NDArray[np.uint8]) -> None:
        with self._lock:
            self._composer.add_reconstruction(pixels)

    def _on_uncertainty(self, message: Image, _: int) -> None:
        self._on_interval(image_to_pixels(message))

    def _on_interval(self, interval: NDArray[np.uint8]) -> None:
        with self._lock:
            self._composer.add_interval(interval)

    def _on_diagnostics(self, message: DiagnosticArray, _: int) -> None:
        for status in message.status:
            name = status.name.rpartition('/')[2]
            if status.hardware_id == HARDWARE_ID and name != HOST:
                values = {value.key: value.value for value in status.values}
                report = NodeReport(name, ord(status.level), status.message, values)
                with self._lock:
                    self._composer.add_report(report)

    def _compose(self) -> bytes | None:
        subscribed = self._subscribed
        if subscribed is None:
            return None  # The first viewer has only just come.
        # A slow page has let messages wait, and shall see the newest. If more come than can be
        # read, it still has to be drawn.
        end_s = time.monotonic() + 1 / self._options.rate_hz
        while self.subscription_thread.take(subscribed) and time.monotonic() < end_s:
            pass
        with self._lock:
            snapshot = self._composer.compose()
        if snapshot is None:
            return None
        self._snapshots.add()
        return snapshot.to_bytes()

    def diagnose(self) -> Diagnosis:
        """Return who watches, and how many snapshots they are sent."""
        return Diagnosis(
            values={
                'viewers': self.viewers,
                'snapshots_hz': round(self._snapshots.hz(), 1),
            }
        )


def main() -> None:
    """Run the node."""
    run_node(ViewNode)


if __name__ == '__main__':
    main()
