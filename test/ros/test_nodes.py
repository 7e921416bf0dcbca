import dataclasses
import threading
import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from lifecycle_msgs.srv import ChangeState, GetState
from microexpr_ros.msg import ActionUnitArray, AlignedEvents
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image

from microexpr_ros.alignment.slices import Slice
from microexpr_ros.alignment.synchronizer import AlignedSlice, SyncSource
from microexpr_ros.bags import BagWriter
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.packets import packetize
from microexpr_ros.events.region import Region
from microexpr_ros.facs import CODES
from microexpr_ros.perception.drawing import SIDE, Panel
from microexpr_ros.perception.reconstruction.reconstructor import Reconstruction, Reconstructor
from microexpr_ros.ros import inputs, qos, slices
from microexpr_ros.ros.conversions import (
    aligned_to_message,
    image_to_pixels,
    packet_to_message,
    pixels_to_compressed,
    pixels_to_image,
    to_ns,
)
from microexpr_ros.ros.diagnostics import Diagnosis
from microexpr_ros.ros.diagnostics import to_message as diagnostics_to_message
from microexpr_ros.ros.nodes import reconstructor
from microexpr_ros.ros.nodes.au_classifier import ActionUnitClassifierNode
from microexpr_ros.ros.nodes.event_camera import EventCameraNode
from microexpr_ros.ros.nodes.overlay import OverlayNode, show_diagnostics
from microexpr_ros.ros.nodes.player import PlayerNode
from microexpr_ros.ros.nodes.reconstructor import ReconstructorNode
from microexpr_ros.ros.nodes.rgb_camera import RgbCameraNode
from microexpr_ros.ros.nodes.synchronizer import SynchronizerNode
from microexpr_ros.ros.subscriptions import SubscriptionThread

MS = 1_000_000
EPOCH = 1_700_000_000_000 * MS
REGION = [100, 50, 256, 256]


def some_events(duration_ms, rate_per_ms=20, seed=0):
    random = np.random.default_rng(seed)
    count = duration_ms * rate_per_ms
    return Events(
        # EVT3 has whole microseconds.
        np.sort(random.integers(0, duration_ms * 1000, count)) * 1000,
        random.integers(100, 356, count).astype(np.uint16),
        random.integers(50, 306, count).astype(np.uint16),
        random.integers(0, 2, count).astype(np.uint8),
    )


def some_packets(duration_ms=300):
    stream = [(some_events(duration_ms), Triggers.empty())]
    return list(packetize(stream, 480, 640, epoch_ns=EPOCH))


@pytest.fixture
def bag(tmp_path):
    path = tmp_path / 'bag'
    with BagWriter(path) as writer:
        for index, packet in enumerate(some_packets()):
            writer.write_packet('/event_camera/events', packet)
            if index % 16 == 0:
                pixels = np.full((48, 64, 3), 100, np.uint8)
                writer.write_image('/rgb_camera/image_raw', pixels, packet.stamp_ns, 'rgb_camera')
    return path


def test_packets_become_slices_without_a_gap(world):
    node = world.add(SynchronizerNode, region=REGION)
    node.start()
    slices = world.collect(AlignedEvents, 'aligned_events', qos.SLICES)
    world.run(0.2)
    packets = some_packets()
    world.feed_packets(map(packet_to_message, packets))
    world.until(lambda: len(slices) >= 29)
    stamps = np.array([to_ns(message.header.stamp) for message in slices])
    np.testing.assert_array_equal(np.diff(stamps), 10 * MS)
    assert stamps[0] == EPOCH + 10 * MS
    assert sum(message.events for message in slices[:29]) == pytest.approx(29 * 200, abs=120)
    assert all(message.roi.width == 256 for message in slices)
    assert all(len(message.counts) == 2 * 128 * 128 for message in slices)
    assert slices[-1].lost_packets == 0
    assert slices[0].header.frame_id == 'event_camera'


