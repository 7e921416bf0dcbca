"""A face in front of an event camera and a frame camera, with the truth about their clocks."""

from dataclasses import replace

import numpy as np

from microexpr_ros.bags import BagWriter
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.packets import packetize
from microexpr_ros.synthesis.person.person import make_person
from microexpr_ros.synthesis.sensors import frame_camera
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS
from microexpr_ros.synthesis.sensors.filming import film
from microexpr_ros.synthesis.sensors.frame_camera import FrameClock
from microexpr_ros.synthesis.sensors.frame_taking import take_frames
from microexpr_ros.synthesis.world.light import ROOM_LIGHTS
from microexpr_ros.synthesis.world.motion_sampling import sample_story
from microexpr_ros.synthesis.world.scene import sample_full_scene

EPOCH_NS = 1_700_000_000_000_000_000
PERSON = 4_200_000


def make_face(light, offset_ns, seconds=6.0, seed=3):
    """Return events and frames; the frames' stamps are ahead by the offset, with 1 ms of jitter.

    The sensor is so small that it is quick to make.
    """
    rng = np.random.default_rng(seed)
    sensor = replace(SENSORS['davis346'], width=120, height=90)
    person, lit = make_person(PERSON, PERSON), ROOM_LIGHTS.sample(rng, light)
    scene = sample_full_scene(rng, person, lit, sensor.width, sensor.height)
    motion = sample_story(rng, round(seconds * 1e9))
    samples = film(scene, motion, sensor, rng)
    first = next(samples)
    events = Events.concatenate([first.events, *(sample.events for sample in samples)])
    clock = FrameClock(offset_ns, 2e-5, 1e6)
    camera = frame_camera.auto_expose(first.picture)
    return events, take_frames(scene, motion, camera, clock, rng)


def write_face(path, events, frames):
    """Write a bag whose events and frames are received as they come."""
    packets = packetize([(events, Triggers.empty())], 90, 120, epoch_ns=EPOCH_NS)
    with BagWriter(path) as writer:
        for packet in packets:
            writer.write_packet('/event_camera/events', packet)
        for stamp_ns, pixels in zip(frames.stamp_ns.tolist(), frames.pixels, strict=True):
            writer.write_image('/rgb_camera/image_raw', pixels, EPOCH_NS + stamp_ns, 'rgb')
