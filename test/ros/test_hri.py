"""What libraries of ROS4HRI get from our nodes: libhri's and pyhri's subscriptions, imitated."""

import numpy as np
import pytest
from event_streams import random_events
from hri_msgs.msg import (
    FacialActionUnits,
    FacialLandmarks,
    IdsList,
    NormalizedRegionOfInterest2D,
)
from microexpr_ros.msg import AlignedEvents
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_system_default,
)
from scripted_faces import ScriptedTracker, make_face
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from microexpr_ros.alignment.head_pose import HeadPose
from microexpr_ros.alignment.slices import Slice
from microexpr_ros.alignment.synchronizer import AlignedSlice, SyncSource
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.packets import packetize
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.facs import CODES
from microexpr_ros.ros import hri, qos
from microexpr_ros.ros.conversions import aligned_to_message, packet_to_message, to_ns
from microexpr_ros.ros.face_sources import FaceSource
from microexpr_ros.ros.nodes import synchronizer as synchronizer_module
from microexpr_ros.ros.nodes.au_classifier import ActionUnitClassifierNode
from microexpr_ros.ros.nodes.reconstructor import ReconstructorNode
from microexpr_ros.ros.nodes.synchronizer import SynchronizerNode

STEP_NS = 10_000_000
FACES = '/humans/faces'
RELIABLE = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=10,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
)
STRICT = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


class Listener:
    """As libhri's HRIListener: subscribes to a face when it is listed, forgets it afterwards.

    libhri 2.3 subscribes with rclcpp's SystemDefaultsQoS; what a face had is gone with it.
    """

    KINDS = {  # noqa: RUF012
        'roi': NormalizedRegionOfInterest2D,
        'cropped': Image,
        'aligned': Image,
        'facs': FacialActionUnits,
    }

    def __init__(self, node, profile):
        self.node, self.profile = node, profile
        self.lists, self.faces, self._subscriptions = [], {}, {}
        node.create_subscription(IdsList, f'{FACES}/tracked', self._on_list, profile)

    def _on_list(self, message):
        self.lists.append(message)
        for face in set(message.ids) - set(self.faces):
            heard = self.faces[face] = {name: [] for name in self.KINDS}
            self._subscriptions[face] = [
                self.node.create_subscription(
                    kind, f'{FACES}/{face}/{name}', heard[name].append, self.profile
                )
                for name, kind in self.KINDS.items()
            ]
        for face in set(self.faces) - set(message.ids):
            del self.faces[face]
            for subscription in self._subscriptions.pop(face):
                self.node.destroy_subscription(subscription)


class Slices:
    """Publish slices with events of a face, and a frame in each tenth of them."""

    def __init__(self, world):
        self.world, self._end_ns = world, 0
        self._publisher = world.tester.create_publisher(
            AlignedEvents, 'aligned_events', qos.SLICES
        )
        self._random = np.random.default_rng(0)

    def wait(self, nodes=1):
        self.world.until(lambda: self._publisher.get_subscription_count() == nodes)

    def show(self, slices, face=0, others=()):
        for number in range(slices):
            self._end_ns += STEP_NS
            for one in (face, *others):
                self._publish(one, number % 10 == 0)
            self.world.run(0.02)

    def _publish(self, face, has_frame):
        counts = self._random.poisson(0.1, (2, 128, 128)).astype(np.uint8)
        region = None if face is None else AlignedRegion(42, 52, 64)
        frame = np.full((64, 64), 7, np.uint8) if region and has_frame else None
        slice_ = Slice(
            self._end_ns, STEP_NS, region, counts, int(counts.sum()), frame, self._end_ns - 5
        )
        aligned = AlignedSlice(slice_, -1 if face is None else face, SyncSource.NONE, 0.0, 0)
        self._publisher.publish(aligned_to_message(aligned, 'event_camera', 0))

    def show_until(self, condition, **kwargs):
        for _ in range(100):
            self.show(5, **kwargs)
            if condition():
                return
        raise AssertionError('did not happen in time')


@pytest.fixture
def slices(world):
    return Slices(world)


