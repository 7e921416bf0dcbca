"""Node `event_camera`: an event camera, or a recording, webcam or simulation in its place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain

from event_camera_msgs.msg import EventPacket as EventPacketMessage
from sensor_msgs.msg import CompressedImage, Image

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.cameras.camera import Batch, Camera, CameraLostError
from microexpr_ros.events.cameras.connection import Connection
from microexpr_ros.events.codecs import warm_up
from microexpr_ros.events.events import Events, Frame, Triggers
from microexpr_ros.events.packets import packetize
from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.camera_info import CameraInfoPublisher
from microexpr_ros.ros.cameras import EventCameraParameters, opener
from microexpr_ros.ros.conversions import image_to_pixels, packet_to_message, to_ns, to_time
from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, Rate, Silence
from microexpr_ros.ros.images import ImagePublisher, ImageSubscription
from microexpr_ros.ros.lifecycle import MicroexprNode
from microexpr_ros.ros.process import run_node
from microexpr_ros.ros.webcam import ReceivedFrame, ReceivedFrames, StampClock

MAX_LAG_NS = 100_000_000
"""Data that is older than this when it is read misses its slice."""

HANGS_AFTER_NS = 1_000_000_000
"""A sensor that works sees noise more often than this, in the dark, too."""


class EventCameraNode(MicroexprNode[EventCameraParameters]):
    """Publish packets and frames as they arrive, but only while somebody subscribes."""

    name = 'event_camera'
    Parameters = EventCameraParameters

    def configure(self) -> None:
        """Prepare to open the camera, which may be plugged in later."""
        # A topic of images in place of a device.
        self._images = None
        if self.parameters.driver == 'webcam' and self.parameters.topic:
            self._images = ReceivedFrames()
            self._open = opener(self.parameters, self._images)
        else:
            self._open = opener(self.parameters)
        self._packets_out = self.advertise(EventPacketMessage, topics.CAMERA_EVENTS, qos.EVENTS)
        self._frames_out = ImagePublisher(
            self, topics.CAMERA_IMAGE, qos.FRAMES, self.parameters.jpeg_quality
        )
        self._infos = CameraInfoPublisher(self, self.parameters.camera_info_url, qos.EVENTS)
        self._compiling = warm_up()

    def activate(self) -> None:
        """Start to look for the camera."""
        self._packets, self._events, self._frames = Rate(), Rate(), Rate()
        self._seq = self._lost = self._diagnosed_lost = self._lag_ns = self._restarts = 0
        self._held = 0
        self._finished = False
        self._connection: Connection | None = None
        self._batch = Batch()
        self._silence = Silence(HANGS_AFTER_NS)
        if self._images is not None:
            self._subscribe_to_images(self.parameters.topic, self._images)
        self.start_thread(self._work)
        self.every(0.25, self._check_silence)

    def _subscribe_to_images(self, topic: str, images: ReceivedFrames) -> None:
        clock = StampClock()

        def take(message: Image | CompressedImage, _: int) -> None:
            stamp_ns = to_ns(message.header.stamp)
            frame = Frame(clock.time_ns(stamp_ns), image_to_pixels(message))
            images.put(ReceivedFrame(frame, stamp_ns, time.monotonic_ns()))

        ImageSubscription(self, topic, take, qos.FRAMES, inputs=[self.watch(topic, 'images')])

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
            self._silence = Silence(HANGS_AFTER_NS)
            self.get_logger().info(
                f'{camera.model} {camera.serial}: {camera.width} x {camera.height}'
            )
            if camera.limits and connection.connects == 1:
                self.get_logger().warning(camera.limits)
            for number, batches in enumerate(connection.streams()):
                if number:
                    self._restarts += 1
                    self.get_logger().warning(
                        'the clock of the camera was set back; a new stream begins',
                        throttle_duration_sec=10.0,
                    )
                self._publish_packets(camera, map(self._take, batches))
        self._finished = not self.stopping.is_set()

    def _check_silence(self) -> None:
        connection = self._connection
        if connection is None or connection.camera is None:
            return
        if self._silence.has_begun(time.monotonic_ns()):
            self.get_logger().warning('the camera is open and sends nothing')
            self.publish_diagnosis_soon()

    def _warn(self, error: MicroexprError) -> None:
        message = f'{error}; waiting for it'
        if isinstance(error, CameraLostError):
            self.get_logger().warning(message)
        else:
            self.get_logger().warning(message, throttle_duration_sec=10.0)

    def _take(self, batch: Batch) -> Batch:
        """Count what has arrived, and publish its frames."""
        self._batch = batch
        if batch.newest_ns is not None:
            silent_ns = self._silence.end(time.monotonic_ns())
            if silent_ns:
                self.get_logger().info(f'the camera sends again, after {silent_ns / 1e9:.1f} s')
                self.publish_diagnosis_soon()
        self._events.add(len(batch.events))
        self._lost += batch.lost
        self._held += batch.held
        self._lag_ns = max(self._lag_ns, batch.lag_ns)
        for frame in batch.frames:
            self._frames.add()
            stamp_ns, frame_id = batch.host_ns(frame.t), self.parameters.frame_id
            self._frames_out.publish(frame.pixels, stamp_ns, frame_id)
            height, width = frame.pixels.shape[:2]
            self._infos.publish(stamp_ns, frame_id, (height, width))
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
                stamp_ns = self._batch.host_ns(packet.stamp_ns)
                message.header.stamp = to_time(stamp_ns)
                self._packets_out.publish(message)
                self._infos.publish(stamp_ns, given.frame_id, (packet.height, packet.width))
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
        elif self._silence.is_silent:
            silent_s = self._silence.lasts_ns(time.monotonic_ns()) / 1e9
            level, message = WARN, f'the camera is open and has sent nothing for {silent_s:.1f} s'
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
        ).with_problem(self._infos.problem)


def main() -> None:
    """Run the node."""
    run_node(EventCameraNode)


if __name__ == '__main__':
    main()
