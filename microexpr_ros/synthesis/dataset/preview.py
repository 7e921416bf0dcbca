"""What the synthetic faces and their events look like: a contact sheet and a video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events
from microexpr_ros.synthesis.dataset import card
from microexpr_ros.synthesis.dataset.recipe import Recipe
from microexpr_ros.synthesis.dataset.splits import SPLITS, Split
from microexpr_ros.synthesis.person.person import Person, make_person
from microexpr_ros.synthesis.person.ranges import PERSONS
from microexpr_ros.synthesis.person.template import FACE_HEIGHT
from microexpr_ros.synthesis.sensors import frame_camera
from microexpr_ros.synthesis.sensors.filming import film
from microexpr_ros.synthesis.sensors.frame_camera import FrameCamera, FrameClock
from microexpr_ros.synthesis.sensors.frame_taking import take_frames
from microexpr_ros.synthesis.world.light import Light
from microexpr_ros.synthesis.world.motion import single
from microexpr_ros.synthesis.world.motion_sampling import sample_story
from microexpr_ros.synthesis.world.renderer import PinholeCamera
from microexpr_ros.synthesis.world.scene import Scene, build_scene

_SIDE = 240
_COLUMNS = 3
_RISE_NS = 200_000_000
_MICRO, _FULL = 0.3, 1.0

_VIDEO_SIDE = 240
_VIDEO_PERSONS = 4
_VIDEO_COLUMNS = 2
_VIDEO_NS = 2_500_000_000
_SLOWER = 2
_LINE_PX = 18


def write_contact_sheet(path: Path, recipe: Recipe) -> Path:
    """Draw every unit on another person, the lights in turn; face beside events.

    The face shows the unit at intensity 1; the events are those of a micro-expression's rise
    to 0.3 in 200 ms, ON in blue and OFF in red.
    """
    tiles = [_draw_tile(recipe, number) for number in range(len(facs.CODES))]
    rows = [np.hstack(tiles[start : start + _COLUMNS]) for start in range(0, len(tiles), _COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.vstack(rows))
    return path


def write_video(path: Path, recipe: Recipe) -> Path:
    """Film four persons, the lights in turn, 2.5 s at half speed.

    Each shows expressions, blinks and glances; RGB on the left with the units that are there,
    the events since the last frame on the right, ON in blue and OFF in red.

    Raises:
        MicroexprError: The file cannot be written.
    """
    takes = [_film_person(recipe, number) for number in range(_VIDEO_PERSONS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 2 * _VIDEO_SIDE * _VIDEO_COLUMNS, _VIDEO_SIDE * _VIDEO_PERSONS // _VIDEO_COLUMNS
    rate_hz = FrameCamera().rate_hz / _SLOWER
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), rate_hz, size)
    if not video.isOpened():
        raise MicroexprError(f'cannot write {path}: check disk and name')
    # Cameras in different lights expose longer or shorter, so one may take a frame less.
    for tiles in zip(*takes, strict=False):
        rows = [
            np.hstack(tiles[start : start + _VIDEO_COLUMNS])
            for start in range(0, len(tiles), _VIDEO_COLUMNS)
        ]
        video.write(np.vstack(rows))
    video.release()
    return path


def draw_events(events: Events, width: int, height: int) -> NDArray[np.uint8]:
    """Draw events, uint8 [height, width, 3] BGR: blue where ON prevails, red where OFF does."""
    balance = np.zeros((height, width), np.int32)
    np.add.at(balance, (events.y, events.x), 2 * events.p.astype(np.int32) - 1)
    return card.draw_balance(balance)


def _draw_tile(recipe: Recipe, number: int) -> NDArray[np.uint8]:
    code = facs.CODES[number]
    split = SPLITS[recipe.split]
    rng = np.random.default_rng([recipe.seed, split.first_person, number, 0x9E])
    scene = _sample_scene(rng, recipe, split, number, _SIDE)
    parameters = recipe.sample_sensor(rng).parameters
    samples = list(film(scene, single(code, _MICRO, _RISE_NS), parameters, rng))
    events = Events.concatenate([sample.events for sample in samples])
    white = frame_camera.auto_expose(samples[0].picture).white_lux
    full = single(code, _FULL, _RISE_NS).instants(np.array([_RISE_NS]))[0]
    # The lamps are where the events began.
    radiance = scene.radiance(replace(full, t_ns=0), colour=True)
    colours = frame_camera.encode(radiance / np.float32(white))
    text = f'AU{code} {scene.light.name} {len(events)} events'
    left = _draw_text(cv2.cvtColor(colours, cv2.COLOR_RGB2BGR), text)
    return np.hstack([left, draw_events(events, _SIDE, _SIDE)]).astype(np.uint8)


def _film_person(recipe: Recipe, number: int) -> list[NDArray[np.uint8]]:
    """Return the pictures of one person's part of the video, RGB beside events."""
    split = SPLITS[recipe.split]
    rng = np.random.default_rng([recipe.seed, split.first_person, number, 0x71])
    scene = _sample_scene(rng, recipe, split, number, _VIDEO_SIDE)
    motion = sample_story(rng, _VIDEO_NS)
    parameters = recipe.sample_sensor(rng).parameters
    samples = list(film(scene, motion, parameters, rng))
    events = Events.concatenate([sample.events for sample in samples])
    camera = frame_camera.auto_expose(samples[0].picture)
    frames = take_frames(scene, motion, camera, FrameClock(), rng)
    period_ns = int(1e9 / camera.rate_hz)
    out = []
    for close, pixels in zip(frames.close_ns, frames.pixels, strict=True):
        levels = motion.intensity(np.array([close]))[0]
        units = [
            f'AU{code} {level:.2f}'
            for code, level in zip(facs.CODES, levels, strict=True)
            if level >= 0.05
        ]
        left = _draw_text(
            cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), ' '.join([scene.light.name, *units])
        )
        first, last = np.searchsorted(events.t, (close - period_ns, close))
        right = draw_events(events[int(first) : int(last)], _VIDEO_SIDE, _VIDEO_SIDE)
        out.append(np.hstack([left, right]).astype(np.uint8))
    return out


