import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from hypothesis import given, settings
from hypothesis import strategies as st
from microexpr_ros.msg import ActionUnitArray, AlignedEvents
from microexpr_ros.msg import MicroExpression as MicroExpressionMessage
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image

from microexpr_ros import facs
from microexpr_ros.alignment.face_alignment import measure_off_centre
from microexpr_ros.alignment.frame_alignment import SyncSource
from microexpr_ros.alignment.head_motion import HeadMotion
from microexpr_ros.alignment.slices import Slice
from microexpr_ros.alignment.synchronizer import AlignedSlice
from microexpr_ros.bags.event_packet import EventPacket
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.facs import ExpressionKind
from microexpr_ros.landmarks import PLACES
from microexpr_ros.perception.classifier import ActionUnitEstimate, Status
from microexpr_ros.perception.spotting import MicroExpression
from microexpr_ros.ros import conversions as convert
from microexpr_ros.ros import estimates

RANDOM = np.random.default_rng(0)


@given(st.integers(0, 2**62))
def test_times_come_back(nanoseconds):
    assert convert.to_ns(convert.to_time(nanoseconds % (2**31 * 10**9))) == nanoseconds % (
        2**31 * 10**9
    )


@settings(max_examples=20)
@given(
    st.integers(-5000, 5000), st.integers(-5000, 5000), st.integers(1, 4000), st.integers(1, 4000)
)
def test_aligned_slices_come_back(x, y, width, height):
    aligned = AlignedSlice(
        slice=Slice(
            end_ns=1_700_000_000_123_456_789,
            duration_ns=10_000_000,
            region=Region(x, y, width, height),
            counts=RANDOM.integers(0, 256, (2, 8, 8), np.uint8),
            events=12345,
            frame=RANDOM.integers(0, 256, (8, 8, 3), np.uint8),
            frame_stamp_ns=1_700_000_000_100_000_000,
        ),
        face=3,
        source=SyncSource.TRIGGER,
        sync_error_ns=250_000.0,
        newest_arrival_ns=42,
    )
    back = convert.message_to_aligned(convert.aligned_to_message(aligned, 'camera', 7))
    assert back.slice.region == aligned.slice.region
    np.testing.assert_array_equal(back.slice.counts, aligned.slice.counts)
    np.testing.assert_array_equal(back.slice.frame, aligned.slice.frame)
    assert (back.slice.end_ns, back.slice.duration_ns, back.slice.events) == (
        aligned.slice.end_ns,
        aligned.slice.duration_ns,
        aligned.slice.events,
    )
    assert back.slice.frame_stamp_ns == aligned.slice.frame_stamp_ns
    assert (back.face, back.source, back.newest_arrival_ns) == (3, SyncSource.TRIGGER, 42)
    assert back.sync_error_ns == pytest.approx(250_000.0)


@given(
    region=st.builds(
        AlignedRegion,
        st.floats(-5000, 5000),
        st.floats(-5000, 5000),
        st.floats(1, 4000),
        st.floats(-4, 4),
    ),
    motion=st.builds(HeadMotion, *[st.floats(-9, 9)] * 6, st.just(0.03)),
)
def test_a_face_that_is_followed_comes_back_exactly(region, motion):
    counts = np.zeros((2, 8, 8), np.uint8)
    slice_ = Slice(10, 10, region, counts, 0, motion=motion)
    landmarks = region.to_pixels(PLACES).astype(np.float32)
    aligned = AlignedSlice(slice_, 3, SyncSource.NONE, 0.0, 0, landmarks, 0.03)
    message = convert.aligned_to_message(aligned, 'camera', 0)
    bounds = region.bounds()
    assert (message.roi.width, message.roi.height) == (bounds.width, bounds.height)
    back = convert.message_to_aligned(message)
    assert back.slice.region == region
    assert back.slice.pixels_per_cell == slice_.pixels_per_cell
    assert back.slice.motion == motion
    np.testing.assert_array_equal(back.landmarks, landmarks)
    assert back.slice.off_centre == measure_off_centre(region, landmarks)
    assert back.sigma == 0.03


