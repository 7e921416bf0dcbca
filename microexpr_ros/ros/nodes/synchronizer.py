"""Node `synchronizer`: event packets and frames in, aligned slices of the face region out."""

from __future__ import annotations

from dataclasses import dataclass

from event_camera_msgs.msg import EventPacket
from sensor_msgs.msg import Image

from microexpr_ros.alignment.synchronizer import AlignedSlice, Synchronizer, SynchronizerOptions
from microexpr_ros.bags.event_packet import SequenceGaps
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.codecs import Decoder, decoder, warm_up
from microexpr_ros.events.events import Frame
from microexpr_ros.events.region import Region
from microexpr_ros.msg import AlignedEvents
from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.conversions import aligned_to_message, image_to_pixels, to_ns
from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, Rate
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.process import run_node

DEFAULTS = SynchronizerOptions()


@dataclass(frozen=True)
class SynchronizerParameters(NodeParameters):
    """Parameters of the synchronizer."""

    slice_ms: float = parameter(
        DEFAULTS.slice_ns / 1e6,
        'length of a slice in ms; the networks are trained for one length',
        minimum=1.0,
        maximum=100.0,
    )
    region: tuple[int, ...] = parameter(
        (), 'fixed face region [x, y, width, height] in pixels; empty: follow', element=int
    )
    homography: tuple[float, ...] = parameter(
        (), '3x3 by rows, event pixels to frame pixels; empty: same field of view', element=float
    )
    patience_ms: float = parameter(
        DEFAULTS.patience_ns / 1e6,
        'how long to wait for late packets before a slice is published, in ms',
        minimum=0.0,
        maximum=1000.0,
    )


class SynchronizerNode(MicroexprNode[SynchronizerParameters]):
    """Decode, cut and align."""

    name = 'synchronizer'
    Parameters = SynchronizerParameters

    def configure(self) -> None:
        """Make the publisher and compile the kernels, so that no callback has to."""
        given = self.parameters
        if len(given.region) not in (0, 4):
            raise MicroexprError(
                f'region has {len(given.region)} numbers; give [x, y, width, height] or none'
            )
        if given.region and min(given.region[2:]) < 1:
            raise MicroexprError(f'region {list(given.region)} has no pixels')
        self._options = SynchronizerOptions(
            slice_ns=round(given.slice_ms * 1e6),
            region=Region(*given.region) if given.region else None,
            homography=given.homography,
            patience_ns=round(given.patience_ms * 1e6),
        )
        self._publisher = self.advertise(AlignedEvents, topics.ALIGNED_EVENTS, qos.SLICES)
        self._compiling = warm_up()

    def activate(self) -> None:
        """Begin a new stream."""
        self._compiling.join()
        self._synchronizer: Synchronizer | None = None
        self._decoder: Decoder | None = None
        self._stream: tuple[str, int, int] | None = None
        self._frame_id = ''
        self._gaps, self._lost, self._told = SequenceGaps(), 0, 0
        self._packets, self._events, self._slices, self._frames = (Rate() for _ in range(4))
        self._packets_in = self.watch(topics.EVENTS, 'event packets')
        self._frames_in = self.watch(topics.RGB_IMAGE, 'frames', is_optional=True)
        self.subscribe(
            (EventPacket, topics.EVENTS, self._on_packet, qos.EVENTS),
            (Image, topics.RGB_IMAGE, self._on_image, qos.FRAMES),
            inputs=(self._packets_in, self._frames_in),
            on_silence=self._on_silence,
            silence_ns=max(self._options.patience_ns, 1_000_000),
        )

    def _on_silence(self) -> None:
        # The packets carry the time; only while none arrive, the node's clock is used. A dead
        # stream makes no slices, so that nobody takes it for a still scene.
        if self._synchronizer is not None and not self._packets_in.is_silent:
            for aligned in self._synchronizer.advance(self.get_clock().now().nanoseconds):
                self._publish(aligned)

    def _on_image(self, message: Image, _: int) -> None:
        if self._synchronizer is not None:
            frame = Frame(to_ns(message.header.stamp), image_to_pixels(message))
            self._synchronizer.push_frame(frame)
            self._frames.add()

    def _on_packet(self, message: EventPacket, published_ns: int) -> None:
        stream = (message.encoding, message.height, message.width)
        if stream != self._stream:
            self._open(stream, message.header.frame_id)
        self._lost += self._gaps.add(message.seq)
        assert self._decoder is not None
        assert self._synchronizer is not None
        events, _ = self._decoder.decode(message.events, message.time_base)
        self._packets.add()
        self._events.add(len(events))
        if len(events):
            first_ns, stamp_ns = int(events.t[0]), to_ns(message.header.stamp)
            for aligned in self._synchronizer.push(events, first_ns, stamp_ns, published_ns):
                self._publish(aligned)
        else:
            # A still scene: packets without events carry no time.
            self._on_silence()

    def _open(self, stream: tuple[str, int, int], frame_id: str) -> None:
        """Begin with a camera; another encoding or size is another camera."""
        new_decoder = decoder(*stream)
        new_synchronizer = Synchronizer(stream[1], stream[2], self._options)
        # Only now, so that a malformed packet leaves the stream that it interrupts as it was.
        self._decoder, self._synchronizer = new_decoder, new_synchronizer
        self._stream, self._frame_id, self._gaps = stream, frame_id, SequenceGaps()
        self.get_logger().info(f'events: {stream[0]} {stream[2]} x {stream[1]}')

    def _publish(self, aligned: AlignedSlice) -> None:
        self._slices.add()
        self._publisher.publish(aligned_to_message(aligned, self._frame_id, self._lost))

    def diagnose(self) -> Diagnosis:
        """Return rates, losses and how well the sensor's clock is known."""
        if self._synchronizer is None or self._decoder is None:
            return Diagnosis(WARN, 'waiting for event packets')
        clock = self._synchronizer.clock.estimate
        losses = {
            'lost_packets': self._lost,
            'lost_frames': self._frames_in.lost,
            'late_events': self._synchronizer.cutter.late,
            'events_off_sensor': self._decoder.dropped,
            'words_skipped': self._decoder.skipped,
            'clock_jumps': self._synchronizer.clock_jumps,
            'restarts': self._synchronizer.cutter.restarts,
        }
        fresh = sum(losses.values()) > self._told
        self._told = sum(losses.values())
        return Diagnosis(
            WARN if fresh else OK,
            'something was lost or skipped' if fresh else 'running',
            {
                'packets_hz': round(self._packets.hz(), 1),
                'events_hz': round(self._events.hz()),
                'slices_hz': round(self._slices.hz(), 1),
                'frames_hz': round(self._frames.hz(), 1),
                'packets': self._packets.total,
                'events': self._events.total,
                'slices': self._slices.total,
                **losses,
                'frames_skipped': self._synchronizer.frames.skipped,
                'clock_offset_s': clock.offset_ns / 1e9 if clock else float('nan'),
                'clock_jitter_ms': clock.jitter_ns / 1e6 if clock else float('nan'),
            },
        )


def main() -> None:
    """Run the node."""
    run_node(SynchronizerNode)


if __name__ == '__main__':
    main()