@pytest.mark.parametrize(
    'profile', [qos_profile_system_default, RELIABLE], ids=['system_default', 'reliable']
)
def test_a_listener_hears_of_the_face_and_its_action_units(world, slices, profile):
    listener = Listener(world.plain('hri'), profile)
    world.add(ActionUnitClassifierNode, stale_after_s=0.4).start()
    slices.wait()
    slices.show_until(lambda: listener.faces.get('face_0', {}).get('facs'))
    slices.show_until(lambda: listener.faces['face_0']['cropped'])
    facs, cropped = (listener.faces['face_0'][name][-1] for name in ('facs', 'cropped'))
    assert len(facs.intensity) == len(facs.confidence) == 99
    known = np.isin(np.arange(99), CODES)
    assert np.all((facs.intensity >= 0) & (facs.intensity <= 1))
    assert not facs.intensity[~known].any()
    assert not facs.confidence[~known].any()
    assert np.all(facs.confidence[known] > 0)
    assert facs.header.frame_id == 'event_camera'
    assert to_ns(facs.header.stamp) % STEP_NS == 0
    assert (cropped.height, cropped.width, cropped.encoding) == (64, 64, 'mono8')
    assert set(cropped.data) == {7}
    # The face is lost: the list is empty, and what was known of the face is forgotten.
    slices.show_until(lambda: not listener.faces, face=None)
    assert listener.lists[-1].ids == []
    # Another one has another id.
    slices.show_until(lambda: 'face_1' in listener.faces, face=1)
    assert list(listener.faces) == ['face_1']


def test_the_list_is_repeated_and_ends_with_the_slices(world, slices):
    node = world.add(ActionUnitClassifierNode, stale_after_s=0.4)
    node.start()
    slices.wait()
    slices.show(30)
    # libhri takes no latched message, so that it must be sent again for who comes late.
    late = Listener(world.plain('late'), qos_profile_system_default)
    slices.show_until(lambda: 'face_0' in late.faces)
    count = len(late.lists)
    slices.show(50)
    world.until(lambda: len(late.lists) >= count + 4)
    assert len(late.lists) <= count + 6
    world.until(lambda: not late.faces)
    # The same face goes on under the same id.
    slices.show_until(lambda: 'face_0' in late.faces)
    node.trigger_deactivate()
    world.until(lambda: not late.faces)


def test_who_takes_latched_messages_gets_the_list_at_once(world, slices):
    world.add(ActionUnitClassifierNode, stale_after_s=60.0).start()
    slices.wait()
    slices.show(5)
    lists = world.collect(IdsList, f'{FACES}/tracked', STRICT)
    world.until(lambda: lists)
    assert lists[0].ids == ['face_0']


def test_several_faces_have_topics_of_their_own_while_they_are_followed(world, slices):
    listener = Listener(world.plain('hri'), RELIABLE)
    world.add(ActionUnitClassifierNode, stale_after_s=60.0).start()
    slices.wait()
    slices.show_until(
        lambda: all(listener.faces.get(f'face_{n}', {}).get('facs') for n in (0, 1)), others=[1]
    )
    assert listener.lists[-1].ids == ['face_0', 'face_1']
    slices.show_until(lambda: list(listener.faces) == ['face_1'], face=1)
    heard = len(listener.faces['face_1']['facs'])
    slices.show_until(lambda: len(listener.faces['face_1']['facs']) > heard, face=1)


def test_only_the_nearest_face_is_the_reconstructed_image(world, slices):
    node = world.add(ReconstructorNode)
    node.start()
    nearest = world.collect(Image, 'reconstruction/image', qos.RESULTS)
    other = world.collect(Image, f'{FACES}/face_1/aligned', RELIABLE)
    slices.wait()
    slices.show_until(lambda: nearest and other, others=[1])
    stamps = [to_ns(image.header.stamp) for image in nearest]
    assert len(set(stamps)) == len(stamps)
    # Images of both are due at one time.
    assert {to_ns(image.header.stamp) for image in other} <= set(stamps)
    shown = next(i for i in nearest if i.header.stamp == other[-1].header.stamp)
    assert bytes(shown.data) != bytes(other[-1].data)
    assert node.diagnose().values['missed_slices'] == 0


def test_all_faces_in_view_are_remembered_until_others_come(world, slices):
    node = world.add(ReconstructorNode)
    node.start()
    slices.wait()

    def remember():
        answer = world.call('reconstructor/remember')
        return answer.success, answer.message

    assert remember() == (False, 'there is no face')
    slices.show_until(lambda: set(node._states) == {'face_0', 'face_1'}, others=[1])
    slices.show_until(lambda: all(s.frame is not None for s in node._states.values()), others=[1])
    assert remember() == (
        True,
        'the newest frame is the reference of 2 faces until they are lost',
    )
    asked = [state.reference_quality for state in node._states.values()]
    assert asked == [float('inf')] * 2
    # The two are swapped, or others come: what was remembered is not of them.
    slices.show_until(lambda: set(node._states) == {'face_2', 'face_3'}, face=2, others=[3])
    slices.show(10, face=2, others=[3])
    assert all(np.isfinite(state.reference_quality) for state in node._states.values())


