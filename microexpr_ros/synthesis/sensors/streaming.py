"""A long take of one person, piece by piece, for demonstrations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events
from microexpr_ros.synthesis.person.person import make_person
from microexpr_ros.synthesis.person.ranges import FIRST_PERSON, PERSONS
from microexpr_ros.synthesis.sensors import frame_camera
from microexpr_ros.synthesis.sensors.filming import film
from microexpr_ros.synthesis.sensors.frame_camera import FrameCamera
from microexpr_ros.synthesis.sensors.models import sample_sensor
from microexpr_ros.synthesis.world.light import ROOM_LIGHTS
from microexpr_ros.synthesis.world.motion import Motion
from microexpr_ros.synthesis.world.motion_sampling import sample_story
from microexpr_ros.synthesis.world.scene import Scene, face_region, sample_full_scene

_RENDERED_MOMENTS: Final = 2
_GAIN_MOMENTS: Final = 32


@dataclass(frozen=True, slots=True)
class StreamChunk:
    """A piece of a longer stream.

    Attributes:
        start_ns: begin of the piece.
        end_ns: end of it.
        events: events of the piece, in order.
        frames: pairs of the time at which a frame was complete, ns, and the frame,
            uint8 [H, W, 3], sRGB.
        intensity: float32 [18], ground truth of facs.CODES at `end_ns`.
        region: (x, y, width, height) of the face on the sensor, px.
    """

    start_ns: int
    end_ns: int
    events: Events
    frames: tuple[tuple[int, NDArray[np.uint8]], ...]
    intensity: NDArray[np.float32]
    region: tuple[int, int, int, int]


def stream(
    seed: int,
    sensor: str = 'davis346',
    duration_ns: int = 10_000_000_000,
    light: str = 'bright',
    chunk_ns: int = 10_000_000,
) -> Iterator[StreamChunk]:
    """Yield a take of one person at the sensor's full resolution, piece by piece.

    The pieces are `chunk_ns` long and follow each other without a gap. The frame camera shares
    the event camera's place and resolution, as in a DAVIS.

    Args:
        seed: Decides everything; the same seed gives the same stream.
        sensor: A key of SENSORS.
        duration_ns: Length of the take; a multiple of `chunk_ns`.
        light: One of the kinds of ROOM_LIGHTS.
        chunk_ns: Length of a piece.

    Raises:
        MicroexprError: The sensor or the light is unknown, or the duration does not fit.
    """
    if duration_ns < chunk_ns or duration_ns % chunk_ns:
        raise MicroexprError(
            f'duration {duration_ns} ns is not a multiple of the chunk, {chunk_ns} ns: round it'
        )
    rng = np.random.default_rng([seed, 0x57E])
    parameters = sample_sensor(rng, sensor).parameters
    number = FIRST_PERSON['stream'] + int(rng.integers(PERSONS))
    person = make_person(number, number)
    lit = ROOM_LIGHTS.sample(rng, light)
    scene = sample_full_scene(rng, person, lit, parameters.width, parameters.height)
    motion = sample_story(rng, duration_ns)
    camera: FrameCamera | None = None
    close_ns = 0
    ready: list[Events] = []
    frames: list[tuple[int, NDArray[np.uint8]]] = []
    start_ns = 0
    for sample in film(scene, motion, parameters, rng):
        if camera is None:
            camera = frame_camera.auto_expose(sample.picture)
            close_ns = camera.exposure_ns
        while close_ns <= sample.t_ns:
            frames.append((close_ns, _take_frame(scene, motion, camera, close_ns, rng)))
            close_ns += int(1e9 / camera.rate_hz)
        ready.append(sample.events)
        while start_ns + chunk_ns <= sample.t_ns:
            end_ns = start_ns + chunk_ns
            together = Events.concatenate(ready)
            cut = int(np.searchsorted(together.t, end_ns, 'left'))
            ready = [together[cut:]]
            yield StreamChunk(
                start_ns,
                end_ns,
                together[:cut],
                tuple(frame for frame in frames if frame[0] <= end_ns),
                motion.intensity(np.array([end_ns]))[0],
                face_region(scene.camera),
            )
            frames = [frame for frame in frames if frame[0] > end_ns]
            start_ns = end_ns


def _take_frame(
    scene: Scene, motion: Motion, camera: FrameCamera, close_ns: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return the frame whose exposure ends at a time."""
    open_ns = close_ns - camera.exposure_ns
    instants = motion.instants(frame_camera.exposure_times(camera, open_ns, _RENDERED_MOMENTS))
    pictures = [scene.radiance(instant, colour=True) for instant in instants]
    gain = scene.light.gain(frame_camera.exposure_times(camera, open_ns, _GAIN_MOMENTS)).mean()
    # Single precision: another would change the last bit of frames of the same seed.
    return frame_camera.expose(camera, frame_camera.average(pictures, np.float32(gain)), rng)
