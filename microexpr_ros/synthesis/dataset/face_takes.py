"""Takes of the whole sensor, to train and score trackers of faces: where the faces are is known.

Takes to learn from are made coarsely: a pixel stands for several of the sensor's, with a threshold
that is as much lower, and samples are farther apart. Takes to score by have a sensor's own size.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.atomic import atomic_target
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.grid import SLICE_NS, accumulate
from microexpr_ros.events.region import Region
from microexpr_ros.events.sensor_grid import SENSOR_CELLS, sensor_grid
from microexpr_ros.jobs import run
from microexpr_ros.synthesis.dataset.splits import SPLITS
from microexpr_ros.synthesis.person.person import make_person
from microexpr_ros.synthesis.person.ranges import PERSONS
from microexpr_ros.synthesis.person.template import FACE_HEIGHT
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS, SensorParameters
from microexpr_ros.synthesis.sensors.filming import sense
from microexpr_ros.synthesis.world.labels import face_landmarks, project
from microexpr_ros.synthesis.world.light import Light, LightKinds
from microexpr_ros.synthesis.world.motion import HeadTurn, Instant, Motion, Wave
from microexpr_ros.synthesis.world.motion_sampling import (
    sample_calm,
    sample_clip,
    sample_story,
    sample_wave,
)
from microexpr_ros.synthesis.world.renderer import PinholeCamera
from microexpr_ros.synthesis.world.scene import Scene, build_scene
from microexpr_ros.synthesis.world.scenery import Scenery, sample_scenery, sample_shoulders
from microexpr_ros.synthesis.world.timing import render_times

EXACT_GENERATOR: Final = 'faces-2'
"""Changes whenever the same seed gives other exact takes."""

COARSE_GENERATOR: Final = 'faces-3'
"""The same of coarse ones."""

TAKES_PER_PERSON: Final = 8
"""Takes that follow each other and show one person."""

_LIGHTS: Final = LightKinds(
    ('bright', 'dim', 'side', 'flicker', 'backlit'), (0.36, 0.22, 0.24, 0.03, 0.15)
)
"""For training: flicker takes ten times as long as the others."""

_SIZES: Final = ((346, 260), (640, 480), (1280, 720))


@dataclass(frozen=True, slots=True)
class FaceRecipe:
    """What decides the takes of a split.

    Attributes:
        split: whose persons, lights and sensors: train, val, test or shift.
        seed: any whole number from 0.
        exact: whether a take has a sensor's own size and pixels.
        faces: whether there are any.
        duration_ns: length of a take.
    """

    split: str = 'train'
    seed: int = 0
    exact: bool = False
    faces: bool = True
    duration_ns: int = 2_500_000_000

    @property
    def name(self) -> str:
        """Name of its folder."""
        exact, empty = '-exact' if self.exact else '', '' if self.faces else '-nobody'
        return f'{self.split}{exact}{empty}'


@dataclass(frozen=True, slots=True, eq=False)
class FaceTake:
    """Events of the whole sensor, and where the faces are.

    Attributes:
        height: rows of the picture, px.
        width: columns of the picture, px.
        pixels: sensor's pixels that one of the picture stands for.
        cells: uint16 [N], nonzero cells of [2, rows, columns], slice after slice.
        counts: uint8 [N], events of each.
        starts: int64 [T + 1], where each slice's cells begin.
        landmarks: float32 [P, T, 5, 2], of the faces at the ends of slices, px.
        points: float32 [P, T, 68, 2], all landmarks with expressions, px; no slices if coarse.
    """

    height: int
    width: int
    pixels: float
    cells: NDArray[np.uint16]
    counts: NDArray[np.uint8]
    starts: NDArray[np.int64]
    landmarks: NDArray[np.float32]
    points: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the grid."""
        return sensor_grid(self.height, self.width)

    def dense(self, number: int) -> NDArray[np.uint8]:
        """Return the counts of one slice, uint8 [2, rows, columns]."""
        rows, columns = self.shape
        out = np.zeros(2 * rows * columns, np.uint8)
        span = slice(int(self.starts[number]), int(self.starts[number + 1]))
        out[self.cells[span]] = self.counts[span]
        return out.reshape(2, rows, columns)