def test_the_reconstruction_is_the_aligned_image(world, slices):
    world.add(ReconstructorNode).start()
    images = world.collect(Image, f'{FACES}/face_0/aligned', RELIABLE)
    slices.wait()
    slices.show_until(lambda: images)
    assert (images[0].encoding, images[0].header.frame_id) == ('mono8', 'event_camera')


def test_the_topics_exist_only_while_a_face_is_followed(world, slices):
    node = world.add(ActionUnitClassifierNode, stale_after_s=60.0)
    node.start()
    slices.wait()

    def present():
        names = {name for name, _ in world.tester.get_topic_names_and_types()}
        return {name for name in names if name.startswith(f'{FACES}/face_')}

    assert present() == set()
    slices.show_until(present)
    world.until(lambda: present() == {f'{FACES}/face_0/facs', f'{FACES}/face_0/cropped'})
    slices.show(1, face=None)
    world.until(lambda: not present())
    # Only what somebody subscribes to is made: nothing was published on them.
    assert node.diagnose().values['slices'] > 0


def test_what_another_node_publishes_is_left_to_it(world, slices, log):
    other = world.plain('hri_face_detect')
    tracked = other.create_publisher(IdsList, f'{FACES}/tracked', 1)
    other.create_publisher(FacialActionUnits, f'{FACES}/face_0/facs', 1)
    node = world.add(ActionUnitClassifierNode, stale_after_s=60.0)
    node.start()
    world.until(lambda: len(node.get_publishers_info_by_topic(hri.TRACKED)) == 2)
    world.until(lambda: node.get_publishers_info_by_topic(f'{FACES}/face_0/facs'))
    slices.wait()
    lists = world.collect(IdsList, hri.TRACKED, RELIABLE)
    facs = world.collect(FacialActionUnits, f'{FACES}/face_0/facs', RELIABLE)
    world.until(lambda: tracked.get_subscription_count() == 1)
    slices.show(60)
    assert lists == []
    assert facs == []
    for topic in (hri.TRACKED, f'{FACES}/face_0/facs'):
        line = f'{topic} is left to /hri_face_detect'
        world.until(lambda line=line: line in log)
        assert log.count(line) == 1
    # When the other one ends, the list is ours.
    other.destroy_publisher(tracked)
    slices.show_until(lambda: lists)
    assert lists[-1].ids == ['face_0']


def test_without_hri_there_are_no_such_topics(world, slices):
    world.add(ActionUnitClassifierNode, stale_after_s=60.0, hri=False).start()
    slices.wait()
    slices.show(5)
    names = {name for name, _ in world.tester.get_topic_names_and_types()}
    assert not [name for name in names if name.startswith('/humans')]


def test_the_synchronizer_says_where_the_face_is(world):
    world.add(SynchronizerNode, region=[320, 48, 128, 96]).start()
    found = world.collect(NormalizedRegionOfInterest2D, f'{FACES}/face_0/roi', RELIABLE)
    events = random_events(np.random.default_rng(0), 20_000, 10**9, 480, 640)
    packets = packetize([(events, Triggers.empty())], 480, 640, epoch_ns=10**18)
    feed = world.feed_packets()
    for packet in packets:
        feed([packet_to_message(packet)])
        world.run(0.002)
    world.until(lambda: found)
    roi = found[0]
    edges = roi.xmin, roi.ymin, roi.xmax, roi.ymax
    assert edges == pytest.approx((0.5, 0.1, 0.7, 0.3))
    assert roi.header.frame_id == 'event_camera'


@pytest.mark.parametrize(
    ('region', 'edges'),
    [
        (Region(64, 24, 128, 48), (0.1, 0.1, 0.3, 0.3)),
        (Region(-64, 216, 128, 48), (0.0, 0.9, 0.1, 1.0)),
    ],
)
def test_a_region_is_in_shares_of_the_sensor(region, edges):
    roi = hri.region_to_roi(region, 640, 240, 10**18, 'camera')
    assert (roi.xmin, roi.ymin, roi.xmax, roi.ymax) == pytest.approx(edges)
    assert roi.c == 1.0
    assert (to_ns(roi.header.stamp), roi.header.frame_id) == (10**18, 'camera')