def start_process(world):
    """Start a synchronizer and a classifier as in one process; return the classifier."""
    thread = SubscriptionThread()
    classifier = world.add(ActionUnitClassifierNode, thread=thread)
    synchronizer = world.add(SynchronizerNode, thread=thread, region=REGION)
    for node in (classifier, synchronizer):
        node.start()
    return classifier


def steps(node):
    return node.diagnose().values['slices']


def test_in_one_process_slices_are_not_made_into_messages(world, monkeypatch):
    def fail(*_):
        raise AssertionError('nobody outside subscribes')

    monkeypatch.setattr('microexpr_ros.ros.slices.serialize_aligned', fail)
    classifier = start_process(world)
    estimates = world.collect(ActionUnitArray, 'au_predictions', qos.RESULTS)
    world.feed_packets(map(packet_to_message, some_packets()))
    world.until(lambda: len(estimates) >= 29)
    assert not classifier.failed
    stamps = np.array([to_ns(message.header.stamp) for message in estimates])
    np.testing.assert_array_equal(np.diff(stamps), 10 * MS)
    assert classifier.diagnose().values['missed_slices'] == 0


def test_in_one_process_results_are_not_made_into_messages(world, monkeypatch):
    classifier = start_process(world)
    thread = classifier.subscription_thread
    world.add(ReconstructorNode, thread=thread).start()
    overlay = world.add(OverlayNode, thread=thread)
    overlay.start()
    shown = []
    monkeypatch.setattr(overlay._panel, 'show_estimate', lambda given, _: shown.append(given))
    for name in ('message_to_estimate', 'image_to_pixels'):
        monkeypatch.setattr(f'microexpr_ros.ros.nodes.overlay.{name}', pytest.fail)
    monkeypatch.setattr('microexpr_ros.ros.images.pixels_to_image', pytest.fail)
    world.feed_packets(map(packet_to_message, some_packets()))
    world.until(lambda: len(shown) >= 29)
    ends = [estimate.end_ns for estimate in shown]
    np.testing.assert_array_equal(np.diff(ends), 10 * MS)
    assert not any(node.failed or node.malformed for node in (classifier, overlay))


def test_who_subscribes_from_outside_gets_slices_and_they_are_still_stepped_once(world):
    classifier = start_process(world)
    slices = world.collect(AlignedEvents, 'aligned_events', qos.SLICES)
    world.run(0.3)
    world.feed_packets(map(packet_to_message, some_packets()))
    world.until(lambda: len(slices) >= 29)
    world.until_settled(slices)
    world.until(lambda: steps(classifier) == len(slices))


def test_slices_of_others_are_taken_again_when_the_process_s_own_synchronizer_has_ended(world):
    classifier = start_process(world)
    feed = world.feed_packets(map(packet_to_message, some_packets()))
    world.until(lambda: steps(classifier) >= 29)
    world.nodes[-1].trigger_deactivate()
    world.add(SynchronizerNode, region=REGION).start()
    before = steps(classifier)
    world.run(0.5)
    feed(map(packet_to_message, some_packets()))
    world.until(lambda: steps(classifier) > before + 20)


def test_lost_and_malformed_packets_are_counted_and_skipped(world):
    node = world.add(SynchronizerNode, region=REGION)
    node.start()
    slices = world.collect(AlignedEvents, 'aligned_events', qos.SLICES)
    world.run(0.2)
    packets = some_packets()
    messages = [packet_to_message(packet) for packet in packets[:100] + packets[103:]]
    foreign = packet_to_message(dataclasses.replace(packets[0], encoding='morse'))
    world.feed_packets([*messages[:60], foreign, *messages[60:]])
    world.until(lambda: len(slices) >= 28)
    assert node.malformed == 1
    assert slices[-1].lost_packets == 3
    stamps = np.array([to_ns(message.header.stamp) for message in slices])
    np.testing.assert_array_equal(np.diff(stamps), 10 * MS)
    assert node.diagnose().values['lost_packets'] == 3


