"""Videos and topics of images in place of a webcam, which becomes an event camera."""

import threading
import time

import numpy as np
import pytest
from videos import moving_texture, write_video

pytest.importorskip('rclpy')

from event_camera_msgs.msg import EventPacket
from microexpr_ros.msg import AlignedEvents
from sensor_msgs.msg import Image

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.cameras import CameraAbsentError, CameraLostError
from microexpr_ros.events.codecs import decoder, warm_up
from microexpr_ros.events.events import Frame
from microexpr_ros.ros import cameras, qos
from microexpr_ros.ros.cameras import EventCameraParameters, opener
from microexpr_ros.ros.conversions import image_to_pixels, pixels_to_image, to_ns
from microexpr_ros.ros.diagnostics import WARN
from microexpr_ros.ros.nodes.event_camera import EventCameraNode
from microexpr_ros.ros.nodes.synchronizer import SynchronizerNode
from microexpr_ros.ros.video import VideoSource
from microexpr_ros.ros.webcam import (
    MOST_WAITING,
    DeviceFrames,
    ReceivedFrame,
    ReceivedFrames,
    StampClock,
    TopicFrames,
    WebcamCamera,
)

MS = 1_000_000
SHARED_CLOCK = AlignedEvents.SHARED_CLOCK


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp('video') / 'clip.avi', moving_texture(30))


def arrived(number, size=(48, 64), begins=False):
    pixels = np.full(size, 60 if number % 2 else 200, np.uint8)
    t_ns = number * 33 * MS
    return ReceivedFrame(Frame(t_ns, pixels), 10**18 + t_ns, time.monotonic_ns(), begins)


class Wire:
    """A source of frames that the test feeds."""

    name = 'wire'
    open_timeout_s = 0.1

    def __init__(self, is_endless=True):
        self.received = ReceivedFrames()
        self.is_endless = is_endless
        self.is_closed = False

    def close(self):
        self.is_closed = True


def test_events_come_with_the_frame_that_shows_them():
    wire = Wire()
    wire.received.put(arrived(0))
    camera = WebcamCamera(wire)
    assert (camera.width, camera.height, camera.serial) == (64, 48, 'wire')
    first = camera.read(0.1)
    assert (len(first.events), [frame.t for frame in first.frames]) == (0, [0])
    wire.received.put(arrived(1))
    batch = camera.read(0.1)
    assert [frame.t for frame in batch.frames] == [33 * MS]
    # No event waits for another frame: the newest is that of this one's moment.
    assert 0 <= batch.events.t[0] < 5 * MS
    assert 28 * MS < batch.events.t[-1] < 33 * MS
    assert batch.host_ns(33 * MS) == 10**18 + 33 * MS
    assert not len(camera.read(0.01).events)
    camera.close()
    assert wire.is_closed


def test_frames_that_come_too_fast_are_dropped_the_oldest_first():
    wire = Wire()
    wire.received.put(arrived(0))
    camera = WebcamCamera(wire)
    camera.read(0.1)
    for number in range(1, 6):
        wire.received.put(arrived(number))
    batches = [camera.read(0.01) for _ in range(MOST_WAITING)]
    assert [frame.t for batch in batches for frame in batch.frames] == [4 * 33 * MS, 5 * 33 * MS]
    assert sum(batch.lost for batch in batches) == 3


def test_a_camera_without_a_frame_is_absent():
    wire = Wire()
    with pytest.raises(CameraAbsentError, match='no frames from wire'):
        WebcamCamera(wire)
    assert wire.is_closed


def test_a_camera_that_vanishes_or_changes_its_size_is_lost():
    wire = Wire()
    wire.received.put(arrived(0))
    camera = WebcamCamera(wire)
    camera.read(0.1)
    wire.received.put(arrived(1, (24, 32)))
    with pytest.raises(CameraLostError, match='wire now sends 32 x 24 pixels'):
        camera.read(0.1)
    wire.received.end()
    with pytest.raises(CameraLostError, match='no more frames from wire'):
        camera.read(0.1)


def test_a_file_that_begins_again_makes_no_events_of_the_jump():
    wire = Wire()
    wire.received.put(arrived(0, begins=True))
    camera = WebcamCamera(wire)
    camera.read(0.1)
    wire.received.put(arrived(1, begins=True))
    assert len(camera.read(0.1).events) == 0
    wire.received.put(arrived(2))
    batch = camera.read(0.1)
    assert len(batch.events) > 0
    assert batch.lost == 0


def test_a_video_that_is_not_repeated_ends(clip):
    source = VideoSource(str(clip), is_file=True)
    camera = WebcamCamera(DeviceFrames(source, loop=False))
    began_s = time.monotonic()
    times = []
    while not camera.ended:
        times += [frame.t for frame in camera.read(0.5).frames]
    # At its own pace.
    assert time.monotonic() - began_s > 0.8
    assert (np.diff(times) > 0).all()
    assert times[-1] == pytest.approx(29 / 30 * 1e9, abs=1000)
    camera.close()


def test_the_time_of_a_video_that_is_repeated_runs_on(clip):
    camera = WebcamCamera(DeviceFrames(VideoSource(str(clip), is_file=True)))
    times = [0]
    while times[-1] < 1.2e9:
        times += [frame.t for frame in camera.read(0.5).frames]
    assert (np.diff(times[1:]) > 0).all()
    camera.close()


def test_stamps_that_go_back_before_the_first_begin_anew():
    clock = StampClock()
    assert [clock.time_ns(t) for t in (100, 133, 120, 50, 83)] == [0, 33, 20, 0, 33]


