"""Video files as recordings, and what their events have in common with those of a sensor."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from fake_clips import needs_face
from videos import moving_texture, write_video

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events
from microexpr_ros.synthesis.person.person import make_person
from microexpr_ros.synthesis.person.template import FACE_HEIGHT
from microexpr_ros.synthesis.sensors import video_sensor
from microexpr_ros.synthesis.sensors.filming import film
from microexpr_ros.synthesis.sensors.frame_camera import auto_expose, encode
from microexpr_ros.synthesis.sensors.video_file import VideoRecording, is_video
from microexpr_ros.synthesis.world.light import ROOM_LIGHTS
from microexpr_ros.synthesis.world.motion import single
from microexpr_ros.synthesis.world.renderer import PinholeCamera
from microexpr_ros.synthesis.world.scene import build_scene

MS = 1_000_000


@pytest.mark.parametrize('name', ['clip.mp4', 'clip.avi'])
def test_a_video_has_events_and_frames_at_the_times_of_the_file(tmp_path, name):
    path = write_video(tmp_path / name, moving_texture(20), 25.0)
    assert is_video(path)
    recording = VideoRecording(path)
    assert (recording.width, recording.height) == (64, 48)
    frames = list(recording.frames())
    assert [frame.t for frame in frames] == pytest.approx(np.arange(20) * 40 * MS, abs=1000)
    assert frames[0].pixels.shape == (48, 64, 3)
    pieces = [events for events, _ in recording.chunks()]
    assert recording.fraction == 1.0
    events = Events.concatenate(pieces)
    assert len(events) > 1000
    assert (np.diff(events.t) >= 0).all()
    assert events.t[0] < 40 * MS
    assert 700 * MS < events.t[-1] < 760 * MS
    # It can be read again.
    assert sum(len(events) for events, _ in recording.chunks()) == len(events)


def test_a_large_video_is_scaled_down(tmp_path):
    path = write_video(tmp_path / 'clip.avi', moving_texture(3, 720, 1280))
    recording = VideoRecording(path)
    assert (recording.width, recording.height) == (640, 360)
    assert next(recording.frames()).pixels.shape == (360, 640, 3)
    assert VideoRecording(path, (1280, 720)).width == 1280


def test_what_is_no_video_is_refused_with_the_reason(tmp_path):
    path = tmp_path / 'clip.mp4'
    path.write_bytes(b'no video' * 100)
    with pytest.raises(MicroexprError, match=r'clip\.mp4 is not a video that OpenCV can read'):
        VideoRecording(path)
    assert not is_video(tmp_path / 'clip.raw')
    assert not is_video(tmp_path / 'absent.mp4')


@needs_face
def test_events_of_a_video_agree_with_those_of_a_sensor_at_the_same_place(tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    person = make_person(2_000_000, 2_000_000)
    light = ROOM_LIGHTS.sample(rng, 'bright')
    side = 160
    camera = PinholeCamera(side, side, side * 0.8 / FACE_HEIGHT * 8, 8.0, (side / 2, side / 2))
    scene = build_scene(rng, person, light, camera, np.zeros(3), 0.3)
    motion = single(12, 0.8, 600 * MS)
    noiseless = replace(video_sensor.PIXELS, leak_hz=0.0, shot_hz=0.0)
    monkeypatch.setattr(video_sensor, 'PIXELS', noiseless)
    pixels = replace(noiseless, width=side, height=side, threshold_sigma=0.0)
    filmed, of_another_sensor = (
        Events.concatenate(
            sample.events for sample in film(scene, motion, pixels, np.random.default_rng(seed))
        )
        for seed in (0, 1)
    )

    times = np.arange(0, 600 * MS, 33_333_333)
    pictures = [scene.radiance(instant) for instant in motion.instants(times)]
    white_lux = auto_expose(pictures[0]).white_lux
    path = tmp_path / 'face.avi'
    codec = cv2.VideoWriter.fourcc(*'FFV1')
    writer = cv2.VideoWriter(str(path), codec, 30.0, (side, side))
    if not writer.isOpened():
        pytest.skip('this OpenCV has no codec without losses')
    for picture in pictures:
        writer.write(np.repeat(encode(picture / white_lux)[..., None], 3, -1))
    writer.release()
    converted = Events.concatenate(events for events, _ in VideoRecording(path).chunks())

    def count(events):
        """Return ON minus OFF events of cells of 4 x 4 pixels in 100 ms."""
        counts = np.zeros((6, side // 4, side // 4))
        signs = np.where(events.p, 1, -1)
        slices = np.minimum(events.t // (100 * MS), 5)
        np.add.at(counts, (slices, events.y // 4, events.x // 4), signs)
        return counts.ravel()

    assert len(converted) == pytest.approx(len(filmed), rel=0.25)
    # Two sensors do not agree wholly either: their pixels start between other thresholds.
    best = np.corrcoef(count(of_another_sensor), count(filmed))[0, 1]
    agreement = np.corrcoef(count(converted), count(filmed))[0, 1]
    assert agreement > 0.85
    assert agreement > best - 0.03