def test_an_inactive_node_does_not_listen(world):
    node = world.add(SynchronizerNode, autostart=False)
    node.start()
    assert world.tester.count_subscribers('/event_camera/events') == 0
    assert node.trigger_configure().name == 'SUCCESS'
    assert node.trigger_activate().name == 'SUCCESS'
    world.until(lambda: node.count_subscribers('/event_camera/events') == 1)
    assert node.trigger_deactivate().name == 'SUCCESS'
    world.until(lambda: node.count_subscribers('/event_camera/events') == 0)


def test_the_lifecycle_can_be_driven_by_services(world):
    node = world.add(SynchronizerNode)
    node.start()
    answer = world.call('synchronizer/get_state', GetState)
    assert answer.current_state.label == 'active'
    request = ChangeState.Request()
    request.transition.label = 'deactivate'
    assert world.call('synchronizer/change_state', ChangeState, request).success


def set_parameter(world, node, name, value):
    parameter = Parameter(name, value=value).to_parameter_msg()
    request = SetParameters.Request(parameters=[parameter])
    (result,) = world.call(f'{node}/set_parameters', SetParameters, request).results
    return result


def test_an_active_node_refuses_parameters_with_the_reason(world):
    node = world.add(SynchronizerNode)
    node.start()
    result = set_parameter(world, 'synchronizer', 'slice_ms', 20.0)
    assert not result.successful
    assert 'deactivate' in result.reason


@pytest.mark.parametrize('autostart', [True, False])
def test_an_unknown_parameter_is_refused_with_the_known_ones(world, autostart):
    world.add(SynchronizerNode, autostart=autostart).start()
    result = set_parameter(world, 'synchronizer', 'slice_lenght', 20.0)
    assert not result.successful
    assert 'unknown parameter slice_lenght; synchronizer knows autostart, ' in result.reason
    assert 'slice_ms' in result.reason


@pytest.mark.parametrize(
    ('kind', 'parameters', 'expected'),
    [
        (SynchronizerNode, {'slice_length': 1.0}, 'unknown parameter slice_length'),
        (SynchronizerNode, {'slice_ms': 0.1}, 'slice_ms = 0.1'),
        (SynchronizerNode, {'region': [1, 2]}, 'region has 2 numbers'),
        (SynchronizerNode, {'homography': [1.0]}, 'homography has 1 numbers'),
        (ActionUnitClassifierNode, {'weights': '/nowhere/au.safetensors'}, '/nowhere/au'),
        (ReconstructorNode, {'weights': '/nowhere/r.safetensors'}, '/nowhere/r'),
        (PlayerNode, {}, 'parameter bag is empty'),
        (PlayerNode, {'bag': '/nowhere'}, '/nowhere'),
        (EventCameraNode, {}, 'parameter path is empty'),
        (EventCameraNode, {'path': '/nowhere.raw'}, '/nowhere.raw'),
        (EventCameraNode, {'driver': 'magic', 'path': 'x'}, 'choose one of file'),
        (RgbCameraNode, {'device': 'no such file'}, 'no such file'),
    ],
)
def test_a_node_that_cannot_start_says_why(world, kind, parameters, expected):
    node = world.add(kind, **parameters)
    with pytest.raises(MicroexprError, match=expected):
        node.start()


def test_a_slice_gives_units_with_its_stamp(world, bag):
    classifier = world.add(ActionUnitClassifierNode)
    synchronizer = world.add(SynchronizerNode, region=REGION)
    for node in (classifier, synchronizer):
        node.start()
    units = world.collect(ActionUnitArray, 'au_predictions', qos.RESULTS)
    slices = world.collect(AlignedEvents, 'aligned_events', qos.SLICES)
    world.run(0.3)
    world.feed_packets(map(packet_to_message, some_packets()))
    world.until(lambda: len(units) >= 29)
    world.until(lambda: len(slices) >= len(units))
    live = [message for message in units if message.state != ActionUnitArray.STALE]
    stamps = {to_ns(message.header.stamp) for message in slices}
    assert all(to_ns(message.header.stamp) in stamps for message in live)
    assert all(len(message.units) == 18 for message in live)
    assert live[0].state == ActionUnitArray.WARMING_UP
    assert all(0 <= unit.intensity <= 1 for message in live for unit in message.units)
    assert 0 < to_ns(live[5].latency) < 10_000 * MS
    # Nothing more comes: the last estimate is repeated as stale.
    world.until(lambda: units[-1].state == ActionUnitArray.STALE)
    assert all(unit.confidence == 0 for unit in units[-1].units)


