"""Node `event_camera`: an event camera, or a recording or simulation in its place."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from event_camera_msgs.msg import EventPacket as EventPacketMessage
from sensor_msgs.msg import Image

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.cameras.camera import Batch, Camera, CameraLostError
from microexpr_ros.events.cameras.connection import Connection
from microexpr_ros.events.codecs import warm_up
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.packets import packetize
from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.cameras import EventCameraParameters, opener
from microexpr_ros.ros.conversions import packet_to_message, pixels_to_image, to_time
from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, Rate
from microexpr_ros.ros.lifecycle import MicroexprNode
from microexpr_ros.ros.process import run_node

MAX_LAG_NS = 100_000_000
"""Data that is older than this when it is read misses its slice."""


class EventCameraNode(MicroexprNode[EventCameraParameters]):
    """Publish packets and frames as they arrive, but only while somebody subscribes."""

    name = 'event_camera'
    Parameters = EventCameraParameters

    def configure(self) -> None:
        """Prepare to open the camera, which may be plugged in later."""
        self._open = opener(self.parameters)
        self._packets_out = self.advertise(EventPacketMessage, topics.CAMERA_EVENTS, qos.EVENTS)
        self._frames_out = self.advertise(Image, topics.CAMERA_IMAGE, qos.FRAMES)
        self._compiling = warm_up()

    def activate(self) -> None:
        """Start to look for the camera."""
        self._packets, self._events, self._frames = Rate(), Rate(), Rate()
        self._seq = self._lost = self._diagnosed_lost = self._lag_ns = self._restarts = 0
        self._held = 0
        self._finished = False
        self._connection: Connection | None = None
        self._batch = Batch()
        self.start_thread(self._work)

    def _work(self) -> None:
        given = self.parameters
        self._connection = connection = Connection(
            self._open,
            self.stopping,
            interval_ns=round(given.event_message_time_threshold * 1e9),
            waiting=self._warn,
        )
        for camera in connection.cameras():
            self._compiling.join()
            self.get_logger().info(
                f'{camera.model} {camera.serial}: {camera.width} x {camera.height}'
            )
            for number, batches in enumerate(connection.streams()):
                if number:
                    self._restarts += 1
                    self.get_logger().warning(
                        'the clock of the camera was set back; a new stream begins',
                        throttle_duration_sec=10.0,
                    )
                self._publish_packets(camera, map(self._take, batches))
        self._finished = not self.stopping.is_set()

    def _warn(self, error: MicroexprError) -> None:
        message = f'{error}; waiting for it'
        if isinstance(error, CameraLostError):
            self.get_logger().warning(message)
        else:
            self.get_logger().warning(message, throttle_duration_sec=10.0)

    def _take(self, batch: Batch) -> Batch:
        """Count what has arrived, and publish its frames."""
        self._batch = batch
        self._events.add(len(batch.events))
        self._lost += batch.lost
        self._held += batch.held
        self._lag_ns = max(self._lag_ns, batch.lag_ns)
        for frame in batch.frames:
            self._frames.add()
            if self._frames_out.get_subscription_count():
                stamp_ns = batch.host_ns(frame.t)
                self._frames_out.publish(
                    pixels_to_image(frame.pixels, stamp_ns, self.parameters.frame_id)
                )
        return batch

    def _publish_packets(self, camera: Camera, batches: Iterator[Batch]) -> None:
        given = self.parameters
        for first in batches:
            if not self._has_subscribers:
                continue
            # A new encoder when the first one subscribes: its packets need none from before.
            for packet in packetize(
                self._while_subscribed(chain([first], batches)),
                camera.height,
                camera.width,
                encoding=given.encoding,
                frame_id=given.frame_id,
                packet_ns=round(given.event_message_time_threshold * 1e9),
                packet_bytes=given.event_message_size_threshold,
            ):
                message = packet_to_message(packet)
                message.seq = self._seq
                message.header.stamp = to_time(self._batch.host_ns(packet.stamp_ns))
                self._packets_out.publish(message)
                self._seq += 1
                self._packets.add()

    def _while_subscribed(self, batches: Iterator[Batch]) -> Iterator[tuple[Events, Triggers]]:
        for batch in batches:
            yield batch.events, batch.triggers
            if not self._has_subscribers:
                return

    @property
    def _has_subscribers(self) -> bool:
        return bool(self._packets_out.get_subscription_count())

    def diagnose(self) -> Diagnosis:
        """Return which camera there is, what it sends, and what was lost."""
        connection = self._connection
        camera = connection.camera if connection else None
        lag_ns, self._lag_ns = self._lag_ns, 0
        is_losing, self._diagnosed_lost = self._lost > self._diagnosed_lost, self._lost
        if self._finished:
            level, message = OK, 'the recording has ended'
        elif camera is None:
            level, message = WARN, 'waiting for the camera'
        elif is_losing:
            level, message = WARN, 'the camera lost data'
        elif lag_ns > MAX_LAG_NS:
            level, message = WARN, f'the camera is {lag_ns / 1e9:.1f} s late'
        else:
            level, message = OK, 'sending' if self._has_subscribers else 'nobody subscribes'
        return Diagnosis(
            level,
            message,
            {
                'camera': f'{camera.model} {camera.serial}' if camera else 'none',
                'reconnects': max(connection.connects - 1, 0) if connection else 0,
                'events_hz': round(self._events.hz()),
                'packets_hz': round(self._packets.hz(), 1),
                'frames_hz': round(self._frames.hz(), 1),
                'events': self._events.total,
                'packets': self._packets.total,
                'lost': self._lost,
                'held': self._held,
                'clock_restarts': self._restarts,
                'lag_ms': round(lag_ns / 1e6, 1),
            },
        )


def main() -> None:
    """Run the node."""
    run_node(EventCameraNode)


if __name__ == '__main__':
    main()
