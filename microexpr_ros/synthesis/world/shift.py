"""What the split `shift` holds that no other split does: light, sensors and amplitudes.

It measures how networks fare where nothing like their training was seen. Persons and skins are
its own as in every split; besides,

- light is `night` (lamps of 0.8 to 2.5 lux; `dim` ends at 3), `flicker120` (120 Hz and 0.12 to
  0.18 deep; `flicker` has 100 Hz and at most 0.11) or `moving` (a lamp that swings around the
  face; the others stand still);
- event sensors have the resolutions of `event_sensor.SENSORS` with two other sets of biases:
  `sensitive` (thresholds of 0.12 and 0.13, the others have 0.2 to 0.24, and more than twice the
  noise of any) and `coarse` (thresholds of 0.35 and 0.4, slow pixels, long dead times);
- expressions last as long as micro-expressions do, and are fainter (0.03 to 0.05) or stronger
  (0.35 to 0.5) than any of the other splits' (0.05 to 0.35). There are no macro-expressions;
  blinks and talking are as elsewhere.

A unit below 0.05 counts as absent where intensities are graded, and as present in the name of
the clip's dominant unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events
from microexpr_ros.synthesis.dataset.clip import STEP_PX
from microexpr_ros.synthesis.sensors import event_sensor
from microexpr_ros.synthesis.sensors.event_sensor import SensorParameters
from microexpr_ros.synthesis.world import motion, scene
from microexpr_ros.synthesis.world.motion import Motion
from microexpr_ros.synthesis.world.renderer import Lamp
from microexpr_ros.synthesis.world.scene import Light, Sample, Scene

LIGHTS: Final = ('night', 'flicker120', 'moving')
"""Light conditions; 'random' draws one of them."""

BIASES: Final[dict[str, dict[str, float]]] = {
    'sensitive': {
        'threshold_on': 0.12,
        'threshold_off': 0.13,
        'leak_hz': 0.1,
        'shot_hz': 0.25,
        'rate_spread': 0.2,
        'hot_share': 0.001,
        'hot_hz': 50.0,
    },
    'coarse': {
        'threshold_on': 0.35,
        'threshold_off': 0.4,
        'threshold_sigma': 0.06,
        'corner_hz': 80.0,
        'refractory_ns': 2_000_000,
    },
}
"""Name of a set of biases to what it changes in SensorParameters."""

SENSORS: Final[dict[str, SensorParameters]] = {
    # Every value is a number; which field is a whole one is not told to the type checker.
    f'{model}-{bias}': replace(parameters, **changes)  # type: ignore[arg-type]
    for model, parameters in event_sensor.SENSORS.items()
    for bias, changes in BIASES.items()
}

FAINT: Final = (0.03, 0.05)
STRONG: Final = (0.35, 0.5)
"""Amplitudes of expressions."""

TOGETHER_NS: Final = 30_000_000
"""Units that begin within this of each other move together, as `motion` draws an expression."""

_STATIONS: Final = 13
_SWING_STEP_NS: Final = 8_000_000


@dataclass(frozen=True, slots=True)
class MovingLight(Light):
    """A lamp that swings around the face.

    Its `lamps` are stations on the way, for which shadows are known; the light passes from one
    to the next.

    Attributes:
        swing_hz: how often it comes and goes in a second.
        swing_phase: rad.
    """

    swing_hz: float = 0.5
    swing_phase: float = 0.0

    def at(self, t_ns: int) -> Light:
        """Return the light of an instant, in which the lamp stands still."""
        angle = 2 * np.pi * self.swing_hz * t_ns * 1e-9 + self.swing_phase
        place = 0.5 * (1 + np.sin(angle)) * (len(self.lamps) - 1)
        return Light(
            self.name,
            tuple(
                replace(lamp, lux=lamp.lux * max(1 - abs(place - k), 0.0))
                for k, lamp in enumerate(self.lamps)
            ),
            self.ambient_lux,
        )


def draw_bias(rng: np.random.Generator, model: str) -> str:
    """Return the name of one of a model's sensors in SENSORS."""
    return f'{model}-{rng.choice(list(BIASES))}'