def test_reset_clears_the_state(world):
    node = world.add(ActionUnitClassifierNode)
    node.start()
    world.add(SynchronizerNode, region=REGION).start()
    units = world.collect(ActionUnitArray, 'au_predictions', qos.RESULTS)
    packets = [packet_to_message(packet) for packet in some_packets(600)]
    more = world.feed_packets(packets[:200])
    world.until(lambda: len(units) >= 39)
    assert units[38].state != ActionUnitArray.WARMING_UP
    assert world.call('au_classifier/reset').success
    count = len(units)
    more(packets[200:])
    world.until(lambda: any(unit.state == ActionUnitArray.WARMING_UP for unit in units[count:]))


def test_a_stall_loses_no_slice(world):
    classifier = world.add(ActionUnitClassifierNode, autostart=False)
    synchronizer = world.add(SynchronizerNode, autostart=False, region=REGION)
    synchronizer.subscription_thread = classifier.subscription_thread
    for node in (classifier, synchronizer):
        assert node.trigger_configure().name == 'SUCCESS'
        assert node.trigger_activate().name == 'SUCCESS'
    units = world.collect(ActionUnitArray, 'au_predictions', qos.RESULTS)
    packets = [packet_to_message(packet) for packet in some_packets(1900)]
    more = world.feed_packets()
    with classifier.subscription_thread.lock:
        more(packets)
    world.until(lambda: synchronizer.diagnose().values.get('slices', 0) >= 189)
    world.until(lambda: classifier.diagnose().values.get('slices', 0) >= 189)
    assert classifier.diagnose().values['missed_slices'] == 0
    world.until(lambda: units)
    assert units[0].state == ActionUnitArray.WARMING_UP


def test_a_node_lives_through_several_cycles(world):
    node = world.add(SynchronizerNode, autostart=False, region=REGION)
    for _ in range(3):
        for transition in ('configure', 'activate', 'deactivate', 'cleanup'):
            assert getattr(node, f'trigger_{transition}')().name == 'SUCCESS'
    world.until(lambda: node.count_publishers('/aligned_events') == 0)
    node.set_parameters([Parameter('slice_ms', value=20.0)])
    assert node.trigger_configure().name == 'SUCCESS'
    assert node.parameters.slice_ms == 20.0
    (result,) = node.set_parameters([Parameter('slice_ms', value=10.0)])
    assert not result.successful


def test_a_bag_that_loops_is_cut_in_every_round(world, bag):
    synchronizer = world.add(SynchronizerNode, region=REGION, use_sim_time=True)
    synchronizer.start()
    slices = world.collect(AlignedEvents, 'aligned_events', qos.SLICES)
    player = world.add(PlayerNode, bag=str(bag), loop=True)
    player.start()
    world.until(lambda: len(slices) > 85)
    stamps = np.array([to_ns(message.header.stamp) for message in slices])
    assert (np.diff(stamps) < 0).sum() >= 2
    player.trigger_deactivate()


def test_slices_give_reconstructed_images_and_an_overlay(world):
    for kind, parameters in (
        (OverlayNode, {}),
        (ReconstructorNode, {}),
        (SynchronizerNode, {'region': REGION}),
    ):
        world.add(kind, **parameters).start()
    images = world.collect(Image, 'reconstruction/image', qos.RESULTS)
    pictures = world.collect(Image, 'overlay/image', qos.FRAMES)
    world.run(0.3)
    world.feed_packets(map(packet_to_message, some_packets()))
    world.until(lambda: images and pictures)
    assert (images[0].encoding, images[0].height, images[0].width) == ('mono8', 128, 128)
    assert images[0].header.frame_id == 'event_camera'
    assert pictures[0].encoding == 'rgb8'


