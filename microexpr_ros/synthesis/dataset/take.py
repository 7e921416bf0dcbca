"""Takes: what is in front of the cameras in one clip or recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from microexpr_ros.synthesis.dataset.clip import TakeMetadata
from microexpr_ros.synthesis.dataset.recipe import Recipe
from microexpr_ros.synthesis.dataset.splits import SPLITS, MotionSampler
from microexpr_ros.synthesis.person.person import make_person
from microexpr_ros.synthesis.person.ranges import PERSONS
from microexpr_ros.synthesis.sensors.models import REGION_SIDES_PX, EventSensor
from microexpr_ros.synthesis.world.motion import Motion
from microexpr_ros.synthesis.world.scene import Scene, sample_region_scene

CLIPS_PER_PERSON: Final = 6
"""Takes that follow each other and show one person."""


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """What is in front of the cameras.

    Attributes:
        recipe: What it was sampled by.
        index: Its number in its split.
        scene: The face region as the event sensor sees it.
        motion: What moves.
        sensor: The event sensor.
        rng: Random numbers for the noise of sensors, and the phase of the frame camera.
    """

    recipe: Recipe
    index: int
    scene: Scene
    motion: Motion
    sensor: EventSensor
    rng: np.random.Generator

    @property
    def metadata(self) -> TakeMetadata:
        """What the take shows."""
        motion, person = self.motion, self.scene.person
        return TakeMetadata(
            dominant=motion.dominant,
            onset_ns=motion.onset_ns,
            apex_ns=motion.apex_ns,
            offset_ns=motion.offset_ns,
            amplitude=motion.amplitude,
            identity=person.identity.number,
            skin=person.skin_name,
            light=self.scene.light.name,
            sensor=self.sensor.name,
            seed=self.recipe.seed,
            index=self.index,
            distractors=motion.distractors,
        )


def sample_take(
    recipe: Recipe,
    index: int,
    sample_motion: MotionSampler | None = None,
    takes_per_person: int = CLIPS_PER_PERSON,
) -> Take:
    """Sample what one clip or recording shows; up to a second, as building a person takes it.

    Args:
        recipe: What decides the takes.
        index: Number of the take in its split.
        sample_motion: What its person does; None for what the persons of the split do.
        takes_per_person: Takes that follow each other and show one person.
    """
    split = SPLITS[recipe.split]
    first = split.first_person
    who = np.random.default_rng([recipe.seed, first, index // takes_per_person, 1])
    rng = np.random.default_rng([recipe.seed, first, index, 2])
    identity, skin_number = (first + int(n) for n in who.integers(PERSONS, size=2))
    photograph = None
    if recipe.photographs and who.random() < 0.5:
        photograph = recipe.photographs[who.integers(len(recipe.photographs))]
    person = make_person(identity, skin_number, photograph)

    # Each of these moves all later random numbers: their order is part of GENERATOR.
    sensor = recipe.sample_sensor(rng)
    light = split.lights.sample(rng, recipe.light)
    scene = sample_region_scene(rng, person, light, REGION_SIDES_PX[sensor.model])
    motion = (sample_motion or split.sample_motion)(rng, index)
    return Take(recipe, index, scene, motion, sensor, rng)