def test_the_synchronizer_speaks_of_landmarks_and_of_the_heads_place(world, monkeypatch):
    # Its eyes are 63 px apart.
    standing = make_face(0, 320, 240, 63 / 0.312)
    source = FaceSource(
        'events', 'a test', lambda height, width: ScriptedTracker(lambda _: [standing])
    )
    monkeypatch.setattr(synchronizer_module, 'load_face_source', lambda *_: source)
    world.add(SynchronizerNode).start()
    points = world.collect(FacialLandmarks, f'{FACES}/face_0/landmarks', RELIABLE)
    transforms = world.collect(TFMessage, '/tf', RELIABLE)
    infos = world.tester.create_publisher(CameraInfo, 'event_camera/camera_info', qos.EVENTS)
    world.until(lambda: infos.get_subscription_count())
    info = CameraInfo(height=480, width=640, distortion_model='plumb_bob', d=[0.0] * 5)
    info.k = [500.0, 0, 320, 0, 500, 240, 0, 0, 1]
    infos.publish(info)
    events = random_events(np.random.default_rng(0), 20_000, 10**9, 480, 640)
    packets = packetize([(events, Triggers.empty())], 480, 640, epoch_ns=10**18)
    feed = world.feed_packets()
    for packet in packets:
        feed([packet_to_message(packet)])
        infos.publish(info)
        world.run(0.002)
    world.until(lambda: points and transforms)
    assert points[0].landmarks[FacialLandmarks.NOSTRIL_3].x == pytest.approx(0.5, abs=1e-3)
    [transform] = transforms[-1].transforms
    assert (transform.header.frame_id, transform.child_frame_id) == (
        'event_camera',
        'face_face_0',
    )
    assert transform.transform.translation.z == pytest.approx(0.5, abs=0.01)


def test_landmarks_that_are_not_known_or_beside_the_sensor_have_confidence_0():
    landmarks = np.array([[64, 48], [128, 48], [96, 120], [-5, 60], [100, 240]], np.float32)
    message = hri.landmarks_to_message(landmarks, 0.05, 640, 240, 10**18, 'camera')
    assert (message.height, message.width) == (240, 640)
    assert (to_ns(message.header.stamp), message.header.frame_id) == (10**18, 'camera')
    right = message.landmarks[FacialLandmarks.RIGHT_PUPIL]
    assert (right.x, right.y) == pytest.approx((0.1, 0.2))
    # Two sigmas in two dimensions.
    assert right.c == pytest.approx(1 - np.exp(-2))
    assert message.landmarks[FacialLandmarks.MOUTH_OUTER_LEFT].y == 1
    known = {code for code, point in enumerate(message.landmarks) if point.c > 0}
    assert known == {33, 54, 68, 69}


@pytest.mark.parametrize(
    ('axes', 'quaternion'),
    [
        (np.eye(3), (0, 0, 0, 1)),
        (np.diag([-1.0, -1.0, 1.0]), (0, 0, 1, 0)),
        # A face that looks into the camera: forward is towards it, left is right, up is up.
        ([[0, 1, 0], [0, 0, -1], [-1, 0, 0]], (0.5, 0.5, -0.5, 0.5)),
    ],
)
def test_a_pose_becomes_a_transform(axes, quaternion):
    pose = HeadPose(np.array(axes, float), np.array([1.0, 2.0, 3.0]))
    message = hri.pose_to_transform(pose, 'face_3', 10**18, 'camera')
    place, turn = message.transform.translation, message.transform.rotation
    assert (place.x, place.y, place.z) == (1, 2, 3)
    found = np.array([turn.x, turn.y, turn.z, turn.w])
    assert abs(found @ np.array(quaternion)) == pytest.approx(1)
    assert message.child_frame_id == 'face_face_3'


def test_a_camera_that_is_not_calibrated_has_no_calibration():
    assert hri.message_to_calibration(CameraInfo()) is None


def make_camera_info(model='plumb_bob', distortion=(), k=(100, 0, 50, 0, 100, 50, 0, 0, 1)):
    info = CameraInfo(width=100, height=100, distortion_model=model, d=list(distortion))
    info.k = [float(number) for number in k]
    return info


# Of a fisheye lens without distortion, angles are as pixels are.
@pytest.mark.parametrize(('model', 'x'), [('plumb_bob', 0.1), ('equidistant', np.tan(0.1))])
def test_a_calibration_without_coefficients_has_no_distortion(model, x):
    calibration = hri.message_to_calibration(make_camera_info(model))
    directions = calibration.undistort(np.array([[50.0, 50], [60, 50]]))
    np.testing.assert_allclose(directions, [[0, 0], [x, 0]], atol=1e-9)


@pytest.mark.parametrize(
    'info',
    [
        make_camera_info('plumb_bob', [0.0] * 3),
        make_camera_info('equidistant', [0.0] * 5),
        make_camera_info('plumb_bob', [np.nan] * 5),
        make_camera_info(k=(100, 0, np.nan, 0, 100, 50, 0, 0, 1)),
        make_camera_info(k=(100, 0, 50, 0, 0, 50, 0, 0, 1)),
    ],
)
def test_a_calibration_that_is_that_of_no_camera_is_refused(info):
    with pytest.raises(MicroexprError, match=r'CameraInfo with k .*; the sender is malformed'):
        hri.message_to_calibration(info)