class SliceSender:
    """Publishes one slice of a face after the other, to a node that has been started."""

    def __init__(self, world):
        self._world, self._sent = world, 0
        self._publisher = world.tester.create_publisher(
            AlignedEvents, 'aligned_events', qos.SLICES
        )
        world.until(lambda: self._publisher.get_subscription_count() > 0)

    def __call__(self):
        self._sent += 1
        counts = np.zeros((2, 128, 128), np.uint8)
        slice_ = Slice(EPOCH + self._sent * 10 * MS, 10 * MS, Region(0, 0, 128, 128), counts, 0)
        aligned = AlignedSlice(slice_, 0, SyncSource.NONE, 0.0, 0)
        self._publisher.publish(aligned_to_message(aligned, 'event_camera', 0))
        self._world.run(0.01)


def test_slices_of_another_length_are_refused_while_faces_come_and_go(world):
    node = world.add(ReconstructorNode)
    node.start()
    publisher = world.tester.create_publisher(AlignedEvents, 'aligned_events', qos.SLICES)
    world.until(lambda: publisher.get_subscription_count() > 0)
    counts = np.zeros((2, 128, 128), np.uint8)
    for number, face in enumerate((-1, 0, -1), start=1):
        region = Region(0, 0, 128, 128) if face >= 0 else None
        slice_ = Slice(EPOCH + number * 5 * MS, 5 * MS, region, counts, 0)
        aligned = AlignedSlice(slice_, face, SyncSource.NONE, 0.0, 0)
        publisher.publish(aligned_to_message(aligned, 'event_camera', 0))
    world.until(lambda: node.malformed == 3 or not world.context.ok())
    assert not node.failed


def test_images_are_made_only_while_somebody_subscribes(world):
    node = world.add(ReconstructorNode)
    node.start()
    send = SliceSender(world)

    def count(*names):
        return [node.diagnose().values[name] for name in names]

    world.until(lambda: send() or count('slices') >= [30])
    # One that is late is skipped, and counted.
    assert count('images', 'images_skipped') == [0, 0]
    images = world.collect(Image, 'reconstruction/image', qos.RESULTS)
    world.until(lambda: send() or images)
    assert count('images') >= [1]


class AheadClock:
    """The clocks of a machine whose system clock is ahead of that of the sender."""

    monotonic_ns = staticmethod(time.monotonic_ns)

    @staticmethod
    def time_ns():
        return time.time_ns() + 3000 * MS


@pytest.mark.parametrize('composed', [True, False])
def test_images_are_made_whatever_the_clock_of_the_sender_says(world, monkeypatch, composed):
    for module in (inputs, slices, reconstructor):
        monkeypatch.setattr(module, 'time', AheadClock)
    thread = SubscriptionThread() if composed else None
    node = world.add(ReconstructorNode, thread=thread)
    node.start()
    world.add(SynchronizerNode, thread=thread, region=REGION).start()
    images = world.collect(Image, 'reconstruction/image', qos.RESULTS)
    world.until(lambda: node._publisher.has_subscribers)
    feed = world.feed_packets()
    packets = map(packet_to_message, some_packets(60_000))
    world.until(lambda: feed([next(packets)]) or images)


def test_slices_do_not_wait_for_images(world, monkeypatch):
    node = world.add(ReconstructorNode)
    node.start()
    send = SliceSender(world)
    images = world.collect(Image, 'reconstruction/image', qos.RESULTS)
    begun, go_on = threading.Event(), threading.Event()

    def reconstruct(self, state):
        begun.set()
        assert go_on.wait(60)
        return Reconstruction(*np.zeros((2, 128, 128), np.uint8))

    monkeypatch.setattr(Reconstructor, 'reconstruct', reconstruct)
    world.until(lambda: send() or begun.is_set())
    before = node.diagnose().values['slices']
    world.until(lambda: send() or node.diagnose().values['slices'] >= before + 30)
    assert not images
    go_on.set()
    world.until(lambda: images)