def test_what_waited_for_a_topic_before_it_was_lost_is_forgotten():
    received = ReceivedFrames()
    received.put(arrived(0))
    with pytest.raises(CameraAbsentError, match='no frames from /image'):
        WebcamCamera(TopicFrames('/image', received))


def test_a_device_and_a_topic_are_two_webcams():
    given = EventCameraParameters(driver='webcam', device='1', topic='/image')
    with pytest.raises(MicroexprError, match='two webcams; leave one out'):
        opener(given, ReceivedFrames())


def test_one_video_is_event_camera_and_frame_camera(world, clip, capfd):
    warm_up().join()
    remapping = 'rgb_camera/image_raw:=event_camera/image_raw'
    world.add(SynchronizerNode, remapping, region=[0, 0, 64, 48]).start()
    slices = world.collect(AlignedEvents, 'aligned_events', qos.SLICES)
    packets = world.collect(EventPacket, 'event_camera/events', qos.EVENTS)
    images = world.collect(Image, 'event_camera/image_raw', qos.FRAMES)
    node = world.add(EventCameraNode, driver='webcam', device=str(clip))
    node.start()
    world.until(
        lambda: (
            sum(len(one.image) for one in slices) > 5
            and any(one.sync_source == SHARED_CLOCK and one.events for one in slices)
        ),
        seconds=60,
    )
    assert (packets[0].width, packets[0].height) == (64, 48)
    assert image_to_pixels(images[0]).shape == (48, 64, 3)
    assert node.diagnose().values['camera'] == f'webcam {clip}'
    decode = decoder('evt3', 48, 64).decode
    times = [decode(packet.events, packet.time_base)[0].t for packet in packets]
    assert max(np.ptp(t) for t in times) < 2 * MS
    log = ''.join(capfd.readouterr())
    assert log.count('events are made from frames') == 1


def test_a_topic_of_images_becomes_events_with_its_stamps(world):
    packets = world.collect(EventPacket, 'event_camera/events', qos.EVENTS)
    node = world.add(EventCameraNode, driver='webcam', topic='usb/image_raw')
    node.start()
    publisher = world.tester.create_publisher(Image, 'usb/image_raw', qos.FRAMES)
    images = world.collect(Image, 'event_camera/image_raw', qos.FRAMES)
    assert node.diagnose().message.startswith('waiting for the camera')
    stop = threading.Event()
    # Stamps of another clock than this machine's: they are kept.
    sent_ns = []

    def send():
        while not stop.wait(0.033):
            sent_ns.append(5_000_000_000 + time.monotonic_ns())
            picture = np.full((24, 32), 60 if len(sent_ns) % 2 else 200, np.uint8)
            publisher.publish(pixels_to_image(picture, sent_ns[-1], 'usb'))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        world.until(lambda: len(packets) > 20 and len(images) > 3, seconds=60)
    finally:
        stop.set()
        sender.join()
    assert {to_ns(image.header.stamp) for image in images} <= set(sent_ns)
    assert sent_ns[0] <= to_ns(packets[0].header.stamp) <= sent_ns[-1]
    assert node.diagnose().values['camera'] == 'webcam usb/image_raw'
    world.until(lambda: 'the publisher' in node._diagnose_state().message)
    assert node._diagnose_state().level == WARN


def test_a_webcam_that_is_not_connected_is_waited_for(world):
    node = world.add(EventCameraNode, driver='webcam', device='/dev/video97')
    node.start()
    world.run(0.5)
    assert node.error is None
    assert node.diagnose().message == 'waiting for the camera'


class Capture:
    """What OpenCV opens: a camera that is unplugged after some frames."""

    def __init__(self, frames):
        self._left = frames

    def isOpened(self):  # noqa: N802  # OpenCV's name
        return self._left > 0

    def grab(self):
        time.sleep(0.02)
        self._left -= 1
        return self._left >= 0

    def retrieve(self):
        return True, np.full((48, 64, 3), 60 if self._left % 2 else 200, np.uint8)

    def release(self):
        pass


class Port:
    """A USB port to which a webcam is connected once and again."""

    name, is_file = 'port', False

    def __init__(self, captures):
        self._captures = captures

    def open(self, width, height, rate_hz):
        return self._captures.pop(0) if self._captures else Capture(0)


def test_a_webcam_that_vanishes_is_waited_for_and_goes_on(world, monkeypatch):
    captures = [Capture(0), Capture(40), Capture(0), Capture(100_000)]
    monkeypatch.setattr(cameras, 'find_source', lambda device: Port(captures))
    packets = world.collect(EventPacket, 'event_camera/events', qos.EVENTS)
    node = world.add(EventCameraNode, driver='webcam')
    node.start()
    world.until(lambda: node.diagnose().values['reconnects'] == 1, seconds=60)
    sent = len(packets)
    world.until(lambda: len(packets) > sent + 10, seconds=60)
    # What was never sent is not lost: the numbers go on.
    np.testing.assert_array_equal(np.diff([message.seq for message in packets]), 1)


def test_images_that_change_their_size_are_another_camera(world):
    packets = world.collect(EventPacket, 'event_camera/events', qos.EVENTS)
    node = world.add(EventCameraNode, driver='webcam', topic='usb/image_raw')
    node.start()
    publisher = world.tester.create_publisher(Image, 'usb/image_raw', qos.FRAMES)
    number = 0

    def send(size):
        nonlocal number
        number += 1
        picture = np.full(size, 60 if number % 2 else 200, np.uint8)
        publisher.publish(pixels_to_image(picture, time.time_ns(), 'usb'))

    for size in ((24, 32), (48, 64)):
        world.until(
            lambda size=size: (
                send(size) or bool(packets and (packets[-1].height, packets[-1].width) == size)
            ),
            seconds=60,
        )
    assert node.diagnose().values['reconnects'] >= 1
