"""The splits of a data set: whom each shows, in which light, by which sensors, how they move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.synthesis.person.ranges import FIRST_PERSON
from microexpr_ros.synthesis.sensors.models import BIASES, EventSensor, sample_sensor
from microexpr_ros.synthesis.world.light import ROOM_LIGHTS, SHIFTED_LIGHTS, LightKinds
from microexpr_ros.synthesis.world.motion import Motion
from microexpr_ros.synthesis.world.motion_sampling import (
    CALM,
    HARD,
    sample_busy_story,
    sample_calm,
    sample_clip,
    sample_rest,
    sample_shifted_clip,
)

CALM_NS: Final = 5_000_000_000
"""Length of a take without an expression."""

REST_NS: Final = 10_000_000_000
"""Length of a take in which a head comes to rest."""

RESTS_FROM_NS: Final = 3_000_000_000
"""When it rests."""

STORY_NS: Final = 10_000_000_000
"""Length of a story."""

LONG_SHARE: Final = 0.06
"""Takes of CALM_NS without an expression in the split train: a fifth of its time."""

MotionSampler = Callable[[np.random.Generator, int], Motion]
"""Samples the motion of a take from random numbers and the take's number in its split."""


def _clip_motion(rng: np.random.Generator, index: int) -> Motion:
    return sample_clip(rng, _sample_duration(rng))


def train_motion(rng: np.random.Generator, index: int = 0) -> Motion:
    """Sample what the persons of the split train do: more often than others what looks alike."""
    if rng.random() < LONG_SHARE:
        return sample_calm(rng, CALM_NS, str(rng.choice(CALM)))
    return sample_clip(rng, _sample_duration(rng), HARD)


def _shifted_motion(rng: np.random.Generator, index: int) -> Motion:
    return sample_shifted_clip(rng, _sample_duration(rng))


def _calm_motion(rng: np.random.Generator, index: int) -> Motion:
    return sample_calm(rng, CALM_NS, CALM[index % len(CALM)])


def _rest_motion(rng: np.random.Generator, index: int) -> Motion:
    return sample_rest(rng, REST_NS, RESTS_FROM_NS)


def story_motion(rng: np.random.Generator, index: int) -> Motion:
    """Sample what the persons of any split do in a story."""
    return sample_busy_story(rng, STORY_NS)


def _sample_duration(rng: np.random.Generator) -> int:
    """Sample the length of a take, 0.8 to 1.2 s in whole slices."""
    return int(rng.integers(80, 121)) * SLICE_NS


@dataclass(frozen=True, slots=True)
class Split:
    """What sets the takes of a split apart.

    Attributes:
        name: of its folder.
        subject: what it shows, a part of its data card.
        about: what a user has to know of it, another part of the card.
        lights: kinds of light.
        biases: sets of biases of the sensors; none for the models' own.
        sample_motion: what its persons do.
        wears_photographs: whether its persons may wear skins from images.
    """

    name: str
    subject: str = 'synthetic micro-expressions'
    about: str = ''
    lights: LightKinds = ROOM_LIGHTS
    biases: tuple[str, ...] = ()
    sample_motion: MotionSampler = _clip_motion
    wears_photographs: bool = True

    @property
    def first_person(self) -> int:
        """Number of its first person and skin."""
        return FIRST_PERSON[self.name]

    def sample_sensor(self, rng: np.random.Generator, model: str) -> EventSensor:
        """Sample a sensor of a model; 'random' samples the model too."""
        return sample_sensor(rng, model, self.biases)


_SHIFT: Final = Split(
    'shift',
    about='Light, biases of the sensors and amplitudes are outside of what the other splits have: '
    'lamps of 0.8 to 2.5 lux, a lamp that swings, deep flicker of 120 Hz; thresholds of 0.12 and '
    '0.13 with more than twice the noise, or of 0.35 and 0.4 with slow pixels; expressions of '
    '0.03 to 0.05 and of 0.35 to 0.5 that last as long as micro-expressions.',
    lights=SHIFTED_LIGHTS,
    biases=tuple(BIASES),
    sample_motion=_shifted_motion,
    wears_photographs=False,
)
"""For how networks fare where nothing is as in their training. There are no macro-expressions;
blinks and talking are as in the other splits. A unit below 0.05 counts as absent where intensities
are graded, and as present in the name of the clip's dominant unit."""

_CALM: Final = Split(
    'calm',
    subject='synthetic faces without expressions',
    about='There is no expression in these clips. In turn, a person only breathes, talks, blinks '
    'and looks around, or sways, nods and turns the head; units that this really moves are in the '
    'ground truth, and every other detection is a false alarm.',
    sample_motion=_calm_motion,
    wears_photographs=False,
)

_REST: Final = Split(
    'rest',
    subject='synthetic faces that come to rest',
    about='There is no expression in these clips. A head nods and turns for three seconds, comes '
    'back to where it was, and rests for seven; blinks and glances go on.',
    sample_motion=_rest_motion,
    wears_photographs=False,
)
"""For what networks remember of a face when it does not move any more."""

SPLITS: Final = {
    split.name: split
    for split in (
        Split('train', sample_motion=train_motion),
        Split('val'),
        Split('test'),
        _SHIFT,
        _CALM,
        _REST,
    )
}
"""Name of a split to what sets it apart. Val and test differ in their persons alone; train has
more distractors."""
