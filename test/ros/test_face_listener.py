"""Faces of another detector, which a test plays, as the synchronizer hears of them."""

import numpy as np
import pytest
from event_streams import random_events
from hri_msgs.msg import (
    FacialActionUnits,
    FacialLandmarks,
    IdsList,
    NormalizedPointOfInterest2D,
    NormalizedRegionOfInterest2D,
)
from microexpr_ros.msg import ActionUnitArray, AlignedEvents
from rclpy.qos import QoSProfile
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from microexpr_ros.alignment.face_alignment import BOX, align
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.packets import packetize
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import PLACES
from microexpr_ros.ros import hri, qos
from microexpr_ros.ros.conversions import packet_to_message, to_ns, to_time
from microexpr_ros.ros.diagnostics import WARN
from microexpr_ros.ros.nodes.au_classifier import ActionUnitClassifierNode
from microexpr_ros.ros.nodes.synchronizer import SynchronizerNode
from microexpr_ros.ros.subscriptions import SubscriptionThread

WIDTH, HEIGHT = 640, 480
FACES = '/humans/faces'
HOMOGRAPHY = [2.0, 0.0, 100.0, 0.0, 2.0, 0.0, 0.0, 0.0, 1.0]
POINTS = FacialLandmarks
DETECTED = (
    POINTS.RIGHT_PUPIL,
    POINTS.LEFT_PUPIL,
    POINTS.NOSTRIL_3,
    POINTS.MOUTH_OUTER_RIGHT,
    POINTS.MOUTH_OUTER_LEFT,
)


def make_landmarks(shares, codes=DETECTED, c=1.0, height=0, width=0):
    message = FacialLandmarks(height=height, width=width)
    for code, (x, y) in zip(codes, np.asarray(shares, float).tolist(), strict=True):
        message.landmarks[code] = NormalizedPointOfInterest2D(x=x, y=y, c=c)
    return message


class Detector:
    """Another node that finds faces, as hri_face_detect does, at the stamps that it is given."""

    def __init__(self, world, name='hri_face_detect'):
        self.node = world.plain(name)
        self._list = self.node.create_publisher(IdsList, f'{FACES}/tracked', 1)
        self._publishers = {}

    def list_faces(self, *ids):
        self._list.publish(IdsList(ids=list(ids)))

    def publish(self, face, name, message, stamp_ns, frame_id='rgb_camera'):
        topic = f'{FACES}/{face}/{name}'
        if topic not in self._publishers:
            profile = QoSProfile(depth=10)
            self._publishers[topic] = self.node.create_publisher(type(message), topic, profile)
        message.header = Header(stamp=to_time(stamp_ns), frame_id=frame_id)
        self._publishers[topic].publish(message)

    def show(self, face, region, stamp_ns, **options):
        """Publish landmarks on a sensor of 640 x 480 that stand at their places in a region."""
        shares = region.to_pixels(PLACES) / (WIDTH, HEIGHT)
        self.publish(face, 'landmarks', make_landmarks(shares), stamp_ns, **options)


class Stream:
    """A synchronizer that hears of a detector's faces, and events that go on and on."""

    def __init__(self, world, **parameters):
        self.world = world
        self.node = world.add(SynchronizerNode, face_source='hri', **parameters)
        self.node.start()
        self.slices = world.collect(AlignedEvents, 'aligned_events', qos.SLICES)
        world.until(lambda: self.slices._subscription.get_publisher_count())
        events = random_events(np.random.default_rng(0), 400_000, 40 * 10**9, HEIGHT, WIDTH)
        packets = packetize([(events, Triggers.empty())], HEIGHT, WIDTH, epoch_ns=10**18)
        self._packets = map(packet_to_message, packets)
        self._feed = world.feed_packets()

    @property
    def now_ns(self):
        return to_ns(self.slices[-1].header.stamp) if self.slices else 10**18

    @property
    def shown(self):
        """Ids of the faces in the newest slices."""
        newest = self.slices[-1].header.stamp
        return [one.face_id for one in self.slices[-4:] if one.header.stamp == newest]

    @property
    def diagnosis(self):
        """What was published last on /diagnostics; empty before the first time."""
        return self.node.diagnosis.message if self.node.diagnosis else ''

    def run_until(self, condition, detect=lambda: None):
        """Send events, and have the detector work, until something has happened."""
        for number, packet in enumerate(self._packets):
            self._feed([packet])
            if number % 5 == 0:
                detect()
            self.world.run(0.004)
            if self.slices and condition():
                return
        raise AssertionError('did not happen while there were events')

    def region(self, face):
        newest = next(one for one in reversed(self.slices) if one.face_id == face)
        return AlignedRegion(
            newest.region_x, newest.region_y, newest.region_side, newest.region_roll
        )