def test_what_the_worker_has_not_done_is_left_when_the_node_is_deactivated(world, monkeypatch):
    node = world.add(ReconstructorNode)
    node.start()
    send = SliceSender(world)
    world.collect(Image, 'reconstruction/image', qos.RESULTS)
    begun, go_on = threading.Event(), threading.Event()

    def reconstruct(self, state):
        assert not begun.is_set(), 'a second image'
        begun.set()
        assert go_on.wait(60)
        return Reconstruction(*np.zeros((2, 128, 128), np.uint8))

    monkeypatch.setattr(Reconstructor, 'reconstruct', reconstruct)
    monkeypatch.setattr('microexpr_ros.ros.nodes.reconstructor.MAX_AGE_NS', 60_000 * MS)
    world.until(lambda: send() or begun.is_set())
    before = node.diagnose().values['slices']
    world.until(lambda: send() or node.diagnose().values['slices'] >= before + 30)
    threading.Timer(0.2, go_on.set).start()
    node.trigger_deactivate()
    assert go_on.is_set()
    assert not node.failed


def test_the_reconstruction_is_pasted_into_the_newest_frame(world):
    node = world.add(ReconstructorNode, paste=True)
    node.start()
    world.add(SynchronizerNode, region=REGION).start()
    pasted = world.collect(Image, 'reconstruction/pasted', qos.FRAMES)
    frames = world.tester.create_publisher(Image, 'rgb_camera/image_raw', qos.FRAMES)
    world.until(lambda: frames.get_subscription_count() == 2 and node._pasting is not None)
    # As many pixels as the event sensor has.
    pixels = np.full((240, 320, 3), (200, 20, 20), np.uint8)

    def feed():
        frames.publish(pixels_to_image(pixels, EPOCH, 'rgb_camera'))

    feed()
    world.until(lambda: node._pasting.has_frame)
    world.feed_packets(map(packet_to_message, some_packets()))
    world.until(lambda: pasted)
    shown = image_to_pixels(pasted[0])
    assert (pasted[0].encoding, shown.shape) == ('rgb8', (240, 320, 3))
    assert pasted[0].header.frame_id == 'rgb_camera'
    assert to_ns(pasted[0].header.stamp) > EPOCH
    x, y, width, height = REGION
    assert (shown[:y] == pixels[:y]).all()
    assert (shown[y + height // 2, x + width // 2] != pixels[0, 0]).any()


def test_a_frame_that_cannot_be_pasted_into_keeps_no_other_image_back(world):
    node = world.add(ReconstructorNode, paste=True)
    node.start()
    frames = world.tester.create_publisher(Image, 'rgb_camera/image_raw', qos.FRAMES)
    world.until(lambda: frames.get_subscription_count() > 0)
    frames.publish(Image(height=2, width=2, step=2, encoding='nv21'))
    world.until(lambda: node._pasting.has_frame)
    world.collect(Image, 'reconstruction/pasted', qos.FRAMES)
    aligned = world.collect(Image, '/humans/faces/face_0/aligned', qos.RESULTS)
    send = SliceSender(world)
    world.until(lambda: send() or (node.malformed and aligned))
    assert node.diagnose().values['images'] > 0
    assert not node.failed


def test_a_geometry_that_is_missing_is_a_failure(world):
    node = world.add(ReconstructorNode, paste=True, geometry='missing.yaml')
    assert node.trigger_configure().name == 'FAILURE'


def test_an_overlay_is_published_from_the_first_slice_on(world):
    world.add(OverlayNode, rate_hz=100.0).start()
    pictures = world.collect(Image, 'overlay/image', qos.FRAMES)
    publisher = world.tester.create_publisher(AlignedEvents, 'aligned_events', qos.SLICES)
    world.until(lambda: publisher.get_subscription_count() > 0)
    world.run(0.3)
    assert not pictures
    slice_ = Slice(EPOCH, 10 * MS, None, np.zeros((2, 8, 8), np.uint8), 0)
    aligned = AlignedSlice(slice_, -1, SyncSource.NONE, 0.0, 0)
    publisher.publish(aligned_to_message(aligned, 'event_camera', 0))
    world.until(lambda: len(pictures) > 2)
    assert {to_ns(message.header.stamp) for message in pictures} == {EPOCH}
    assert pictures[0].header.frame_id == 'event_camera'


def test_the_overlay_shows_thresholds_and_losses_of_the_nodes_beside_it():
    panel = Panel()
    limits = ' '.join(['0.5'] * len(CODES))
    reports = {
        '/robot/au_classifier': {'thresholds': limits},
        '/robot/synchronizer': {'lost_packets': 3, 'lost_frames': 0},
    }

    def show(namespace):
        for name, values in reports.items():
            message = diagnostics_to_message(name, Time(), Diagnosis(values=values))
            show_diagnostics(panel, message, namespace)
        return panel.draw()

    blank = Panel().draw()
    for namespace in ('/', '/other'):
        np.testing.assert_array_equal(show(namespace), blank)
    shown = show('/robot')
    assert not np.array_equal(shown[:SIDE, 2 * SIDE :], blank[:SIDE, 2 * SIDE :])
    assert not np.array_equal(shown[SIDE:], blank[SIDE:])


def test_frames_reach_the_slices(world):
    node = world.add(SynchronizerNode, region=REGION)
    node.start()
    slices = world.collect(AlignedEvents, 'aligned_events', qos.SLICES)
    frames = world.tester.create_publisher(Image, 'rgb_camera/image_raw', qos.FRAMES)
    packets = [packet_to_message(packet) for packet in some_packets()]
    more = world.feed_packets(packets[:20])
    world.until(lambda: frames.get_subscription_count() > 0)
    pixels = np.full((240, 320, 3), 77, np.uint8)
    frames.publish(pixels_to_image(pixels, EPOCH + 65 * MS, 'rgb_camera'))
    world.until(lambda: node._frames.total)
    more(packets[20:])
    world.until(lambda: any(message.image for message in slices))
    (shown,) = (message for message in slices if message.image)
    assert to_ns(shown.header.stamp) == EPOCH + 70 * MS
    assert to_ns(shown.image[0].header.stamp) == EPOCH + 65 * MS
    assert (shown.image[0].height, shown.image[0].encoding) == (128, 'rgb8')
    assert set(shown.image[0].data) == {77}


def test_compressed_frames_reach_the_slices(world):
    node = world.add(
        SynchronizerNode, 'rgb_camera/image_raw:=/usb/image/compressed', region=REGION
    )
    node.start()
    slices = world.collect(AlignedEvents, 'aligned_events', qos.SLICES)
    frames = world.tester.create_publisher(CompressedImage, '/usb/image/compressed', qos.FRAMES)
    packets = [packet_to_message(packet) for packet in some_packets()]
    more = world.feed_packets(packets[:20])
    world.until(lambda: frames.get_subscription_count() > 0)
    pixels = np.full((240, 320, 3), 77, np.uint8)
    frames.publish(pixels_to_compressed(pixels, EPOCH + 65 * MS, 'usb', 95))
    world.until(lambda: node._frames.total)
    more(packets[20:])
    world.until(lambda: any(message.image for message in slices))
    (shown,) = (message for message in slices if message.image)
    assert to_ns(shown.image[0].header.stamp) == EPOCH + 65 * MS
    assert set(shown.image[0].data) == {77}


def test_a_video_stands_in_for_a_camera(world, tmp_path):
    import cv2

    path = tmp_path / 'video.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 50, (64, 48))
    for _ in range(10):
        writer.write(np.full((48, 64, 3), (200, 20, 20), np.uint8))
    writer.release()
    images = world.collect(Image, 'rgb_camera/image_raw', qos.FRAMES)
    node = world.add(RgbCameraNode, device=str(path))
    node.start()
    world.until(lambda: len(images) > 12)
    pixel = np.frombuffer(images[0].data, np.uint8).reshape(48, 64, 3)[24, 32]
    assert images[0].encoding == 'rgb8'
    assert pixel[2] > 150 > 80 > pixel[0]


def test_a_camera_that_is_not_there_is_waited_for(world):
    node = world.add(RgbCameraNode, device='/dev/video97')
    node.start()
    world.until(lambda: node.diagnose().message == 'waiting for the camera')
