"""Clips: what a split's recipe draws, and how a clip of a face region is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events
from microexpr_ros.events.grid import GRID, SLICE_NS, accumulate
from microexpr_ros.events.region import Region

if TYPE_CHECKING:
    from microexpr_ros.synthesis.sensors.event_sensor import SensorParameters
    from microexpr_ros.synthesis.sensors.frame_sensor import FrameSensor
    from microexpr_ros.synthesis.world.motion import Motion
    from microexpr_ros.synthesis.world.scene import Light, Scene

GENERATOR: Final = '0.3'
"""Changes whenever the same seed gives other clips; a data set is never mixed from two."""

STEP_PX: Final = 0.4
"""Farthest that anything moves between two rendered samples, px. Box-filtered edges change a
pixel in proportion to their shift below one pixel, so a straight line between samples is true
there."""

STREAMED: Final = 3_000_000
"""First person of the takes of `scene.stream`."""

LIVE: Final = 6_000_000
"""First person of the simulated camera."""

SPLITS: Final = {
    'train': 0,
    'val': 1_000_000,
    'test': 2_000_000,
    'shift': 4_000_000,
    'calm': 5_000_000,
}
"""Split to its first person and skin; each has a million of both. `shift` differs from the
others in light, sensors and amplitudes as well: see synthesis.shift. `calm` has no expressions:
takes of CALM_NS of each kind of motion.CALM in turn, in which every detection is false."""

CALM_NS: Final = 5_000_000_000

CLIPS_PER_PERSON: Final = 6
TARGET_EVERY: Final = 4
"""Slices from one ground-truth picture to the next."""


@dataclass(frozen=True, slots=True)
class Clip:
    """About a second of one face region; in the split calm, five.

    Attributes:
        counts: uint8 [T, 2, 128, 128], events of each slice of 10 ms, OFF then ON, binned by
            events.grid.accumulate.
        pixels_per_cell: sensor pixels per grid cell.
        sides: float32 [T, 18, 2], ground truth at the end of each slice, 0-1, in the order of
            facs.CODES, on the subject's left and right.
        frames: uint8 [F, 128, 128], frames of a 30 Hz camera of the same region, gamma-encoded
            sRGB luma.
        frame_slice: int32 [F], slice in which each frame was complete.
        target: uint8 [K, 128, 128], what a sharp camera without noise would show at the end of
            the slices `target_slice`, with the exposure of the frames.
        target_slice: int32 [K].
        dominant: FACS code of the main unit, 0 for none.
        onset_ns, apex_ns, offset_ns: of the main unit since the clip's start; 0 for none.
        amplitude: intensity of the main unit at its apex, 0-1.
        identity: number of the person.
        skin: name of the skin.
        light: a name of scene.LIGHTS, in the split shift of shift.LIGHTS.
        sensor: a name of event_sensor.SENSORS, in the split shift of shift.SENSORS.
        seed: of the data set.
        index: of the clip in its split.
        distractors: what else moved: blink, gaze, talk, sway, nod (or shaking of the head), turn,
            shake (of the camera).
    """

    counts: NDArray[np.uint8]
    pixels_per_cell: float
    sides: NDArray[np.float32]
    frames: NDArray[np.uint8]
    frame_slice: NDArray[np.int32]
    target: NDArray[np.uint8]
    target_slice: NDArray[np.int32]
    dominant: int
    onset_ns: int
    apex_ns: int
    offset_ns: int
    amplitude: float
    identity: int
    skin: str
    light: str
    sensor: str
    seed: int
    index: int
    distractors: tuple[str, ...]

    @property
    def intensity(self) -> NDArray[np.float32]:
        """Ground truth of the stronger side, float32 [T, 18], 0-1."""
        return np.asarray(self.sides.max(axis=2), np.float32)

    @property
    def metadata(self) -> dict[str, Any]:
        """Everything but the arrays, ready for JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name in self.__slots__
            if not isinstance(value := getattr(self, name), np.ndarray)
        }


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides a split's clips.

    Attributes:
        split: train, val, test, shift or calm.
        seed: any whole number from 0.
        sensor: davis346, vga, hd or random.
        light: bright, dim, side, flicker or random; in the split shift night, flicker120,
            moving or random.
        photographs: skins in the mesh's UV map that half of the persons wear; none: all skins
            are procedural.
        step_px: farthest that anything moves between two rendered samples, px, up to 1. At 1 a
            clip takes half the time that it takes at `STEP_PX`, and has some events less.
    """

    split: str = 'train'
    seed: int = 0
    sensor: str = 'random'
    light: str = 'random'
    photographs: tuple[Path, ...] = ()
    step_px: float = STEP_PX


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """What is in front of the cameras in one clip.

    Attributes:
        view: the face region as the event sensor sees it.
        course: what moves.
        sensor: name of the event sensor.
        parameters: its pixels.
        rng: draws the noise of sensors, and the phase of the frame camera.
    """

    view: Scene
    course: Motion
    sensor: str
    parameters: SensorParameters
    rng: np.random.Generator


def check_recipe(recipe: Recipe) -> None:
    """Check that a recipe can be made.

    Raises:
        MicroexprError: An option has no sense.
    """
    from microexpr_ros.synthesis.sensors import event_sensor
    from microexpr_ros.synthesis.world import scene, shift

    lights = shift.LIGHTS if recipe.split == 'shift' else scene.LIGHTS
    for name, value, allowed in (
        ('split', recipe.split, tuple(SPLITS)),
        ('sensor', recipe.sensor, (*event_sensor.SENSORS, 'random')),
        ('light', recipe.light, (*lights, 'random')),
    ):
        if value not in allowed:
            raise MicroexprError(f'--{name} {value!r} is unknown: choose {", ".join(allowed)}')
    if not 0.1 <= recipe.step_px <= 1:
        raise MicroexprError(
            f'--step-px {recipe.step_px:g} must be 0.1 to 1: farther apart, samples are not '
            'joined by straight lines'
        )
    if recipe.seed < 0:
        raise MicroexprError(f'--seed {recipe.seed} is too small: give at least 0')
    if recipe.split in ('shift', 'calm') and recipe.photographs:
        raise MicroexprError(
            f'--skin-dir with {len(recipe.photographs)} images does not go with --split '
            f'{recipe.split}, as every image belongs to another split: leave it out'
        )


def draw_take(recipe: Recipe, index: int) -> Take:
    """Draw what one clip shows; up to a second, as building a person takes it."""
    # The renderer's modules are heavy; readers of data sets do without them.
    from microexpr_ros.synthesis.sensors import event_sensor
    from microexpr_ros.synthesis.world import motion, scene, shift

    base = SPLITS[recipe.split]
    who = np.random.default_rng([recipe.seed, base, index // CLIPS_PER_PERSON, 1])
    rng = np.random.default_rng([recipe.seed, base, index, 2])
    identity, skin_number = (base + int(n) for n in who.integers(1_000_000, size=2))
    photograph = None
    if recipe.photographs and who.random() < 0.5:
        photograph = recipe.photographs[who.integers(len(recipe.photographs))]
    person = scene.make_person(identity, skin_number, photograph)

    # Each of these draws moves all later ones: their order is part of GENERATOR.
    model = sensor = scene.draw_sensor(rng, recipe.sensor)
    if recipe.split == 'shift':
        sensor = shift.draw_bias(rng, model)
        parameters = shift.SENSORS[sensor]
        light = shift.draw_light(rng, recipe.light)
    else:
        parameters = event_sensor.SENSORS[sensor]
        light = scene.draw_light(rng, recipe.light)
    view = scene.draw_region_scene(rng, person, light, model)
    if recipe.split == 'calm':
        course = motion.draw_calm(rng, CALM_NS, motion.CALM[index % len(motion.CALM)])
    else:
        draw_course = shift.draw_course if recipe.split == 'shift' else motion.draw_clip
        course = draw_course(rng, int(rng.integers(80, 121)) * SLICE_NS)
    return Take(view, course, sensor, parameters, rng)


def make_clip(recipe: Recipe, index: int) -> Clip:
    """Make one clip; about a second."""
    import cv2

    from microexpr_ros.synthesis.sensors import frame_sensor
    from microexpr_ros.synthesis.world import shift

    take = draw_take(recipe, index)
    person, light, course = take.view.person, take.view.light, take.course
    slices = course.duration_ns // SLICE_NS

    times, small, parts = [], [], []
    for sample in shift.film(take.view, course, take.parameters, take.rng, recipe.step_px):
        times.append(sample.t_ns)
        small.append(cv2.resize(sample.picture, (GRID, GRID), interpolation=cv2.INTER_AREA))
        parts.append(sample.events)
    reel = _Reel(np.array(times, np.int64), np.stack(small).astype(np.float32))

    height, width = sample.picture.shape
    events = Events.concatenate(parts)
    counts = np.zeros((slices, 2, GRID, GRID), np.uint8)
    cuts = np.searchsorted(events.t, np.arange(slices + 1) * SLICE_NS)
    for number in range(slices):
        inside = events[int(cuts[number]) : int(cuts[number + 1])]
        accumulate(inside, Region(0, 0, width, height), counts[number])

    camera = frame_sensor.settle(reel.pictures[0])
    frames, frame_slice = _frames(camera, light, reel, course.duration_ns, take.rng)
    target_slice = np.arange(TARGET_EVERY - 1, slices, TARGET_EVERY, dtype=np.int32)
    ends = (target_slice.astype(np.int64) + 1) * SLICE_NS
    sharp = np.stack([reel.at(int(t)) for t in ends])
    target = frame_sensor.encode(np.asarray(sharp / camera.white_lux, np.float32))
    return Clip(
        counts=counts,
        pixels_per_cell=width * height / GRID**2,
        sides=course.sides((np.arange(slices, dtype=np.int64) + 1) * SLICE_NS),
        frames=frames,
        frame_slice=frame_slice,
        target=target,
        target_slice=target_slice,
        dominant=course.dominant,
        onset_ns=course.onset_ns,
        apex_ns=course.apex_ns,
        offset_ns=course.offset_ns,
        amplitude=course.amplitude,
        identity=person.identity.number,
        skin=person.skin_name,
        light=light.name,
        sensor=take.sensor,
        seed=recipe.seed,
        index=index,
        distractors=course.distractors,
    )


@dataclass(frozen=True, slots=True)
class _Reel:
    """The samples of a take on the grid: t_ns int64 [N], pictures float32 [N, 128, 128]."""

    t_ns: NDArray[np.int64]
    pictures: NDArray[np.float32]

    def at(self, t_ns: int) -> NDArray[np.float32]:
        """Return the picture at a time, in a straight line between the samples."""
        after = min(max(int(np.searchsorted(self.t_ns, t_ns)), 1), len(self.t_ns) - 1)
        begin, end = int(self.t_ns[after - 1]), int(self.t_ns[after])
        share = np.float32(min(max((t_ns - begin) / (end - begin), 0), 1))
        low = self.pictures[after - 1]
        return np.asarray(low + share * (self.pictures[after] - low), np.float32)


def _frames(
    camera: FrameSensor, light: Light, reel: _Reel, duration_ns: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return the frames of a take and the slice in which each was complete."""
    from microexpr_ros.synthesis.sensors.frame_sensor import expose

    period_ns = int(1e9 / camera.rate_hz)
    # The frame camera's phase against the slices is anything.
    first = camera.exposure_ns + int(rng.integers(period_ns))
    ends = np.arange(first, duration_ns, period_ns, dtype=np.int64)
    frames = np.empty((len(ends), GRID, GRID), np.uint8)
    for k, end in enumerate(ends):
        open_ns = int(end) - camera.exposure_ns
        moments = np.linspace(open_ns, end, 5).astype(np.int64)
        mean = np.mean([reel.at(int(t)) for t in moments], axis=0)
        mean *= light.gain(np.linspace(open_ns, end, 64).astype(np.int64)).mean()
        frames[k] = expose(camera, mean.astype(np.float32), rng)
    return frames, (ends // SLICE_NS).astype(np.int32)