@given(
    region=st.none()
    | st.builds(Region, st.integers(-50, 50), st.integers(-50, 50), st.just(9), st.just(7))
    | st.builds(AlignedRegion, *[st.floats(-500, 500)] * 2, st.floats(1, 400), st.floats(-4, 4)),
    motion=st.none() | st.builds(HeadMotion, *[st.floats(-9, 9)] * 6, st.just(0.03)),
    has_landmarks=st.booleans(),
    given_id=st.sampled_from(['', 'a', 'anna', 'Änne']),
    frame_id=st.sampled_from(['', 'camera', 'event_camera']),
    shape=st.sampled_from([(2, 128, 128), (2, 3, 5)]),
    frame=st.sampled_from([None, np.zeros((4, 4), np.uint8)]),
    sync_error_ns=st.sampled_from([0.0, 250_000.0, float('inf')]),
)
def test_slices_are_serialized_as_their_messages_are(
    region, motion, has_landmarks, given_id, frame_id, shape, frame, sync_error_ns
):
    slice_ = Slice(
        end_ns=int(RANDOM.integers(0, 2**60)),
        duration_ns=10_000_000,
        region=region,
        counts=RANDOM.integers(0, 256, shape, np.uint8),
        events=int(RANDOM.integers(0, 2**32)),
        frame=frame,
        motion=motion,
    )
    aligned = AlignedSlice(
        slice=slice_,
        face=-1 if region is None else 3,
        source=SyncSource.SOFTWARE,
        sync_error_ns=sync_error_ns,
        newest_arrival_ns=int(RANDOM.integers(0, 2**60)),
        landmarks=np.ones((5, 2), np.float32) if has_landmarks else None,
        sigma=0.03,
        given_id=given_id,
    )
    message = convert.aligned_to_message(aligned, frame_id, 7)
    serialized = convert.serialize_aligned(aligned, frame_id, 7)
    assert len(serialized) == len(serialize_message(message))
    assert deserialize_message(serialized, AlignedEvents) == message


def test_landmarks_that_are_not_five_points_are_refused():
    for landmarks in ([1.0, 2.0], [float('nan')] * 10):
        with pytest.raises(MicroexprError, match='not 5 columns and rows'):
            convert.message_to_aligned(
                AlignedEvents(
                    height=1,
                    width=1,
                    counts=[0, 0],
                    duration=Duration(nanosec=1),
                    landmarks=landmarks,
                )
            )


def test_no_face_comes_back_as_no_face():
    counts = np.zeros((2, 8, 8), np.uint8)
    aligned = AlignedSlice(Slice(10, 10, None, counts, 0), -1, SyncSource.NONE, 0.0, 0)
    back = convert.message_to_aligned(convert.aligned_to_message(aligned, 'camera', 0))
    assert back.slice.region is back.slice.motion is back.landmarks is None
    assert back.slice.frame is None
    assert back.face == -1


@pytest.mark.parametrize('name', ['anna', 'face_anna', 'person_3', 'face_12'])
def test_an_id_of_another_detector_comes_back(name):
    counts = np.zeros((2, 8, 8), np.uint8)
    slice_ = Slice(10, 10, AlignedRegion(4.0, 4.0, 8.0), counts, 0)
    aligned = AlignedSlice(slice_, 7, SyncSource.NONE, 0.0, 0, given_id=name)
    message = convert.aligned_to_message(aligned, 'camera', 0)
    assert message.face_id == name
    back = convert.message_to_aligned(message)
    assert convert.face_id(back) == name
    assert back.face >= 0


def test_counts_of_another_size_are_refused():
    with pytest.raises(MicroexprError, match='3 counts'):
        convert.message_to_aligned(AlignedEvents(height=2, width=2, counts=[1, 2, 3]))


