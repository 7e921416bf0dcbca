"""Node `synchronizer`: event packets and frames in, aligned slices of the face region out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from event_camera_msgs.msg import EventPacket as EventPacketMessage
from hri_msgs.msg import FacialLandmarks, NormalizedRegionOfInterest2D
from rclpy.clock import ROSClock
from rclpy.lifecycle import LifecyclePublisher
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from microexpr_ros.alignment.camera_geometry import CameraGeometry, PlaneGeometry, read_geometry
from microexpr_ros.alignment.deferral import LONGEST_NS, Deferral
from microexpr_ros.alignment.faces import MAX_FACES
from microexpr_ros.alignment.faces_in_view import FacesInView
from microexpr_ros.alignment.head_pose import Calibration, estimate_pose
from microexpr_ros.alignment.problems import HostOffset, find_problems
from microexpr_ros.alignment.synchronizer import AlignedSlice, Synchronizer, SynchronizerOptions
from microexpr_ros.alignment.thinning import Thinning, ThinningOptions
from microexpr_ros.bags.event_packet import SequenceGaps
from microexpr_ros.bags.serialization import deserialize_packet
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.codecs import Decoder, decoder, warm_up
from microexpr_ros.events.codecs.codec import first_time_ns
from microexpr_ros.events.events import Frame
from microexpr_ros.events.region import Region
from microexpr_ros.ros import hri, qos, topics
from microexpr_ros.ros.conversions import face_id, image_to_pixels, to_ns
from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, ProblemLog, Rate
from microexpr_ros.ros.face_listener import FaceListener
from microexpr_ros.ros.face_sources import FACE_SOURCES, HRI, load_face_source
from microexpr_ros.ros.images import ImageSubscription
from microexpr_ros.ros.inputs import SILENT_AFTER_NS
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters
from microexpr_ros.ros.output import PublishedPacket
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.process import run_node
from microexpr_ros.ros.slices import SliceOutput

DEFAULTS = SynchronizerOptions()
DEFAULT_THINNING = ThinningOptions()

NAN = float('nan')


CHECK_NS = 200_000_000
"""How often stamps are compared with this machine's clock."""

MIXED_NS = 2_000_000_000
"""How long a second camera on the topic is reported after it was last noticed."""

OVERTAKEN = 10
"""A packet whose number is at most this much smaller was overtaken on its way."""


