"""A made person who comes near and goes away in front of an event camera and an RGB camera."""

from dataclasses import replace

import numpy as np

from microexpr_ros.events.events import Events
from microexpr_ros.synthesis.person.person import make_person
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS
from microexpr_ros.synthesis.sensors.filming import film
from microexpr_ros.synthesis.sensors.frame_camera import FrameClock, auto_expose
from microexpr_ros.synthesis.sensors.frame_taking import take_frames
from microexpr_ros.synthesis.world.labels import face_landmarks
from microexpr_ros.synthesis.world.light import ROOM_LIGHTS
from microexpr_ros.synthesis.world.motion import HeadTurn
from microexpr_ros.synthesis.world.motion_sampling import sample_story
from microexpr_ros.synthesis.world.renderer import PinholeCamera
from microexpr_ros.synthesis.world.scene import build_scene

PERSON = 4_200_000
SECOND = 10**9
ALWAYS = (-3 * SECOND, -2 * SECOND, 100 * SECOND, 101 * SECOND)

SENSOR, FRAME = (180, 240), (360, 480)
FOCAL_PX = 225.0
"""Of the event camera; the RGB camera has twice as many pixels and twice that."""
TRANSLATION_M = np.array([-0.05, -0.01, 0.0])
"""From the event camera to the RGB camera, which look the same way."""


def film_face(seconds=10):
    """Return the events, the frames, and the landmarks at these in both cameras, px.

    The person moves as in a story and is at 0.42 to 0.8 m.
    """
    rng = np.random.default_rng(5)
    person, lit = make_person(PERSON, PERSON), ROOM_LIGHTS.sample(rng, 'bright')
    motion = sample_story(rng, seconds * SECOND)
    motion = replace(motion, turns=(*motion.turns, *_come_and_go()))
    # The head of the second camera is beside that of the first; x to its left, y up, dm.
    beside = [HeadTurn(3, *ALWAYS, -0.5), HeadTurn(4, *ALWAYS, 0.1)]
    moved = replace(motion, turns=(*motion.turns, *beside))
    scene, beside_it = (
        build_scene(
            np.random.default_rng(1),
            person,
            lit,
            PinholeCamera(columns, rows, focal_px, 6.0, (columns / 2, rows / 2)),
            np.deg2rad([2.0, -3.0, 1.0]),
            0.4,
        )
        for (rows, columns), focal_px in ((SENSOR, FOCAL_PX), (FRAME, 2 * FOCAL_PX))
    )
    sensor = replace(SENSORS['davis346'], height=SENSOR[0], width=SENSOR[1])
    samples = film(scene, motion, sensor, rng)
    first = next(samples)
    events = Events.concatenate([first.events, *(sample.events for sample in samples)])
    camera = replace(auto_expose(first.picture), rate_hz=15.0)
    frames = take_frames(beside_it, moved, camera, FrameClock(), rng)
    truth = [
        face_landmarks(one, its, frames.stamp_ns)
        for one, its in ((scene, motion), (beside_it, moved))
    ]
    return events, frames, truth


def _come_and_go():
    """Return movements along the line of sight, and aside; dm, and their times in s."""
    return [
        HeadTurn(axis, *(round(time * SECOND) for time in times), reach)
        for axis, times, reach in (
            (5, (0.3, 1.8, 2.5, 4.0), 1.8),
            (5, (4.2, 5.7, 6.2, 7.5), -2.0),
            (5, (7.6, 9.0, 20.0, 21.0), 1.5),
            (3, (1.0, 2.2, 3.0, 4.4), 0.35),
            (4, (5.0, 6.5, 7.0, 8.4), 0.25),
        )
    ]