def draw_light(rng: np.random.Generator, name: str) -> Light:
    """Draw a light of a kind: night, flicker120, moving, or random."""
    if name == 'random':
        name = str(rng.choice(LIGHTS))
    if name not in LIGHTS:
        raise MicroexprError(f'unknown light {name!r}: choose {", ".join(LIGHTS)} or random')
    low, high = {'night': (0.8, 2.5), 'flicker120': (120, 600), 'moving': (80, 600)}[name]
    lux = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    elevation = np.deg2rad(rng.uniform(10, 60))
    if name == 'moving':
        reach = np.deg2rad(rng.uniform(40, 70))
        lamps = tuple(
            Lamp(scene.direction(azimuth, elevation), lux)
            for azimuth in np.linspace(-reach, reach, _STATIONS)
        )
        return MovingLight(
            name,
            lamps,
            lux * float(rng.uniform(0.1, 0.4)),
            swing_hz=float(rng.uniform(0.2, 0.8)),
            swing_phase=float(rng.uniform(0, 2 * np.pi)),
        )
    lamps = (Lamp(scene.direction(np.deg2rad(rng.uniform(-45, 45)), elevation), lux),)
    ambient_lux = lux * float(rng.uniform(0.3, 0.8))
    if name == 'night':
        return Light(name, lamps, ambient_lux)
    depth, phase = float(rng.uniform(0.12, 0.18)), float(rng.uniform(0, 2 * np.pi))
    return Light(name, lamps, ambient_lux, 120.0, depth, phase)


def draw_course(rng: np.random.Generator, duration_ns: int) -> Motion:
    """Draw a clip as `motion.draw_clip` does, with expressions that are faint or strong."""
    course = motion.draw_clip(rng, duration_ns)
    while not facs.is_micro(course.offset_ns - course.onset_ns):
        course = motion.draw_clip(rng, duration_ns)
    if course.dominant in (0, 45):
        return course
    amplitude = float(rng.uniform(*(FAINT if rng.random() < 0.5 else STRONG)))
    factor = amplitude / course.amplitude
    # The expression's units begin together; a blink keeps its depth.
    bumps = tuple(
        replace(bump, amplitude=bump.amplitude * factor)
        if abs(bump.onset_ns - course.onset_ns) <= TOGETHER_NS and bump.code != 45
        else bump
        for bump in course.bumps
    )
    return replace(course, bumps=bumps, amplitude=amplitude)


def still(view: Scene, t_ns: int) -> Scene:
    """Return a view in the light of an instant."""
    light = view.light
    return replace(view, light=light.at(t_ns)) if isinstance(light, MovingLight) else view


def film(
    view: Scene,
    course: Motion,
    parameters: SensorParameters,
    rng: np.random.Generator,
    step_px: float = STEP_PX,
) -> Iterator[Sample]:
    """Yield the samples of a take as `scene.film` does, under a light that may move."""
    if not isinstance(view.light, MovingLight):
        yield from scene.film(view, course, parameters, rng, step_px)
        return
    grid = np.arange(0, course.duration_ns, _SWING_STEP_NS, dtype=np.int64)
    times = np.union1d(scene.sample_times(view, course, step_px=step_px), grid)
    channels, pose, shift = course.channels(times), course.pose(times), course.shift(times)

    def look(k: int) -> NDArray[np.float32]:
        return still(view, int(times[k])).radiance(channels[k], pose[k], shift[k])

    first = look(0)
    state = event_sensor.start(parameters, first, 0, rng)
    yield Sample(0, first, Events.empty())
    for k in range(1, len(times)):
        picture = look(k)
        events, state = event_sensor.step(parameters, state, picture, int(times[k]))
        yield Sample(int(times[k]), picture, events)
