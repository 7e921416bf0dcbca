"""Event sensors to sample from: models, and sets of biases."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS, SensorParameters

_SHARES: Final = (0.4, 0.35, 0.25)
"""How often 'random' is each of SENSORS."""

REGION_SIDES_PX: Final = {'davis346': (112, 200), 'vga': (128, 240), 'hd': (160, 256)}
"""Smallest and largest side of a face region on each sensor, px."""

BIASES: Final[dict[str, dict[str, float]]] = {
    'sensitive': {
        'threshold_on': 0.12,
        'threshold_off': 0.13,
        'leak_hz': 0.1,
        'shot_hz': 0.25,
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
"""Name of a set of biases to the SensorParameters that it changes. `sensitive` has lower
thresholds and more than twice the noise of any of SENSORS, `coarse` higher thresholds, slow pixels
and long dead times."""


@dataclass(frozen=True, slots=True)
class EventSensor:
    """A sensor to film with.

    Attributes:
        name: `model`, or `model-biases`.
        model: a key of SENSORS.
        parameters: its pixels.
    """

    name: str
    model: str
    parameters: SensorParameters


def sample_sensor(
    rng: np.random.Generator, model: str, biases: tuple[str, ...] = ()
) -> EventSensor:
    """Sample a sensor of a model; 'random' samples the model too.

    Args:
        rng: Random numbers.
        model: A key of SENSORS, or 'random'.
        biases: Keys of BIASES, of which one is sampled; none for the model's own biases.

    Raises:
        MicroexprError: The model is unknown.
    """
    if model == 'random':
        model = str(rng.choice(list(SENSORS), p=_SHARES))
    if model not in SENSORS:
        raise MicroexprError(f'unknown sensor {model!r}: choose {", ".join(SENSORS)} or random')
    return change_biases(model, str(rng.choice(biases)) if biases else None)


def change_biases(model: str, bias: str | None) -> EventSensor:
    """Return a sensor of a model with a set of biases, or with its own."""
    if bias is None:
        return EventSensor(model, model, SENSORS[model])
    # The type checker cannot know that only `refractory_ns`, a whole number, is an int.
    parameters = replace(SENSORS[model], **BIASES[bias])  # type: ignore[arg-type]
    return EventSensor(f'{model}-{bias}', model, parameters)