@pytest.fixture
def detector(world):
    return Detector(world)


def test_faces_of_another_detector_are_followed_under_its_ids(world, detector):
    stream = Stream(world, faces=2)
    anna, ben = AlignedRegion(200.0, 240.0, 160.0, 0.1), AlignedRegion(450.0, 200.0, 120.0)

    def detect():
        detector.list_faces('anna', 'ben')
        detector.show('anna', anna, stream.now_ns)
        detector.show('ben', ben, stream.now_ns)

    stream.run_until(lambda: stream.shown == ['anna', 'ben'], detect)
    for face, expected in (('anna', anna), ('ben', ben)):
        found = stream.region(face)
        np.testing.assert_allclose(found.to_pixels(PLACES), expected.to_pixels(PLACES), atol=0.01)
    newest = stream.slices[-1]
    assert len(newest.landmarks) == 10
    assert newest.landmarks_sigma == pytest.approx(hri.DETECTOR_SIGMA)
    # Who is no longer listed is gone at once, and comes again under the same id.
    detector.list_faces('ben')
    stream.run_until(
        lambda: stream.shown == ['ben'], lambda: detector.show('ben', ben, stream.now_ns)
    )
    stream.run_until(lambda: stream.shown == ['anna', 'ben'], detect)
    detector.list_faces()
    stream.run_until(lambda: stream.shown == [''])


def test_a_box_alone_gives_a_region_without_landmarks(world, detector):
    stream = Stream(world)
    box = NormalizedRegionOfInterest2D(xmin=0.4, ymin=0.25, xmax=0.6, ymax=0.5, c=0.9)

    def detect():
        detector.list_faces('anna')
        detector.publish('anna', 'roi', box, stream.now_ns)

    stream.run_until(lambda: stream.shown == ['anna'], detect)
    found = stream.region('anna')
    assert (found.x, found.y, found.roll) == pytest.approx((320, 180, 0), abs=0.01)
    assert found.side == pytest.approx(BOX * 120, abs=0.01)
    assert len(stream.slices[-1].landmarks) == 0
    # Landmarks say more than the box, which is then left out.
    region = AlignedRegion(330.0, 190.0, 150.0, 0.2)

    def detect_both():
        detect()
        detector.show('anna', region, stream.now_ns)

    stream.run_until(lambda: len(stream.slices[-1].landmarks), detect_both)
    for _ in range(3):
        count = len(stream.slices)
        stream.run_until(lambda count=count: len(stream.slices) > count + 20, detect_both)
        assert len(stream.slices[-1].landmarks) == 10


def test_the_detectors_image_is_mapped_by_the_geometry_of_the_cameras(world, detector):
    # The frames are twice as fine, and begin 100 columns to the left.
    stream = Stream(world, homography=HOMOGRAPHY)
    region = AlignedRegion(300.0, 220.0, 150.0)
    in_frame = (2 * region.to_pixels(PLACES) + (100, 0)) / (1480, 960)

    def detect():
        detector.list_faces('anna')
        message = make_landmarks(in_frame, height=960, width=1480)
        detector.publish('anna', 'landmarks', message, stream.now_ns)

    stream.run_until(lambda: stream.shown == ['anna'], detect)
    found = stream.region('anna')
    assert (found.x, found.y, found.side) == pytest.approx((300, 220, 150), abs=0.02)