def generate_face_takes(
    root: Path,
    recipe: FaceRecipe,
    takes: int,
    workers: int | Executor = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Make takes, or go on with those that are there, and return their files.

    Raises:
        MicroexprError: An option is invalid, or the folder holds takes of another recipe.
    """
    if recipe.split not in SPLITS:
        raise MicroexprError(f'split {recipe.split!r} is unknown: choose {", ".join(SPLITS)}')
    folder = root / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    described = _describe(recipe)
    path = folder / 'recipe.json'
    if path.is_file():
        found = json.loads(path.read_text())
        if found != described:
            raise MicroexprError(
                f'{folder} holds takes of another recipe ({found}): choose another folder or '
                'delete it'
            )
    else:
        with atomic_target(path, replace=True) as hidden:
            hidden.write_text(json.dumps(described) + '\n')
    paths = [folder / f'take-{number:05d}.npz' for number in range(takes)]
    todo = {
        at: partial(_write_take, at, recipe, number)
        for number, at in enumerate(paths)
        if not at.is_file()
    }
    made = takes - len(todo)

    def report(path: Path, result: None) -> None:
        nonlocal made
        made += 1
        if progress is not None:
            progress(made, takes)

    run(todo, workers, report)
    return paths


def read_face_take(path: Path) -> FaceTake:
    """Read a take of `generate_face_takes`."""
    with np.load(path, allow_pickle=False) as archive:
        height, width, pixels = archive['size'].tolist()
        names = ('cells', 'counts', 'starts', 'landmarks', 'points')
        return FaceTake(int(height), int(width), pixels, *(archive[name] for name in names))


def make_face_take(recipe: FaceRecipe, index: int) -> FaceTake:
    """Make one take; about a second if coarse, and some tens of seconds on an HD sensor."""
    rng = _generator(recipe, index)
    world = _sample_world(rng, recipe, index)
    times = _render_times(world, recipe)
    instants = [motion.instants(times) for _, motion in world.persons]
    pictures = (
        (t_ns, _radiance(world, t_ns, [one[number] for one in instants]))
        for number, t_ns in enumerate(times.tolist())
    )
    slices = recipe.duration_ns // SLICE_NS
    counts = np.zeros((slices, 2, *sensor_grid(world.height, world.width)), np.uint8)
    sensor = Region(0, 0, world.width, world.height)
    for sample in sense(pictures, world.sensor, world.light, rng):
        events = sample.events
        if not len(events):
            continue
        first, last = int(events.t[0]) // SLICE_NS, int(events.t[-1]) // SLICE_NS
        cuts = np.searchsorted(events.t, np.arange(first, last + 2) * SLICE_NS)
        for number in range(first, min(last + 1, slices)):
            inside = events[int(cuts[number - first]) : int(cuts[number - first + 1])]
            accumulate(inside, sensor, counts[number])
    flat = counts.reshape(slices, -1)
    at, cells = np.nonzero(flat)
    ends = (np.arange(slices) + 1) * SLICE_NS
    faces = [face_landmarks(scene, motion, ends) for scene, motion in world.persons]
    points = [
        project(scene, motion.channels(ends), motion.pose(ends), motion.shake(ends))
        for scene, motion in world.persons
        if recipe.exact
    ]
    return FaceTake(
        world.height,
        world.width,
        world.pixels,
        cells.astype(np.uint16),
        flat[at, cells],
        np.searchsorted(at, np.arange(slices + 1)).astype(np.int64),
        np.stack(faces) if faces else np.zeros((0, slices, 5, 2), np.float32),
        np.stack(points) if points else np.zeros((0, 0, 68, 2), np.float32),
    )


def _write_take(path: Path, recipe: FaceRecipe, index: int) -> None:
    cv2.setNumThreads(1)
    take = make_face_take(recipe, index)
    size = np.array([take.height, take.width, take.pixels])
    names = ('cells', 'counts', 'starts', 'landmarks', 'points')
    with atomic_target(path, replace=True) as hidden:
        arrays = {name: getattr(take, name) for name in names}
        np.savez_compressed(hidden, allow_pickle=False, size=size, **arrays)


def _describe(recipe: FaceRecipe) -> dict[str, Any]:
    names = ('split', 'seed', 'exact', 'faces', 'duration_ns')
    generator = EXACT_GENERATOR if recipe.exact else COARSE_GENERATOR
    return {**{name: getattr(recipe, name) for name in names}, 'generator': generator}


def describe_take(recipe: FaceRecipe, index: int) -> dict[str, str]:
    """Return the names of a take's sensor and light, without making it."""
    sight = _sample_sight(_generator(recipe, index), recipe)
    return {'sensor': sight.name, 'light': sight.light.name}


def _generator(recipe: FaceRecipe, index: int) -> np.random.Generator:
    return np.random.default_rng([recipe.seed, SPLITS[recipe.split].first_person, index, 4])


@dataclass(frozen=True, slots=True, eq=False)
class _Sight:
    name: str
    height: int
    width: int
    pixels: float
    sensor: SensorParameters
    light: Light


def _sample_sight(rng: np.random.Generator, recipe: FaceRecipe) -> _Sight:
    """Sample the sensor and the light: the first random numbers of a take."""
    split = SPLITS[recipe.split]
    if recipe.exact:
        chosen = split.sample_sensor(rng, str(rng.choice(list(SENSORS), p=(0.55, 0.33, 0.12))))
        sensor = chosen.parameters
        light = split.lights.sample(rng, 'random')
        return _Sight(chosen.name, sensor.height, sensor.width, 1.0, sensor, light)
    across, down = _SIZES[rng.choice(len(_SIZES), p=(0.4, 0.3, 0.3))]
    width = int(rng.integers(SENSOR_CELLS, 201))
    sensor, pixels = _sample_pixels(rng)
    light = _LIGHTS.sample(rng, 'random')
    return _Sight('coarse', round(width * down / across), width, pixels, sensor, light)


@dataclass(frozen=True, slots=True, eq=False)
class _World:
    height: int
    width: int
    pixels: float
    sensor: SensorParameters
    light: Light
    scenery: Scenery
    persons: tuple[tuple[Scene, Motion], ...]
    shake: tuple[Wave, Wave]


def _sample_world(rng: np.random.Generator, recipe: FaceRecipe, index: int) -> _World:
    split = SPLITS[recipe.split]
    sight = _sample_sight(rng, recipe)
    height, width, light = sight.height, sight.width, sight.light
    shaking = float(rng.uniform(0.1, 1.0)) * 0.006 if rng.random() < 0.12 else 0.0
    shake = (sample_wave(rng, shaking, 2, 10), sample_wave(rng, shaking, 2, 10))
    number = 0
    if recipe.faces:
        # Coarse takes also show nobody, so that what moves is not always a face.
        shares = (0.0, 0.9, 0.1) if recipe.exact else (0.14, 0.7, 0.16)
        number = int(rng.choice(3, p=shares))
    persons, shoulders = [], []
    level = float(light.ambient_lux + 0.4 * sum(lamp.lux for lamp in light.lamps[:2]))
    # A window behind the head is brighter than any wall.
    level = max(level, light.behind[1] * light.on_face_lux)
    for nth, camera in enumerate(_sample_cameras(rng, width, height, number)):
        block = index // TAKES_PER_PERSON
        first = np.random.default_rng([recipe.seed, split.first_person, block + 1 - nth, 5])
        who, skin = (split.first_person + int(n) for n in first.integers(PERSONS, size=2))
        person = make_person(who, skin)
        turn = np.clip(rng.normal(0, 1, 3), -2.2, 2.2) * np.deg2rad([7, 13, 6])
        blur = float(rng.uniform(0.2, 0.7))
        scene = build_scene(rng, person, light, camera, turn, blur)
        persons.append((scene, _sample_motion(rng, recipe.duration_ns, shake)))
        if rng.random() < 0.85:
            face = (
                camera.centre[0] / width,
                camera.centre[1] / width,
                camera.focal_px * FACE_HEIGHT / camera.distance / width,
            )
            shoulders.append(sample_shoulders(rng, level, face))
    moves = 0.9 if not number else 0.45
    scenery = sample_scenery(rng, level, height / width, tuple(shoulders), moves)
    return _World(height, width, sight.pixels, sight.sensor, light, scenery, tuple(persons), shake)


def _sample_cameras(
    rng: np.random.Generator, width: int, height: int, number: int
) -> list[PinholeCamera]:
    """Sample where heads are, farthest first; two do not hide each other's faces."""
    out: list[PinholeCamera] = []
    for _ in range(number):
        largest = 0.95 if number == 1 else 0.6
        share = float(np.exp(rng.uniform(np.log(0.25), np.log(largest))))
        face = share * height
        for _ in range(20):
            x = float(rng.uniform(0.36, max(width / face - 0.36, 0.37))) * face
            y = float(rng.uniform(0.46, max(height / face - 0.46, 0.47))) * face
            if all(abs(x - other.centre[0]) > 0.8 * face for other in out):
                distance = float(rng.uniform(4.5, 14))
                focal = face / FACE_HEIGHT * distance
                out.append(PinholeCamera(width, height, focal, distance, (x, y)))
                break
    return sorted(out, key=lambda camera: camera.focal_px / camera.distance)


def _sample_pixels(rng: np.random.Generator) -> tuple[SensorParameters, float]:
    """Sample pixels of which each stands for several, and for how many."""
    threshold = float(np.exp(rng.uniform(np.log(0.1), np.log(0.4))))
    fine = float(min(rng.uniform(0.07, 0.13), threshold))
    pixels = threshold / fine
    balance = float(np.exp(rng.normal(0, 0.12)))
    noise = float(np.exp(rng.uniform(np.log(0.01), np.log(0.4)))) if rng.random() < 0.8 else 0.01
    return SensorParameters(
        threshold_on=fine * balance,
        threshold_off=fine / balance,
        threshold_sigma=float(rng.uniform(0.1, 0.25)) * fine,
        corner_hz=float(np.exp(rng.uniform(np.log(30), np.log(400)))),
        refractory_ns=0,
        leak_hz=float(rng.uniform(0, 0.1)) * pixels,
        shot_hz=noise * pixels,
        rate_spread=float(rng.uniform(0.05, 0.6)),
        return_share=float(rng.uniform(0, 0.55)),
        return_ns=int(rng.uniform(3, 7) * 1e6),
        hot_share=float(rng.uniform(0, 1.5e-3)),
        hot_hz=float(rng.uniform(10, 80)) * pixels,
    ), pixels


def _sample_motion(rng: np.random.Generator, duration_ns: int, shake: tuple[Wave, Wave]) -> Motion:
    """Sample how a head moves: all the time, at first, or hardly."""
    kind = rng.choice(('roam', 'settle', 'calm', 'story'), p=(0.4, 0.3, 0.2, 0.1))
    if kind == 'calm':
        motion = sample_calm(rng, duration_ns, str(rng.choice(('blink', 'talk', 'head'))))
    elif kind == 'story':
        motion = sample_story(rng, duration_ns)
    else:
        motion = sample_clip(rng, duration_ns)
    turns = list(motion.turns)
    if kind in ('roam', 'settle'):
        end_ns = duration_ns if kind == 'roam' else int(0.45 * duration_ns)
        t_ns = int(rng.uniform(-0.4e9, 0.3e9))
        while t_ns < end_ns - 150_000_000:
            turns += _sample_move(rng, t_ns, end_ns)
            t_ns += int(rng.uniform(0.15e9, 1.0e9))
    return replace(motion, turns=tuple(turns), camera=shake)


def _sample_move(rng: np.random.Generator, t_ns: int, end_ns: int) -> list[HeadTurn]:
    """Sample a turn or a step of the head to another place, or there and back."""
    there = int(np.exp(rng.uniform(np.log(0.15e9), np.log(0.9e9))))
    there = min(there, end_ns - t_ns)
    back = int(rng.uniform(0.1e9, 0.8e9)) if rng.random() < 0.5 else 60_000_000_000
    times = t_ns, t_ns + there, t_ns + there + back, t_ns + 2 * there + back
    reach = np.deg2rad([18, 26, 16]) if rng.random() < 0.6 else np.deg2rad([7, 8, 5])
    axes = rng.choice(6, p=(0.18, 0.26, 0.14, 0.18, 0.12, 0.12), size=int(rng.integers(1, 3)))
    out = []
    for axis in {int(axis) for axis in axes}:
        size = float(reach[axis]) if axis < 3 else float(rng.uniform(0.1, 0.8))
        out.append(HeadTurn(axis, *times, float(rng.uniform(-1, 1)) * size))
    return out


def _render_times(world: _World, recipe: FaceRecipe) -> NDArray[np.int64]:
    step = 0.6 if recipe.exact else 1.0
    parts = [np.array([0, recipe.duration_ns], np.int64)]
    parts += [
        render_times(scene, motion, 0, recipe.duration_ns, step) for scene, motion in world.persons
    ]
    waves = sum(float((2 * np.pi * w.hz * w.amplitude).sum()) for w in world.shake)
    speed_px = (world.scenery.speed + waves) * world.width
    if speed_px > 0:
        step_ns = max(int(2 * step / speed_px * 1e9), 5_000_000)
        parts.append(np.arange(0, recipe.duration_ns, step_ns, dtype=np.int64))
    times = np.unique(np.concatenate(parts) // 1000 * 1000)
    # Two lists of times have pairs that nearly coincide.
    nearest_ns = 1_500_000 if recipe.exact else 4_000_000
    apart = np.diff(times, prepend=-(10**9)) > nearest_ns
    return times[apart]


def _radiance(world: _World, t_ns: int, instants: Sequence[Instant]) -> NDArray[np.float32]:
    """Return the whole picture at a time, without flicker, float32 [height, width], lux."""
    at = np.array([t_ns])
    shake = np.array([float(wave.level(at)[0]) for wave in world.shake])
    picture = world.scenery.background(world.height, world.width, t_ns, shake)
    for (scene, _), instant in zip(world.persons, instants, strict=True):
        picture = replace(scene, background=picture[..., None]).radiance(instant)
    world.scenery.cover(picture, t_ns, shake)
    return np.ascontiguousarray(picture, np.float32)
