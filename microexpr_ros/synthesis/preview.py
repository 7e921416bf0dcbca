"""A contact sheet: what the synthetic faces and their events look like."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.events.events import Events
from microexpr_ros.synthesis import event_sensor, frame_sensor, motion, renderer, scene
from microexpr_ros.synthesis.dataset import SPLITS, Recipe
from microexpr_ros.synthesis.face import FACE_HEIGHT

_SIDE = 200
_COLUMNS = 6
_RISE_NS = 200_000_000
_MICRO, _FULL = 0.3, 1.0


def write_contact_sheet(path: Path, recipe: Recipe) -> Path:
    """Draw every unit on another person, the lights in turn; face above, events below.

    The face shows the unit at intensity 1; the events are those of a micro-expression's rise
    to 0.3 in 200 ms, ON in blue and OFF in red.
    """
    tiles = [_tile(recipe, number) for number in range(len(facs.CODES))]
    rows = [np.hstack(tiles[start : start + _COLUMNS]) for start in range(0, len(tiles), _COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.vstack(rows))
    return path


def _tile(recipe: Recipe, number: int) -> NDArray[np.uint8]:
    code = facs.CODES[number]
    rng = np.random.default_rng([recipe.seed, SPLITS[recipe.split], number, 0x9E])
    person_number, skin_number = (
        SPLITS[recipe.split] + int(n) for n in rng.integers(1_000_000, size=2)
    )
    photograph = None
    if recipe.photographs and number % 2:
        photograph = recipe.photographs[rng.integers(len(recipe.photographs))]
    person = scene.make_person(person_number, skin_number, photograph)
    name = scene.LIGHTS[number % len(scene.LIGHTS)] if recipe.light == 'random' else recipe.light
    light = scene.draw_light(rng, name)
    camera = renderer.Camera(
        _SIDE, _SIDE, _SIDE * 0.8 / FACE_HEIGHT * 8.0, 8.0, (_SIDE / 2, _SIDE / 2)
    )
    view = scene.build_scene(rng, person, light, camera, np.zeros(3), 0.3)
    parameters = event_sensor.SENSORS[scene.draw_sensor(rng, recipe.sensor)]
    samples = list(scene.film(view, motion.single(code, _MICRO, _RISE_NS), parameters, rng))
    events = scene.join([sample.events for sample in samples])
    white = frame_sensor.settle(samples[0].picture).white_lux
    full = motion.single(code, _FULL, _RISE_NS).channels(np.array([_RISE_NS]))[0]
    face = frame_sensor.encode(view.radiance(full, np.zeros(6), np.zeros(2)) / np.float32(white))
    top = cv2.cvtColor(face, cv2.COLOR_GRAY2BGR)
    label = f'AU{code} {light.name} {len(events)} events'
    cv2.putText(top, label, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([top, picture(events, _SIDE, _SIDE)]).astype(np.uint8)


def picture(events: Events, width: int, height: int) -> NDArray[np.uint8]:
    """Draw events, uint8 [height, width, 3] BGR: blue where ON prevails, red where OFF does."""
    balance = np.zeros((height, width), np.int32)
    np.add.at(balance, (events.y, events.x), 2 * events.p.astype(np.int32) - 1)
    out = np.full((height, width, 3), 255, np.uint8)
    out[balance > 0] = (255, 120, 0)
    out[balance < 0] = (0, 0, 220)
    return out