def test_a_detector_that_sees_the_event_cameras_frames_needs_no_geometry(world, detector):
    stream = Stream(world, homography=HOMOGRAPHY, frame_offset='30')
    region = AlignedRegion(300.0, 220.0, 150.0)

    def detect():
        detector.list_faces('anna')
        detector.show('anna', region, stream.now_ns, frame_id=stream.slices[-1].header.frame_id)

    stream.run_until(lambda: stream.shown == [''])
    stream.run_until(lambda: stream.shown == ['anna'], detect)
    assert stream.region('anna').x == pytest.approx(300, abs=0.01)


def test_a_box_in_a_frame_of_unknown_size_is_refused_with_what_to_do(world, detector, log):
    stream = Stream(world, homography=HOMOGRAPHY)
    box = NormalizedRegionOfInterest2D(xmin=0.4, ymin=0.25, xmax=0.6, ymax=0.5)

    def detect():
        detector.list_faces('anna')
        detector.publish('anna', 'roi', box, stream.now_ns)

    stream.run_until(lambda: 'publish the frames' in log, detect)
    assert stream.node.malformed > 0


def test_stamps_ahead_of_the_events_are_set_right_by_frame_offset(world, detector):
    stream = Stream(world, frame_offset='5')
    region = AlignedRegion(300.0, 220.0, 150.0)

    def detect():
        detector.list_faces('anna')
        detector.show('anna', region, stream.now_ns + 5 * 10**9)

    stream.run_until(lambda: stream.shown == ['anna'], detect)


def test_a_detector_that_vanishes_is_reported_and_waited_for(world, detector, log):
    stream = Stream(world)
    region = AlignedRegion(300.0, 220.0, 150.0)

    def detect(by=detector, late_ns=0):
        by.list_faces('anna')
        by.show('anna', region, stream.now_ns - late_ns)

    def is_well():
        # On a busy machine something else may be wrong, too.
        return stream.diagnosis and 'detector' not in stream.diagnosis

    stream.run_until(lambda: stream.shown == ['anna'], detect)
    stream.run_until(is_well, detect)
    stream.run_until(lambda: stream.node.diagnosis.values.get('faces_listed') == 1, detect)
    # It goes on listing the face, but does not say where it is.
    stream.run_until(lambda: 'is silent: it lists anna' in stream.diagnosis)
    stream.run_until(lambda: stream.shown == [''])
    stream.run_until(
        lambda: 'behind the events, so they are not used' in stream.diagnosis,
        lambda: detect(late_ns=3 * 10**9),
    )
    world.executor.remove_node(detector.node)
    detector.node.destroy_node()
    stream.run_until(lambda: 'is gone, and is waited for' in stream.diagnosis)
    assert stream.node.diagnosis.level == WARN
    world.until(lambda: 'is gone, and is waited for' in log)
    other = Detector(world, 'another_detector')
    stream.run_until(lambda: stream.shown == ['anna'], lambda: detect(other))
    stream.run_until(is_well, lambda: detect(other))


def test_a_detector_that_is_missing_is_named(world):
    stream = Stream(world)
    stream.run_until(lambda: 'detector of faces is missing' in stream.diagnosis)
    assert stream.shown == ['']


def test_what_the_detector_publishes_is_left_to_it(world, detector):
    """The whole way: Action Units of the detector's face, and nothing that it says itself."""
    thread = SubscriptionThread()
    world.add(ActionUnitClassifierNode, thread=thread, stale_after_s=60.0).start()
    stream = Stream(world, thread=thread)
    region = AlignedRegion(300.0, 220.0, 150.0)
    facs = world.collect(FacialActionUnits, f'{FACES}/anna/facs', qos.RESULTS)
    units = world.collect(ActionUnitArray, 'au_predictions', qos.RESULTS)
    transforms = world.collect(TFMessage, '/tf', qos.RESULTS)
    lists = world.collect(IdsList, f'{FACES}/tracked', qos.RESULTS)

    def detect():
        detector.list_faces('anna')
        detector.show('anna', region, stream.now_ns)

    stream.run_until(lambda: facs and units and units[-1].face_id == 'anna', detect)
    world.run(0.1)
    publishers = {
        topic: {one.node_name for one in world.tester.get_publishers_info_by_topic(topic)}
        for topic in (f'{FACES}/anna/{name}' for name in ('landmarks', 'roi', 'facs'))
    }
    assert publishers == {
        f'{FACES}/anna/landmarks': {'hri_face_detect'},
        f'{FACES}/anna/roi': set(),
        f'{FACES}/anna/facs': {'au_classifier'},
    }
    assert {tuple(one.ids) for one in lists if one.ids} == {('anna',)}
    # The classifier says when; the detector of this test leaves the stamp of its lists out.
    assert all(to_ns(one.header.stamp) == 0 for one in lists if one.ids)
    assert transforms == []


