"""What decides the clips of a split."""

from __future__ import annotations

import hashlib
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.dataset.splits import SPLITS
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS
from microexpr_ros.synthesis.sensors.models import EventSensor
from microexpr_ros.synthesis.world.timing import STEP_PX

GENERATOR: Final = '0.5'
"""Changes whenever the same seed gives other clips; a data set is never mixed from two."""

MAX_CLIPS: Final = 1_000_000
"""Most clips of a split."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides a split's clips.

    Attributes:
        split: train, val, test, shift, calm or rest.
        seed: any whole number from 0.
        sensor: davis346, vga, hd or random.
        light: bright, dim, side, flicker, backlit or random; in the split shift night,
            flicker120, moving or random.
        photographs: skins in the mesh's UV map that half of the persons wear; none: all skins
            are procedural.
        step_px: farthest that anything moves between two rendered samples, px, up to 1. At 1 a
            clip takes half the time that it takes at `STEP_PX`, and has slightly fewer events.
        own_sensor: the sensor to film with, instead of those of `sensor`.
    """

    split: str = 'train'
    seed: int = 0
    sensor: str = 'random'
    light: str = 'random'
    photographs: tuple[Path, ...] = ()
    step_px: float = STEP_PX
    own_sensor: EventSensor | None = None

    def sample_sensor(self, rng: np.random.Generator) -> EventSensor:
        """Return the event sensor of a take; its own sensor uses up no random numbers."""
        return self.own_sensor or SPLITS[self.split].sample_sensor(rng, self.sensor)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON, with the version of the generator.

        Photographs are given by name and hash, as paths differ from machine to machine.
        """
        photographs = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            for path in self.photographs
        }
        described = {**asdict(self), 'generator': GENERATOR, 'photographs': photographs}
        # Without one, a recipe is described as it was before sensors could be given.
        if self.own_sensor is None:
            del described['own_sensor']
        return described


def check_recipe(recipe: Recipe) -> None:
    """Check that a recipe can be made.

    Raises:
        MicroexprError: An option is invalid.
    """
    _check_choice('split', recipe.split, tuple(SPLITS))
    split = SPLITS[recipe.split]
    _check_choice('sensor', recipe.sensor, (*SENSORS, 'random'))
    if recipe.own_sensor is not None and split.biases:
        raise MicroexprError(
            f'--sensor {recipe.own_sensor.name} does not go with --split {recipe.split}, whose '
            f'sensors have biases of their own: choose {", ".join(SENSORS)} or random'
        )
    _check_choice('light', recipe.light, (*split.lights.names, 'random'))
    if not 0.1 <= recipe.step_px <= 1:
        raise MicroexprError(
            f'--step-px {recipe.step_px:g} must be 0.1 to 1: farther apart, samples are not '
            'joined by straight lines'
        )
    if recipe.seed < 0:
        raise MicroexprError(f'--seed {recipe.seed} is too small: give at least 0')
    if recipe.photographs and not split.wears_photographs:
        raise MicroexprError(
            f'--skin-dir with {len(recipe.photographs)} images does not go with --split '
            f'{recipe.split}, as every image belongs to another split: leave it out'
        )


def check_order(recipe: Recipe, clips: int, workers: int | Executor) -> None:
    """Check a recipe, how many clips of it are wanted, and by how many processes.

    Raises:
        MicroexprError: An option is invalid.
    """
    check_recipe(recipe)
    for name, number in (('clips', clips), ('workers', workers)):
        if isinstance(number, int) and number < 1:
            raise MicroexprError(f'--{name} {number} is too small: give at least 1')
    if clips > MAX_CLIPS:
        raise MicroexprError(f'--clips {clips} is too many: a split has at most {MAX_CLIPS}')


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise MicroexprError(f'--{name} {value!r} is unknown: choose {", ".join(allowed)}')