def test_estimates_come_back_and_carry_the_slice_header():
    estimate = ActionUnitEstimate(
        end_ns=5_000_000_001,
        status=Status.HEAD_MOVING,
        sides=RANDOM.random((18, 2)).astype(np.float32),
        confidence=RANDOM.random(18).astype(np.float32),
        active=RANDOM.random(18) > 0.5,
    )
    message = estimates.estimate_to_message(
        estimate, 'face_2', 'camera', 'net@12345678', 3_000_000
    )
    assert message.header.frame_id == 'camera'
    assert [unit.code for unit in message.units] == list(facs.CODES)
    assert (message.face_id, message.model) == ('face_2', 'net@12345678')
    assert convert.to_ns(message.latency) == 3_000_000
    assert all(unit.intensity == max(unit.left, unit.right) for unit in message.units)
    np.testing.assert_array_equal([unit.left for unit in message.units], estimate.sides[:, 0])
    back = estimates.message_to_estimate(message)
    assert (back.end_ns, back.status) == (estimate.end_ns, estimate.status)
    np.testing.assert_array_equal(back.sides, estimate.sides)
    np.testing.assert_array_equal(back.confidence, estimate.confidence)
    np.testing.assert_array_equal(back.active, estimate.active)


def test_estimates_are_serialized_as_their_messages_are():
    serializer = estimates.EstimateSerializer()
    for face_id, frame_id, model in (
        ('face_2', 'camera', 'net@12345678'),
        ('face_2', 'camera', 'net@12345678'),
        ('', 'a_longer_frame', 'n'),
    ):
        estimate = ActionUnitEstimate(
            end_ns=int(RANDOM.integers(0, 2**60)),
            status=Status(int(RANDOM.integers(0, 6))),
            sides=RANDOM.random((18, 2)).astype(np.float32),
            confidence=RANDOM.random(18).astype(np.float32),
            active=RANDOM.random(18) > 0.5,
        )
        about = face_id, frame_id, model, int(RANDOM.integers(0, 2**40))
        message = estimates.estimate_to_message(estimate, *about)
        serialized = serializer.serialize(estimate, *about)
        assert len(serialized) == len(serialize_message(message))
        assert deserialize_message(serialized, ActionUnitArray) == message


def test_expressions_come_back_with_their_kind():
    blink = MicroExpression((45,), 100, 200, 300, 0.5, 0.75, ExpressionKind.BLINK)
    message = estimates.expression_to_message(blink, 'camera', 'face_0')
    assert estimates.message_to_expression(message) == blink


def test_an_expression_of_an_unknown_kind_is_refused():
    with pytest.raises(MicroexprError, match='of kind 9; this version knows 0, 1, 2'):
        estimates.message_to_expression(MicroExpressionMessage(kind=9))


def test_expressions_are_stamped_with_their_apex():
    expression = MicroExpression((1, 2), 100, 200, 300, 0.4, 0.9)
    message = estimates.expression_to_message(expression, 'camera', 'face_0')
    assert convert.to_ns(message.header.stamp) == convert.to_ns(message.apex) == 200
    assert list(message.codes) == [1, 2]
    assert message.micro
    assert message.kind == MicroExpressionMessage.EXPRESSION


def test_every_kind_has_its_constant():
    for kind in facs.ExpressionKind:
        assert getattr(MicroExpressionMessage, kind.name) == kind
        expression = MicroExpression((45,), 100, 200, 300, 0.4, 0.9, kind)
        assert estimates.expression_to_message(expression, 'camera', 'face_0').kind == kind


def test_packets_keep_every_byte():
    packet = EventPacket(10**18, 'camera', 480, 640, 9, 77, 'evt3', False, bytes(range(256)))
    message = convert.packet_to_message(packet)
    assert bytes(message.events) == packet.events
    assert (message.seq, message.time_base, message.encoding) == (9, 77, 'evt3')
    assert convert.to_ns(message.header.stamp) == packet.stamp_ns


@pytest.mark.parametrize('shape', [(5, 7), (5, 7, 3)])
def test_images_come_back(shape):
    pixels = RANDOM.integers(0, 256, shape, np.uint8)
    back = convert.image_to_pixels(convert.pixels_to_image(pixels, 1, 'camera'))
    np.testing.assert_array_equal(back, pixels)


def test_bgr_with_padded_rows_is_read_as_rgb():
    pixels = RANDOM.integers(0, 256, (2, 3, 3), np.uint8)
    rows = np.zeros((2, 12), np.uint8)
    rows[:, :9] = pixels[:, :, ::-1].reshape(2, 9)
    message = Image(height=2, width=3, encoding='bgr8', step=12, data=rows.tobytes())
    np.testing.assert_array_equal(convert.image_to_pixels(message), pixels)


