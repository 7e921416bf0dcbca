"""Streams in place of a camera; the one of the tests is MJPEG over HTTP, from this process."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from sensor_msgs.msg import Image

from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import qos, video
from microexpr_ros.ros.conversions import image_to_pixels
from microexpr_ros.ros.diagnostics import WARN
from microexpr_ros.ros.nodes.rgb_camera import RgbCameraNode
from microexpr_ros.ros.video import VideoSource, find_source, hide_password

HAS_FFMPEG = cv2.videoio_registry.hasBackend(cv2.CAP_FFMPEG)


class Stream:
    """An HTTP camera, which can stop sending without closing the connection."""

    def __init__(self):
        self.stalled = threading.Event()
        self.closing = threading.Event()
        self.connections = 0
        stream = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                stream.connections += 1
                self.send_response(200)
                self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=next')
                self.end_headers()
                while not stream.closing.wait(0.02):
                    if not stream.stalled.is_set():
                        self.send_frame()

            def send_frame(self):
                _, data = cv2.imencode('.jpg', np.full((48, 64, 3), (20, 60, 220), np.uint8))
                head = f'--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n'
                self.wfile.write(head.encode() + data.tobytes() + b'\r\n')

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """Say nothing: the reader has closed the connection."""

        self.server = Server(('127.0.0.1', 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f'http://user:secret@127.0.0.1:{self.server.server_port}/video.mjpg'

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()


class UndecodedCapture:
    """A camera whose frames arrive and cannot be decoded, as MJPEG over a bad cable."""

    def isOpened(self):  # noqa: N802  # OpenCV's name
        return True

    def grab(self):
        time.sleep(0.01)
        return True

    def retrieve(self):
        return False, None

    def release(self):
        pass


@pytest.fixture
def stream():
    stream = Stream()
    yield stream
    stream.close()


@pytest.mark.skipif(not HAS_FFMPEG, reason='OpenCV without FFmpeg')
def test_a_stream_that_stalls_is_opened_anew(world, stream, monkeypatch):
    monkeypatch.setattr(video, 'TIMEOUT_MS', 700)
    images = world.collect(Image, 'rgb_camera/image_raw', qos.FRAMES)
    node = world.add(RgbCameraNode, device=stream.url)
    node.start()
    world.until(lambda: len(images) > 5)
    np.testing.assert_allclose(image_to_pixels(images[0])[24, 32], (220, 60, 20), atol=6)
    assert node.diagnose().message == 'running'
    assert 'secret' not in node.diagnose().values['device']
    stream.stalled.set()
    world.until(lambda: node.diagnose().message == 'waiting for the camera')
    stream.stalled.clear()
    before = len(images)
    world.until(lambda: len(images) > before + 5)
    assert stream.connections > 1
    assert node.error is None


@pytest.mark.skipif(not HAS_FFMPEG, reason='OpenCV without FFmpeg')
def test_a_stream_that_is_not_there_is_waited_for(world):
    node = world.add(RgbCameraNode, device='rtsp://127.0.0.1:1/face')
    node.start()
    world.run(0.5)
    assert node.error is None
    assert node.diagnose().message == 'waiting for the camera'


@pytest.mark.parametrize('device', ['0', '/dev/video97'])
def test_cameras_are_opened_by_any_backend(device):
    source = find_source(device)
    assert (source.backend, source.is_file) == (cv2.CAP_ANY, False)


@pytest.mark.parametrize(
    ('device', 'backend'),
    [
        ('rtsp://camera/1', cv2.CAP_FFMPEG),
        ('udp://@239.0.0.1:1234', cv2.CAP_FFMPEG),
        ('videotestsrc ! videoconvert ! appsink', cv2.CAP_GSTREAMER),
        ('rtspsrc location=rtsp://a ! decodebin ! appsink drop=true', cv2.CAP_GSTREAMER),
    ],
)
def test_streams_are_opened_by_their_backend(monkeypatch, device, backend):
    monkeypatch.setattr(cv2.videoio_registry, 'hasBackend', lambda asked: asked == backend)
    source = find_source(device)
    assert (source.backend, source.is_file) == (backend, False)


@pytest.mark.parametrize(
    ('device', 'message'),
    [
        ('rtsp://me:secret@camera/1', r"'rtsp://\.\.\.@camera/1' needs an OpenCV with FFmpeg"),
        ('videotestsrc ! appsink', 'needs an OpenCV with GStreamer.* or give a URL'),
    ],
)
def test_a_backend_that_is_missing_is_named(monkeypatch, device, message):
    monkeypatch.setattr(cv2.videoio_registry, 'hasBackend', lambda _: False)
    with pytest.raises(MicroexprError, match=message):
        find_source(device)


@pytest.mark.parametrize(
    ('device', 'message'),
    [
        ('no such file', r"'no such file' is no camera, no file and no stream; .*rtsp"),
        ('gopher://me:secret@camera', r"'gopher://\.\.\.@camera' is no camera"),
        ('rtsp', "'rtsp' is no camera"),
        ('videotestsrc ! autovideosink', 'end it with ! videoconvert ! appsink'),
        ('appsink ! videoconvert', 'end it with ! videoconvert ! appsink'),
    ],
)
def test_what_cannot_be_opened_is_refused(monkeypatch, device, message):
    monkeypatch.setattr(cv2.videoio_registry, 'hasBackend', lambda _: True)
    with pytest.raises(MicroexprError, match=message):
        find_source(device)


def test_a_file_that_is_no_video_is_refused(tmp_path):
    path = tmp_path / 'text.mp4'
    path.write_text('a text')
    with pytest.raises(MicroexprError, match=r'text\.mp4 is not a video'):
        find_source(str(path))


def test_passwords_are_hidden_in_pipelines_too():
    pipeline = 'rtspsrc location=rtsp://{}camera/1?at=x@y ! decodebin ! appsink'
    assert hide_password(pipeline.format('me:secret@')) == pipeline.format('...@')
    assert hide_password(pipeline.format('')) == pipeline.format('')


def test_a_camera_whose_frames_cannot_be_decoded_sends_nothing(world, monkeypatch):
    monkeypatch.setattr(VideoSource, 'open', lambda *_: UndecodedCapture())
    node = world.add(RgbCameraNode)
    node.start()
    world.until(lambda: node.diagnose().message.startswith('the camera is open and has sent'))
    assert node.diagnose().level == WARN
