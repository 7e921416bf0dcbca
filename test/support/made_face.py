"""A frame of a made face; it needs the face model (anny)."""

import numpy as np


def render_face():
    """Return a frame of a made person at rest, and its landmarks."""
    from microexpr_ros.synthesis.person.person import make_person
    from microexpr_ros.synthesis.sensors.frame_camera import auto_expose, expose
    from microexpr_ros.synthesis.world.labels import face_landmarks
    from microexpr_ros.synthesis.world.light import ROOM_LIGHTS
    from microexpr_ros.synthesis.world.motion_sampling import sample_story
    from microexpr_ros.synthesis.world.scene import sample_full_scene

    rng = np.random.default_rng(0)
    person, light = make_person(4_200_000, 4_200_000), ROOM_LIGHTS.sample(rng, 'bright')
    scene = sample_full_scene(rng, person, light, 640, 480)
    motion, start = sample_story(rng, 10**9), np.zeros(1, np.int64)
    (instant,) = motion.instants(start)
    radiance = scene.radiance(instant, colour=True)
    pixels = expose(auto_expose(radiance.mean(axis=2)), radiance, rng)
    return pixels, face_landmarks(scene, motion, start)[0]