def _sample_scene(
    rng: np.random.Generator, recipe: Recipe, split: Split, number: int, side: int
) -> Scene:
    """Sample a person in a light, before a camera with a square picture."""
    person = _sample_person(rng, recipe, split, number)
    light = _sample_light(rng, recipe, split, number)
    camera = PinholeCamera(side, side, side * 0.8 / FACE_HEIGHT * 8.0, 8.0, (side / 2, side / 2))
    return build_scene(rng, person, light, camera, np.zeros(3), 0.3)


def _sample_person(rng: np.random.Generator, recipe: Recipe, split: Split, number: int) -> Person:
    person, painted = (split.first_person + int(n) for n in rng.integers(PERSONS, size=2))
    photograph = None
    if recipe.photographs and number % 2:
        photograph = recipe.photographs[rng.integers(len(recipe.photographs))]
    return make_person(person, painted, photograph)


def _sample_light(rng: np.random.Generator, recipe: Recipe, split: Split, number: int) -> Light:
    """Sample the light that was asked for, or each kind of the split in turn."""
    names = split.lights.names
    name = names[number % len(names)] if recipe.light == 'random' else recipe.light
    return split.lights.sample(rng, name)


def _draw_text(pixels: cv2.typing.MatLike, text: str) -> NDArray[np.uint8]:
    """Return a picture with text along its top, darkened so that it can be read."""
    out = np.array(pixels, np.uint8)
    out[:_LINE_PX] //= 2
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(out, text, (4, _LINE_PX - 5), font, 0.4, (0, 255, 255), 1, cv2.LINE_AA)
    return out
