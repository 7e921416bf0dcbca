"""One synthetic person in one light in front of two cameras."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events
from microexpr_ros.synthesis.dataset.clip import STEP_PX, STREAMED
from microexpr_ros.synthesis.person import face, skin
from microexpr_ros.synthesis.person.face import FACE_CENTRE, FACE_HEIGHT
from microexpr_ros.synthesis.person.wrinkles import Wrinkles, draw_wrinkles, on_chart
from microexpr_ros.synthesis.sensors import event_sensor, frame_sensor
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS, SensorParameters
from microexpr_ros.synthesis.world import motion, renderer
from microexpr_ros.synthesis.world.motion import Motion
from microexpr_ros.synthesis.world.renderer import Camera, Lamp, Surface, Texture

LIGHTS: Final = ('bright', 'dim', 'side', 'flicker')
"""Light conditions; 'random' draws one of them."""

_LIGHT_SHARES = (0.4, 0.23, 0.25, 0.12)
_SENSOR_SHARES = (0.4, 0.35, 0.25)

_LONGEST_STEP_NS = 40_000_000
_GRID_NS = 4_000_000
_FLICKER_STEP_NS = 1_250_000
# Where the head turns on the neck, dm.
_PIVOT = np.array([0.0, 6.2, 0.3], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Someone to look at.

    Attributes:
        identity: Their head.
        rig: How it moves.
        ambient: float32 [V], occlusion of the surroundings at rest, 0-1.
        skin_name: What it is painted with.
        wrinkles: How its lines deepen.
        relief: Those lines as a texture, see renderer.Surface.
        luma: Texture with one channel, what both cameras see.
        colour: Texture with linear RGB.
    """

    identity: face.Identity
    rig: face.Rig
    ambient: NDArray[np.float32]
    skin_name: str
    wrinkles: Wrinkles
    relief: Texture
    luma: Texture
    colour: Texture