def test_a_short_image_is_refused():
    message = Image(height=2, width=3, encoding='mono8', step=3, data=bytes(5))
    with pytest.raises(MicroexprError, match='5 bytes'):
        convert.image_to_pixels(message)


@pytest.mark.parametrize('colour', [90, (220, 60, 20)])
def test_compressed_images_come_back_with_their_colours(colour):
    pixels = np.full((24, 32, np.size(colour)), colour, np.uint8).squeeze()
    message = convert.pixels_to_compressed(pixels, 7, 'camera', 95)
    assert (convert.to_ns(message.header.stamp), message.header.frame_id) == (7, 'camera')
    np.testing.assert_allclose(convert.image_to_pixels(message), pixels, atol=6)


def test_other_encodings_ask_for_cv_bridge(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    with pytest.raises(MicroexprError, match='cv_bridge'):
        convert.image_to_pixels(Image(height=1, width=1, encoding='32FC1', step=4, data=bytes(4)))


def test_other_encodings_are_those_of_cv_bridge(monkeypatch):
    class CvBridge:
        def imgmsg_to_cv2(self, message, desired):
            if message.encoding != 'nv21':
                raise ValueError(f'{message.encoding} is no colour')
            return np.full((message.height, message.width, 3), 5, np.uint8)

    module = SimpleNamespace(CvBridge=CvBridge, CvBridgeError=ValueError)
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)
    pixels = convert.image_to_pixels(Image(height=1, width=2, encoding='nv21', step=2))
    np.testing.assert_array_equal(pixels, [[[5, 5, 5]] * 2])
    with pytest.raises(MicroexprError, match="encoding '32FC1': 32FC1 is no colour"):
        convert.image_to_pixels(Image(height=1, width=1, encoding='32FC1', step=4))


def test_an_unknown_message_type_names_its_package():
    with pytest.raises(MicroexprError, match='install nowhere_msgs'):
        convert.message_type('nowhere_msgs/msg/Nothing')


def test_event_packets_are_those_of_the_standard_package():
    import event_camera_msgs

    package = Path(event_camera_msgs.__file__)
    prefix = next(
        parent for parent in package.parents if (parent / 'share/event_camera_msgs').is_dir()
    )
    described = json.loads((prefix / 'share/event_camera_msgs/msg/EventPacket.json').read_text())
    hashes = {entry['type_name']: entry['hash_string'] for entry in described['type_hashes']}
    assert hashes['event_camera_msgs/msg/EventPacket'].startswith('RIHS01_d6fa1762')


@pytest.mark.parametrize(
    'change',
    [
        {'sync_source': 9},
        {'height': 0},
        {'duration': None},
        {'region_x': math.nan},
        {'region_side': math.inf},
    ],
)
def test_malformed_slices_are_refused(change):
    aligned = AlignedSlice(
        Slice(10, 10, None, np.zeros((2, 8, 8), np.uint8), 0), -1, SyncSource.NONE, 0.0, 0
    )
    message = convert.aligned_to_message(aligned, 'camera', 0)
    for name, value in change.items():
        setattr(message, name, convert.to_duration(0) if value is None else value)
    with pytest.raises(MicroexprError):
        convert.message_to_aligned(message)


def test_an_image_without_pixels_is_refused():
    with pytest.raises(MicroexprError, match='without pixels'):
        convert.image_to_pixels(Image(encoding='rgb8'))


def test_estimates_of_other_units_are_refused():
    with pytest.raises(MicroexprError, match='units'):
        estimates.message_to_estimate(ActionUnitArray())


def test_regions_of_whole_pixels_are_published_as_numbers():
    """An int in a field of floats would abort the process, without an error."""
    counts = np.zeros((2, 8, 8), np.uint8)
    slice_ = Slice(20_000_000, 10_000_000, AlignedRegion(16, 16, 32, 0), counts, 0)
    aligned = AlignedSlice(slice_, 0, SyncSource.NONE, 0.0, 0)
    message = convert.aligned_to_message(aligned, 'camera', 0)
    back = convert.message_to_aligned(
        deserialize_message(serialize_message(message), AlignedEvents)
    )
    assert back.slice.region == AlignedRegion(16.0, 16.0, 32.0, 0.0)