def test_subscriptions_end_with_the_faces(world, detector):
    stream = Stream(world)
    topic = f'{FACES}/anna/landmarks'

    def until_heard(count, *ids):
        def is_so():
            detector.list_faces(*ids)
            return world.tester.count_subscribers(topic) == count

        world.until(is_so)

    until_heard(1, 'anna', 'not a name')
    world.until(lambda: stream.node.malformed)
    until_heard(0)
    until_heard(1, 'anna')
    stream.node.trigger_deactivate()
    world.until(lambda: world.tester.count_subscribers(topic) == 0)


EYES = (
    POINTS.RIGHT_EYE_OUTSIDE,
    POINTS.RIGHT_EYE_INSIDE,
    POINTS.LEFT_EYE_INSIDE,
    POINTS.LEFT_EYE_OUTSIDE,
)


def test_corners_of_the_eyes_come_before_pupils_and_the_outer_mouth_before_the_inner():
    shares = [(0.2, 0.3), (0.3, 0.3), (0.5, 0.3), (0.6, 0.3)]
    shares += [(0.29, 0.3), (0.59, 0.3), (0.4, 0.5), (0.3, 0.6), (0.5, 0.6), (0.32, 0.6)]
    codes = (*EYES, *DETECTED, POINTS.MOUTH_INNER_RIGHT)
    found = hri.message_to_landmarks(make_landmarks(shares, codes))
    expected = [(0.25, 0.3), (0.55, 0.3), (0.4, 0.5), (0.3, 0.6), (0.5, 0.6)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_tip_of_the_nose_stands_for_its_base_further_down():
    shares = [(0.2, 0.3), (0.6, 0.3), (0.4, 0.5), (0.3, 0.7), (0.5, 0.7)]
    codes = (*DETECTED[:2], POINTS.NOSE, *DETECTED[3:])
    found = hri.message_to_landmarks(make_landmarks(shares, codes))
    np.testing.assert_allclose(found[2], (0.4, 0.5 + 0.16 * 0.4), atol=1e-6)


@pytest.mark.parametrize('c', [0.0, 1.0])
def test_landmarks_that_are_incomplete_are_none(c):
    shares = [(0.2, 0.3), (0.6, 0.3), (0.4, 0.5), (0.3, 0.7), (0.5, 0.7)]
    assert hri.message_to_landmarks(make_landmarks(shares, c=c)) is not None
    message = make_landmarks(shares[:4], DETECTED[:4], c)
    assert hri.message_to_landmarks(message) is None


def test_our_own_landmarks_come_back():
    landmarks = AlignedRegion(300.0, 200.0, 160.0, 0.3).to_pixels(PLACES).astype(np.float32)
    message = hri.landmarks_to_message(landmarks, 0.03, WIDTH, HEIGHT, 10**18, 'camera')
    found = hri.message_to_landmarks(message) * (WIDTH, HEIGHT)
    np.testing.assert_allclose(found, landmarks, atol=1e-3)
    assert align(found).roll == pytest.approx(0.3, abs=1e-5)


def test_malformed_messages_are_refused():
    with pytest.raises(MicroexprError, match='malformed'):
        hri.message_to_landmarks(make_landmarks([(np.nan, 0.3)] * 5))
    for edges in ((0.5, 0.2, 0.5, 0.4), (0.1, 0.2, np.nan, 0.4)):
        box = NormalizedRegionOfInterest2D(
            **dict(zip(('xmin', 'ymin', 'xmax', 'ymax'), edges, strict=True))
        )
        with pytest.raises(MicroexprError, match='malformed'):
            hri.message_to_corners(box)