@dataclass(frozen=True)
class SynchronizerParameters(NodeParameters):
    """Parameters of the synchronizer."""

    slice_ms: float = parameter(
        DEFAULTS.slice_ns / 1e6,
        'length of a slice in ms; the networks are trained for one length',
        minimum=1.0,
        maximum=100.0,
    )
    face_source: str = parameter(
        'auto',
        'where faces are known from; rgb: MediaPipe finds them in the frames, and while no frames '
        'come or they show no face, as events; events: a network finds and follows them in the '
        'events; auto: rgb where MediaPipe is installed, else events; hri: another detector lists '
        'them on /humans/faces/tracked and says by roi or landmarks where they are, on which this '
        'node then publishes nothing; fixed: the parameter region, which comes before any other '
        'source where it is given',
        choices=FACE_SOURCES,
    )
    faces: int = parameter(
        DEFAULTS.faces,
        'how many faces are followed at most; each has slices, Action Units and topics of its '
        'own, and costs as much as the first',
        minimum=1,
        maximum=MAX_FACES,
    )
    region: tuple[int, ...] = parameter(
        (),
        'fixed face region [x, y, width, height] in pixels, a square with the eyes a third of it '
        'below its top; empty: as face_source says',
        element=int,
    )
    homography: tuple[float, ...] = parameter(
        (),
        '3x3 by rows, event pixels to frame pixels; empty: as geometry says, else the same field '
        'of view',
        element=float,
    )
    geometry: str = parameter(
        '',
        'YAML file of `microexpr calibrate cameras`: which pixels of both cameras show the same; '
        'empty: as homography says',
    )
    frame_offset: str = parameter(
        '0',
        'how far the stamps of frames are ahead of those of the events, in s; auto: measured, '
        'where it is constant',
    )
    patience_ms: float = parameter(
        DEFAULTS.patience_ns / 1e6,
        'shortest wait of a silent slice for late packets, in ms; in a steady flow it is 400',
        minimum=0.0,
        maximum=1000.0,
    )
    thinning_ms: float = parameter(
        DEFAULT_THINNING.limit_ns / 1e6,
        'overload: packets that are processed this late, in ms, keep hardly any of their events, '
        'those half as late all of them; 0: events are never thinned',
        minimum=0.0,
        maximum=1000.0,
    )
    hri: bool = parameter(True, hri.DESCRIPTION)


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
        geometry = read_cameras(given.geometry, given.homography)
        self._options = SynchronizerOptions(
            frame_offset_ns=parse_frame_offset(given.frame_offset),
            slice_ns=round(given.slice_ms * 1e6),
            region=Region(*given.region) if given.region else None,
            geometry=geometry,
            patience_ns=round(given.patience_ms * 1e6),
            faces=given.faces,
        )
        self._faces_problem = ''
        self._face_source = load_face_source(
            given.face_source,
            self._options.region,
            geometry,
            self.get_logger().warning,
            self._on_face_source_failure,
        )
        self.on_teardown(self._face_source.close)
        self.get_logger().info(f'faces: {self._face_source.description}')
        self._output = SliceOutput(self)
        self._transforms: LifecyclePublisher | None = None
        # Another detector says itself where its faces are.
        self._publishes_hri = given.hri and self._face_source.name != HRI
        if self._publishes_hri:
            self._transforms = self.advertise(TFMessage, topics.TF, qos.RESULTS)
        self._compiling = warm_up()

    def activate(self) -> None:
        """Begin a new stream."""
        self._compiling.join()
        self._synchronizer: Synchronizer | None = None
        self._decoder: Decoder | None = None
        self._stream: tuple[str, int, int] | None = None
        self._frame_id = ''
        self._heard_ns, self._steps_back = 0, deque[int](maxlen=3)
        self._second, self._second_ns, self._refused = '', 0, 0
        self._gaps, self._lost, self._diagnosed, self._seq = SequenceGaps(), 0, 0, 0
        self._thinning = Thinning(ThinningOptions(round(self.parameters.thinning_ms * 1e6)))
        self._deferral = Deferral(self._choose_longest_wait_ns())
        self._diagnosed_events = (0, 0)
        self._awaits_frame = True
        self._host_offset = HostOffset()
        self._problems = ProblemLog(self.get_logger())
        self._checked_ns = 0
        kinds = {hri.ROI: NormalizedRegionOfInterest2D, hri.LANDMARKS: FacialLandmarks}
        self._face_topics = hri.FaceTopics(self, kinds if self._publishes_hri else {})
        self._in_view = FacesInView('')
        self._calibration: tuple[tuple[int, int], Calibration | None] | None = None
        self._packets, self._events, self._slices, self._frames = (Rate() for _ in range(4))
        self.on_teardown(self._output.end)
        self._packets_in = self.watch(topics.EVENTS, 'event packets')
        self._frames_in = self.watch(topics.RGB_IMAGE, 'frames', is_optional=True)
        self._subscription = self.subscribe(
            (EventPacketMessage, topics.EVENTS, self._on_packet, qos.EVENTS),
            inputs=[self._packets_in],
            objects={topics.EVENTS: self._on_published_packet},
            # rclpy takes longer to make a message of a packet than the codec to decode it.
            raw=True,
            on_silence=self._on_silence,
            silence_ns=max(self._options.patience_ns, 1_000_000),
        )
        if self._publishes_hri:
            self.subscribe(
                (CameraInfo, topics.EVENT_CAMERA_INFO, self._on_camera_info, qos.FRAMES)
            )
        self._listener: FaceListener | None = None
        if self._face_source.name == HRI:
            self._listener = FaceListener(self, self._options.geometry, self._find_frame_offset)
        ImageSubscription(
            self, topics.RGB_IMAGE, self._on_image, qos.FRAMES, inputs=[self._frames_in]
        )

    def _on_silence(self) -> None:
        # The packets carry the time; only while none arrive, the node's clock is used. A dead
        # stream makes no slices, so that nobody takes it for a still scene.
        if self._synchronizer is not None and not self._packets_in.is_silent:
            for aligned in self._synchronizer.advance(self._now_ns()):
                self._publish(aligned)

    def _now_ns(self) -> int:
        """Return the time by which silence is measured: it rests while a recording is paused."""
        clock = self.get_clock()
        if isinstance(clock, ROSClock) and clock.ros_time_is_active:
            return clock.now().nanoseconds
        return time.monotonic_ns()

    def _on_image(self, message: Image | CompressedImage, _: int) -> None:
        if self._synchronizer is not None:
            if self._awaits_frame:
                self._awaits_frame = False
                is_one = self._is_one_device(message.header.frame_id)
                self._synchronizer.frames.is_one_device = is_one
            frame = Frame(to_ns(message.header.stamp), image_to_pixels(message))
            if self._listener is not None:
                rows, columns = frame.pixels.shape[:2]
                self._listener.frame_size = rows, columns
            self._synchronizer.push_frame(frame)
            self._frames.add()

    def _on_face_source_failure(self, error: Exception) -> None:
        if isinstance(error, MicroexprError):
            self._faces_problem = f'faces are not looked for in the frames: {error}'
        elif self.context.ok():
            self.fail(error)
            self.context.try_shutdown()

    def _find_frame_offset(self) -> int:
        """Return how far the stamps of frames are ahead of those of the events, in ns."""
        return self._synchronizer.frames.stamps.offset_ns if self._synchronizer else 0

    def _on_camera_info(self, message: CameraInfo, _: int) -> None:
        size = message.height, message.width
        self._calibration = size, hri.message_to_calibration(message)

    def _is_one_device(self, frame_id: str) -> bool:
        """Return whether one camera takes frames and events: one node publishes both as one."""
        publishers = [
            {
                (info.node_namespace, info.node_name)
                for info in self.get_publishers_info_by_topic(topic)
            }
            for topic in (topics.EVENTS, topics.RGB_IMAGE)
        ]
        return frame_id == self._frame_id and bool(publishers[0] & publishers[1])

    def _on_published_packet(self, packet: PublishedPacket) -> None:
        self._on_packet(packet.cdr, packet.published_ns)

    def _on_packet(self, cdr: bytes, published_ns: int, _: int = 0) -> None:
        packet = deserialize_packet(cdr, self._packets_in.topic)
        stream = (packet.encoding, packet.height, packet.width)
        if packet.is_bigendian:
            raise MicroexprError(
                f'packets on {self._packets_in.topic} are of a big-endian computer, which are not '
                'read: use a driver that writes little-endian events'
            )
        steady_ns = time.monotonic_ns()
        if stream != self._stream:
            if steady_ns - self._heard_ns < SILENT_AFTER_NS:
                self._refuse(stream, packet.frame_id, steady_ns)
                return
            self._open(stream, packet.frame_id)
        elif packet.seq < self._seq - OVERTAKEN:
            # A driver or a recording that starts again; its time must not seem to wrap.
            self._decoder = decoder(*stream)
            self._steps_back.append(steady_ns)
        self._heard_ns = steady_ns
        self._seq = packet.seq
        self._lost += self._gaps.add(packet.seq)
        assert self._decoder is not None
        assert self._synchronizer is not None
        events, triggers = self._thinning.decode(
            self._decoder,
            packet.events,
            packet.time_base,
            self._packets_in.lag.excess_ns,
            time.monotonic_ns(),
        )
        self._packets.add()
        self._events.add(len(events))
        first_ns, stamp_ns = first_time_ns(events.t), packet.stamp_ns
        now_ns = self._now_ns()
        if not 0 <= now_ns - self._checked_ns < CHECK_NS:
            self._checked_ns = now_ns
            # What waits because this machine is too slow is not behind by its clock.
            waited_ns = self._packets_in.lag.excess_ns
            self._host_offset.add(stamp_ns, self.get_clock().now().nanoseconds - waited_ns)
        slices = self._slices.total
        for aligned in self._synchronizer.push(
            events, first_ns, stamp_ns, published_ns, now_ns, triggers
        ):
            self._publish(aligned)
        if len(events):
            self._defer(int(events.t[-1]), steady_ns, ended=self._slices.total > slices)

    def _defer(self, newest_ns: int, began_ns: int, *, ended: bool) -> None:
        """Let the packets that come next wait, if a slice has ended.

        Args:
            newest_ns: sensor time of the newest event of a packet.
            began_ns: steady time at which it was taken.
            ended: whether it ended a slice.
        """
        assert self._synchronizer is not None
        now_ns, due_ns = time.monotonic_ns(), began_ns - self._packets_in.lag.excess_ns
        end_ns = self._synchronizer.cutter.end_ns
        if not ended or end_ns is None:
            self._deferral.hear(newest_ns, due_ns, now_ns - began_ns)
            return
        wait_ns = self._deferral.find_ns(newest_ns, due_ns, end_ns, now_ns)
        if wait_ns:
            self._subscription.defer(wait_ns)

    def _choose_longest_wait_ns(self) -> int:
        """Return how long packets may wait: so much less than where thinning begins."""
        limit_ns = round(self.parameters.thinning_ms * 1e6)
        return min(LONGEST_NS, limit_ns // 8) if limit_ns else LONGEST_NS

    def _refuse(self, stream: tuple[str, int, int], frame_id: str, now_ns: int) -> None:
        """Leave out a packet of another camera, while the first one sends."""
        # Raises if it is malformed, which is another matter.
        decoder(*stream)
        self._second_ns, self._refused = now_ns, self._refused + 1
        self._second = f'{stream[0]} {stream[2]} x {stream[1]} {frame_id!r}'

    def _find_second_camera(self) -> dict[str, str]:
        """Return a line if packets of two cameras come on the topic."""
        now_ns, resolved = time.monotonic_ns(), self.resolve_topic_name(topics.EVENTS)
        publishers = self.get_publishers_info_by_topic(topics.EVENTS)
        names = sorted(f'{one.node_namespace.rstrip("/")}/{one.node_name}' for one in publishers)
        remedy = f'remap one of the publishers ({", ".join(names)}) to a topic of its own'
        if self._refused and now_ns - self._second_ns < MIXED_NS:
            return {
                'SECOND': f'packets of a second camera, {self._second}, come on {resolved}, and '
                f'are left out: {remedy}'
            }
        steps = self._steps_back
        is_mixed = len(steps) == steps.maxlen and now_ns - steps[0] < MIXED_NS
        if is_mixed and len(publishers) > 1:
            return {'SECOND': f'packets of two cameras alternate on {resolved}: {remedy}'}
        return {}

    def _open(self, stream: tuple[str, int, int], frame_id: str) -> None:
        """Begin with a camera; another encoding or size is another camera."""
        new_decoder = decoder(*stream)
        make_tracker = self._face_source.make_tracker
        if self._listener is not None:
            make_tracker = partial(self._listener.make_tracker, frame_id)
        new_synchronizer = Synchronizer(stream[1], stream[2], self._options, make_tracker)
        # Only now, so that a malformed packet leaves the stream that it interrupts as it was.
        self._decoder, self._synchronizer = new_decoder, new_synchronizer
        self._deferral.restart()
        self._awaits_frame = True
        self._stream, self._frame_id, self._gaps = stream, frame_id, SequenceGaps()
        self.get_logger().info(f'events: {stream[0]} {stream[2]} x {stream[1]}')

    def _publish(self, aligned: AlignedSlice) -> None:
        self._slices.add()
        late_ns = self._packets_in.lag.excess_ns
        self._output.send(aligned, self._frame_id, self._lost, late_ns)
        self._in_view.take(face_id(aligned), aligned.slice)
        self._face_topics.follow(self._in_view.faces, aligned.slice.end_ns, self._frame_id)
        if self._stream is not None:
            self._publish_face(aligned, *self._stream[1:])

    def _publish_face(self, aligned: AlignedSlice, height: int, width: int) -> None:
        """Publish where the face is, on a sensor of so many rows and columns."""
        face, source = face_id(aligned), (aligned.slice.end_ns, self._frame_id)
        region, landmarks = aligned.slice.region, aligned.landmarks
        if region is not None:
            self._face_topics.publish(
                face,
                hri.ROI,
                lambda: hri.region_to_roi(region.bounds(), width, height, *source),
            )
        if landmarks is None:
            return
        points = partial(
            hri.landmarks_to_message, landmarks, aligned.sigma, width, height, *source
        )
        self._face_topics.publish(face, hri.LANDMARKS, points)
        size, calibration = self._calibration or ((0, 0), None)
        if calibration is None or size != (height, width) or self._transforms is None:
            return
        if self._transforms.get_subscription_count():
            pose = estimate_pose(landmarks, calibration)
            if pose is not None:
                transform = hri.pose_to_transform(pose, face, *source)
                self._transforms.publish(TFMessage(transforms=[transform]))

    def diagnose(self) -> Diagnosis:
        """Return rates, losses and how well the clocks are tied."""
        synchronizer, decoder_ = self._synchronizer, self._decoder
        if synchronizer is None or decoder_ is None:
            return Diagnosis(WARN, 'waiting for event packets')
        problems = find_problems(
            synchronizer,
            self._host_offset.away_ns,
            self.resolve_topic_name(topics.EVENTS),
            self.resolve_topic_name(topics.RGB_IMAGE),
        )
        problems |= self._find_second_camera()
        if self._faces_problem:
            problems['FACES'] = self._faces_problem
        if self._listener is not None:
            problems |= self._listener.find_problems(synchronizer.line.last_ns)
        share = self._share_thinned()
        if share:
            problems['OVERLOAD'] = (
                f'overload: {share:.0%} of the events are thinned out, evenly, so that slices '
                'stay in time: this machine cannot take them all; let the camera send fewer '
                '(biases, roi), or give this process a core of its own'
            )
        self._problems.update(problems)
        losses = {
            'lost_packets': self._lost,
            'lost_frames': self._frames_in.lost,
            'late_events': synchronizer.cutter.late,
            'events_off_sensor': decoder_.dropped,
            'words_skipped': decoder_.skipped,
            'clock_jumps': synchronizer.clock_jumps,
            'restarts': synchronizer.cutter.restarts,
            'frames_refused': synchronizer.frames.stamps.refused,
            'packets_refused': self._refused,
        }
        fresh = sum(losses.values()) > self._diagnosed
        self._diagnosed = sum(losses.values())
        if fresh:
            problems = {'LOST': 'something was lost or skipped', **problems}
        return Diagnosis(
            WARN if problems else OK,
            '; '.join(problems.values()) or 'running',
            {
                'packets_hz': round(self._packets.hz(), 1),
                'events_hz': round(self._events.hz()),
                'slices_hz': round(self._slices.hz(), 1),
                'frames_hz': round(self._frames.hz(), 1),
                'packets': self._packets.total,
                'events': self._events.total,
                'events_thinned': self._thinning.thinned,
                'thinned_percent': round(100 * share, 1),
                'slices': self._slices.total,
                **losses,
                'frames_skipped': synchronizer.frames.skipped,
                **self._clock_values(synchronizer),
                **(self._listener.values() if self._listener is not None else {}),
            },
        )

    def _share_thinned(self) -> float:
        """Return the share of events that were thinned out since the last diagnosis."""
        counted = self._thinning.kept, self._thinning.thinned
        kept, thinned = np.subtract(counted, self._diagnosed_events)
        self._diagnosed_events = counted
        return float(thinned / max(kept + thinned, 1))

    def _clock_values(self, synchronizer: Synchronizer) -> dict[str, object]:
        """Return how the clocks are tied, as diagnostic values."""
        clock, frames = synchronizer.clock.estimate, synchronizer.frames
        error_ns = frames.error_ns(synchronizer.clock, synchronizer.line)
        return {
            'clock_offset_s': clock.offset_ns / 1e9 if clock else NAN,
            'clock_jitter_ms': clock.jitter_ns / 1e6 if clock else NAN,
            'clock_sigma_ms': clock.sigma_ns / 1e6 if clock else NAN,
            'clock_rate': round(clock.rate, 6) if clock else NAN,
            'host_offset_s': self._host_offset.away_ns / 1e9,
            'frame_distance_s': frames.stamps.distance_ns / 1e9,
            'trigger_period_ms': (frames.strobe.period_ns or NAN) / 1e6,
            'sync_source': frames.source.name,
            'sync_error_ms': round(error_ns / 1e6, 4),
        }


def read_cameras(file: str, homography: Sequence[float]) -> CameraGeometry | None:
    """Return the geometry that the parameters give; None: both cameras see the same field of view.

    Raises:
        MicroexprError: it is given twice, is none, or its file cannot be read.
    """
    if file and homography:
        raise MicroexprError('geometry and homography both say how the cameras lie: give one')
    if file:
        return read_geometry(Path(file))
    return PlaneGeometry.from_numbers(homography) if homography else None


def parse_frame_offset(text: str) -> int | None:
    """Return the parameter frame_offset in ns, None for auto.

    Raises:
        MicroexprError: it is neither a number nor auto.
    """
    if text == 'auto':
        return None
    try:
        return round(float(text) * 1e9)
    except (ValueError, OverflowError):
        raise MicroexprError(
            f'frame_offset is {text!r}; give a number of seconds, or auto'
        ) from None


def main() -> None:
    """Run the node."""
    run_node(SynchronizerNode)


if __name__ == '__main__':
    main()