@dataclass(frozen=True, slots=True)
class Light:
    """Illumination.

    Attributes:
        name: one of LIGHTS.
        lamps: what casts shadows.
        ambient_lux: illuminance by the surroundings.
        flicker_hz: frequency of the lamps' brightness, 0 for steady light.
        flicker_depth: relative amplitude of it.
        flicker_phase: rad.
    """

    name: str
    lamps: tuple[Lamp, ...]
    ambient_lux: float
    flicker_hz: float = 0.0
    flicker_depth: float = 0.0
    flicker_phase: float = 0.0

    def gain(self, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the factor on all radiance, float64 [N], at times t_ns."""
        angle = 2 * np.pi * self.flicker_hz * np.asarray(t_ns, np.float64) * 1e-9
        wave = np.sin(angle + self.flicker_phase)
        return np.asarray(1 + self.flicker_depth * wave, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A person, a light and a view.

    Attributes:
        person: Who.
        light: How it is lit.
        camera: The view.
        surface: Occlusion and mip levels.
        turn: float64 [3], rotation of the head at rest about x, y, z, rad.
        background: float32 [height, width, 1], radiance behind the head, lux.
        blur_px: standard deviation of the lens's blur.
    """

    person: Person
    light: Light
    camera: Camera
    surface: Surface
    turn: NDArray[np.float64]
    background: NDArray[np.float32]
    blur_px: float

    def radiance(
        self,
        channels: NDArray[np.float32],
        pose: NDArray[np.float64],
        shift: NDArray[np.float64],
        colour: bool = False,
    ) -> NDArray[np.float32]:
        """Render an instant in steady light.

        Args:
            channels: float32 [C], values of the rig's channels.
            pose: float64 [6], rotation (rad) and translation (dm) from rest.
            shift: float64 [2], of the picture, in widths.
            colour: Whether to render RGB.

        Returns:
            float32 [height, width] or [height, width, 3], lux.
        """
        person = self.person
        head = renderer.Head(
            placed(person.rig.pose(channels), person.rig, self.turn, pose),
            person.wrinkles.weight(channels),
            _rotation(self.turn + pose[:3]),
        )
        view = np.array([*(shift * self.camera.width), 1], np.float32)
        texture = person.colour if colour else person.luma
        background = np.repeat(self.background, 3, axis=2) if colour else self.background
        picture = renderer.render(
            self.surface,
            texture,
            head,
            view,
            self.camera,
            self.light.lamps,
            self.light.ambient_lux,
            background,
        )
        if self.blur_px > 0.1:
            picture = np.asarray(
                cv2.GaussianBlur(picture, (0, 0), self.blur_px), np.float32
            ).reshape(picture.shape)
        return picture if colour else picture[..., 0]


@lru_cache(maxsize=4)
def make_person(number: int, skin_number: int, photograph: Path | None = None) -> Person:
    """Build a person; about a second, the last few are cached."""
    model = face.load()
    identity = face.draw_identity(model, number)
    rig = face.rig(model, identity)
    painted = skin.paint(model, identity, skin_number, photograph)
    lines = draw_wrinkles(np.random.default_rng([number, 0xF01D]), model.vertices, identity.age)
    return Person(
        identity,
        rig,
        _occlusion(model, rig),
        painted.name,
        lines,
        renderer.mip(skin.on_atlas(on_chart(lines, skin.positions(model)))),
        renderer.mip((painted.atlas @ skin.LUMA)[..., None]),
        renderer.mip(painted.atlas),
    )


def _occlusion(model: face.FaceModel, rig: face.Rig) -> NDArray[np.float32]:
    """Return the share of the surroundings that vertices see, those of the mouth while open."""
    ambient = renderer.ambient_occlusion(rig.rest, model.triangles, model.material)
    opened = np.zeros(motion.CHANNELS, np.float32)
    for code in (25, 26):
        at = 2 * facs.CODES.index(code)
        opened[at : at + 2] = 1
    inner = renderer.inside_mouth(model)
    ambient[inner] = renderer.ambient_occlusion(rig.pose(opened), model.triangles, model.material)[
        inner
    ]
    return ambient


def draw_light(rng: np.random.Generator, name: str) -> Light:
    """Draw a light of a kind: bright, dim, side, flicker, or random."""
    if name == 'random':
        name = str(rng.choice(LIGHTS, p=_LIGHT_SHARES))
    if name not in LIGHTS:
        raise MicroexprError(f'unknown light {name!r}: choose {", ".join(LIGHTS)} or random')
    low, high = {
        'bright': (400, 2500),
        'dim': (3, 30),
        'side': (80, 600),
        'flicker': (120, 600),
    }[name]
    lux = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    if name == 'side':
        azimuth = np.deg2rad(rng.uniform(50, 85)) * rng.choice([-1, 1])
        elevation = np.deg2rad(rng.uniform(-5, 40))
        ambient = rng.uniform(0.06, 0.2)
    else:
        azimuth = np.deg2rad(rng.uniform(-45, 45))
        elevation = np.deg2rad(rng.uniform(10, 60))
        ambient = rng.uniform(0.3, 0.8)
    lamps = [Lamp(direction(azimuth, elevation), lux)]
    if name != 'side' and rng.random() < 0.4:
        other = np.deg2rad(rng.uniform(20, 70)) * -np.sign(azimuth)
        lamps.append(
            Lamp(
                direction(other, np.deg2rad(rng.uniform(0, 50))),
                lux * float(rng.uniform(0.1, 0.5)),
            )
        )
    if name != 'flicker':
        return Light(name, tuple(lamps), lux * float(ambient))
    return Light(
        name,
        tuple(lamps),
        lux * float(ambient),
        100.0,
        float(rng.uniform(0.02, 0.11)),
        float(rng.uniform(0, 2 * np.pi)),
    )


def draw_sensor(rng: np.random.Generator, name: str) -> str:
    """Return the name of a sensor; 'random' draws one."""
    if name == 'random':
        return str(rng.choice(list(SENSORS), p=_SENSOR_SHARES))
    if name not in SENSORS:
        raise MicroexprError(f'unknown sensor {name!r}: choose {", ".join(SENSORS)} or random')
    return name


def draw_region_scene(
    rng: np.random.Generator, person: Person, light: Light, sensor: str
) -> Scene:
    """Draw the view of a face region, as a coarse face box would cut it from the sensor.

    The face (chin to hairline) fills 66 to 100 % of the box, off centre by up to 7 %.
    """
    low, high = {'davis346': (112, 200), 'vga': (128, 240), 'hd': (160, 256)}[sensor]
    side = np.exp(rng.uniform(np.log(low), np.log(high)))
    width, height = (int(side * f) for f in rng.uniform(0.94, 1.06, 2))
    fill = rng.uniform(0.66, 1.0)
    offset = rng.uniform(-0.07, 0.07, 2) * (width, height)
    distance = float(rng.uniform(4.5, 11.0))
    camera = Camera(
        width,
        height,
        height * fill / FACE_HEIGHT * distance,
        distance,
        (width / 2 + float(offset[0]), height / 2 + float(offset[1])),
    )
    turn = np.clip(rng.normal(0, 1, 3), -2, 2) * np.deg2rad([5, 8, 3])
    return build_scene(rng, person, light, camera, turn, float(rng.uniform(0, 0.6)))


def build_scene(
    rng: np.random.Generator,
    person: Person,
    light: Light,
    camera: Camera,
    turn: NDArray[np.float64],
    blur_px: float,
) -> Scene:
    """Place a person in front of a drawn background and measure the occlusion."""
    rest = placed(person.rig.rest, person.rig, turn, np.zeros(6))
    surface = renderer.prepare(
        face.load(), rest, person.ambient, light.lamps, camera, person.relief
    )
    cells = rng.integers(3, 9)
    pattern = rng.random((cells, cells)).astype(np.float32)
    smooth = cv2.resize(pattern, (camera.width, camera.height), interpolation=cv2.INTER_CUBIC)
    level = rng.uniform(0.02, 0.5) * (light.ambient_lux + 0.3 * light.lamps[0].lux)
    contrast = rng.uniform(0, 0.9)
    background = level * np.maximum(1 - contrast + contrast * smooth, 0.05)
    return Scene(
        person, light, camera, surface, turn, background[..., None].astype(np.float32), blur_px
    )


def sample_times(
    scene: Scene,
    course: Motion,
    start_ns: int = 0,
    end_ns: int | None = None,
    step_px: float = STEP_PX,
) -> NDArray[np.int64]:
    """Return times, int64 ns, between which nothing in the picture moves over `step_px`.

    The times begin with `start_ns`, end with `end_ns` (the course's duration if it is not
    given) and are whole microseconds.
    """
    end_ns = course.duration_ns if end_ns is None else end_ns
    grid = np.arange(start_ns, end_ns + _GRID_NS, _GRID_NS, dtype=np.int64)
    rig = scene.person.rig
    few = np.arange(0, len(rig.rest), 13)
    basis = rig.basis.reshape(len(rig.basis), -1, 3)[:, few].reshape(len(rig.basis), -1)
    moved = (course.channels(grid) @ basis).reshape(len(grid), len(few), 3)
    pose = course.pose(grid)
    # Small angles: the turn moves a point by angle x lever.
    lever = rig.rest[few] - _PIVOT
    turned = np.cross(pose[:, None, :3], lever[None]) * rig.neck[few][:, None]
    path = moved + turned + pose[:, None, 3:] * rig.neck[few][:, None]
    scale = scene.camera.focal_px / scene.camera.distance
    picture = path[..., :2] * scale + (course.shift(grid) * scene.camera.width)[:, None]
    steps = np.linalg.norm(np.diff(picture, axis=0), axis=2).max(axis=1)
    # Nearing the camera changes the scale; half a face away from the axis it counts this much.
    steps += np.abs(np.diff(pose[:, 5])) / scene.camera.distance * scene.camera.height / 2
    progress = np.concatenate([[0], np.cumsum(steps / step_px + _GRID_NS / _LONGEST_STEP_NS)])
    count = int(np.ceil(progress[-1]))
    times = np.interp(np.linspace(0, progress[-1], count + 1), progress, grid)
    times = np.clip(times, start_ns, end_ns).astype(np.int64) // 1000 * 1000
    return np.unique(np.concatenate([[start_ns], times, [end_ns]]))


@dataclass(frozen=True, slots=True)
class Sample:
    """One rendered sample of a take, and the events since the one before.

    Attributes:
        t_ns: time of the sample.
        picture: float32 [height, width], radiance in steady light, lux.
        events: events since the sample before; none for the first.
    """

    t_ns: int
    picture: NDArray[np.float32]
    events: Events


def film(
    scene: Scene,
    course: Motion,
    parameters: SensorParameters,
    rng: np.random.Generator,
    step_px: float = STEP_PX,
) -> Iterator[Sample]:
    """Yield the samples of a take, from time 0 to its end, as the event sensor sees it.

    Args:
        scene: Person, light and view.
        course: What moves.
        parameters: The event sensor's pixels; its size does not matter here.
        rng: Draws the pixels' mismatch.
        step_px: Farthest that anything moves between two samples, px.
    """
    times = sample_times(scene, course, step_px=step_px)
    channels, pose, shift = course.channels(times), course.pose(times), course.shift(times)
    before = scene.radiance(channels[0], pose[0], shift[0])
    state = settle_sensor(parameters, scene.light, before, rng)
    yield Sample(0, before, Events.empty())
    for k in range(1, len(times)):
        after = scene.radiance(channels[k], pose[k], shift[k])
        span = int(times[k - 1]), int(times[k])
        events, state = sense(parameters, state, scene.light, before, after, *span)
        yield Sample(span[1], after, events)
        before = after


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
    the event camera's view and resolution, as in a DAVIS.

    Args:
        seed: Decides everything; the same seed gives the same stream.
        sensor: A key of SENSORS.
        duration_ns: Length of the take; a multiple of `chunk_ns`.
        light: One of LIGHTS.
        chunk_ns: Length of a piece.

    Raises:
        MicroexprError: The sensor or the light is unknown, or the duration does not fit.
    """
    if duration_ns < chunk_ns or duration_ns % chunk_ns:
        raise MicroexprError(
            f'duration {duration_ns} ns is not a multiple of the chunk, {chunk_ns} ns: round it'
        )
    rng = np.random.default_rng([seed, 0x57E])
    sensor = draw_sensor(rng, sensor)
    parameters = SENSORS[sensor]
    number = STREAMED + int(rng.integers(1_000_000))
    person = make_person(number, number)
    lit = draw_light(rng, light)
    camera, region = full_view(parameters)
    turn = np.clip(rng.normal(0, 1, 3), -2, 2) * np.deg2rad([2, 4, 1.5])
    scene = build_scene(rng, person, lit, camera, turn, 0.4)
    course = motion.draw_story(rng, duration_ns)
    frame_camera: frame_sensor.FrameSensor | None = None
    next_frame_ns = 0
    ready: list[Events] = []
    frames: list[tuple[int, NDArray[np.uint8]]] = []
    start_ns = 0
    for sample in film(scene, course, parameters, rng):
        if frame_camera is None:
            frame_camera = frame_sensor.settle(sample.picture)
            next_frame_ns = frame_camera.exposure_ns
        while next_frame_ns <= sample.t_ns:
            frame = _colour_frame(scene, course, frame_camera, next_frame_ns, rng)
            frames.append((next_frame_ns, frame))
            next_frame_ns += int(1e9 / frame_camera.rate_hz)
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
                course.intensity(np.array([end_ns]))[0],
                region,
            )
            frames = [frame for frame in frames if frame[0] > end_ns]
            start_ns = end_ns


def settle_sensor(
    parameters: SensorParameters,
    light: Light,
    picture: NDArray[np.float32],
    rng: np.random.Generator,
) -> event_sensor.SensorState:
    """Return the state at time 0 of pixels that have long looked at a still scene.

    Args:
        parameters: The sensor.
        light: If it flickers, the pixels have followed it for two periods.
        picture: float32 [height, width], radiance in steady light, lux.
        rng: Draws the pixels' mismatch.
    """
    if light.flicker_depth == 0:
        return event_sensor.start(parameters, picture, 0, rng)
    begin_ns = -int(2e9 / light.flicker_hz)
    gain = np.float32(light.gain(np.array([begin_ns]))[0])
    state = event_sensor.start(parameters, picture * gain, begin_ns, rng)
    return sense(parameters, state, light, picture, picture, begin_ns, 0)[1]


def sense(
    parameters: SensorParameters,
    state: event_sensor.SensorState,
    light: Light,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    start_ns: int,
    end_ns: int,
) -> tuple[Events, event_sensor.SensorState]:
    """Run the event sensor from one rendered sample to the next, in finer steps if it flickers."""
    if light.flicker_depth == 0:
        return event_sensor.step(parameters, state, after, end_ns)
    count = max(round((end_ns - start_ns) / _FLICKER_STEP_NS), 1)
    times = np.linspace(start_ns, end_ns, count + 1).astype(np.int64)[1:] // 1000 * 1000
    gains = light.gain(times)
    parts = []
    for t, gain in zip(times, gains, strict=True):
        share = np.float32((t - start_ns) / (end_ns - start_ns))
        picture = (before + share * (after - before)) * np.float32(gain)
        events, state = event_sensor.step(parameters, state, picture, int(t))
        parts.append(events)
    return Events.concatenate(parts), state


def full_view(parameters: SensorParameters) -> tuple[Camera, tuple[int, int, int, int]]:
    """Return a view in which the face takes most of the height and the bust ends below it."""
    width, height = parameters.width, parameters.height
    distance = 8.0
    face_px = 0.64 * height
    camera = Camera(
        width, height, face_px / FACE_HEIGHT * distance, distance, (width / 2, 0.56 * height)
    )
    side = int(face_px / 0.8)
    return camera, (width // 2 - side // 2, int(0.56 * height) - side // 2, side, side)


def _colour_frame(
    scene: Scene,
    course: Motion,
    camera: frame_sensor.FrameSensor,
    end_ns: int,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    times = np.linspace(end_ns - camera.exposure_ns, end_ns, 2).astype(np.int64)
    times = np.maximum(times, 0)
    channels, pose, shift = course.channels(times), course.pose(times), course.shift(times)
    pictures = [
        scene.radiance(channels[k], pose[k], shift[k], colour=True) for k in range(len(times))
    ]
    gain = scene.light.gain(np.linspace(times[0], times[-1], 32).astype(np.int64)).mean()
    mean = np.mean(pictures, axis=0) * np.float32(gain)
    return frame_sensor.expose(camera, mean.astype(np.float32), rng)


def placed(
    vertices: NDArray[np.float32],
    rig: face.Rig,
    turn: NDArray[np.float64],
    pose: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Turn and shift the head on its neck, and put the face's centre at the origin.

    Args:
        vertices: float32 [V, 3], dm.
        rig: Says by `neck` [V] how far each vertex follows the head.
        turn: float64 [3], rotation of the head at rest, rad.
        pose: float64 [6], rotation (rad) and translation (dm) from there.
    """
    angles = turn + pose[:3]
    lever = vertices - _PIVOT
    rotated = lever @ _rotation(angles).T.astype(np.float32) + pose[3:].astype(np.float32)
    out = _PIVOT + lever + rig.neck[:, None] * (rotated - lever)
    return np.asarray(out - np.array(FACE_CENTRE, np.float32), np.float32)


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix of rotations about z, then x, then y."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z, np.float64)


def direction(azimuth: float, elevation: float) -> tuple[float, float, float]:
    """Return the unit vector towards a lamp, angles in rad; 0, 0 is where the camera stands."""
    return (
        float(np.sin(azimuth) * np.cos(elevation)),
        float(np.sin(elevation)),
        float(np.cos(azimuth) * np.cos(elevation)),
    )
