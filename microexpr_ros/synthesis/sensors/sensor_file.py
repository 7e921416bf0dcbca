"""Files with the parameters of an event sensor, as a measurement fits them.

A file is YAML: `name`, `model` (a key of SENSORS, which gives what the file does not), and
`parameters`, any fields of `SensorParameters`. `intervals` holds the 95 % intervals of those that
were measured, for people.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml  # type: ignore[import-untyped]

from microexpr_ros.atomic import write_text
from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.sensors.event_sensor import (
    RETURN_AGAIN,
    SENSORS,
    SensorParameters,
    noise_hz,
)
from microexpr_ros.synthesis.sensors.models import EventSensor
from microexpr_ros.synthesis.sensors.noise_measurement import (
    NOT_MEASURED,
    PAIR_NS,
    Measured,
    NoiseMeasurement,
)

SUFFIXES: Final = ('.yaml', '.yml')

_WHOLE: Final = tuple(field.name for field in fields(SensorParameters) if field.type == 'int')
_ABOVE_ZERO: Final = ('width', 'height', 'tick_ns', 'corner_lux', 'knee_lux', 'return_ns')
_LARGEST: Final = {'hot_share': 1.0, 'return_share': 0.9, 'width': 1 << 16, 'height': 1 << 16}
_KEYS: Final = ('name', 'model', 'parameters', 'intervals')
_DIGITS: Final = 4


def choose_model(width: int, height: int) -> str:
    """Return the key of the sensor in SENSORS whose number of pixels is nearest.

    Example:
        >>> choose_model(640, 480)
        'vga'
    """

    def distance(model: str) -> float:
        parameters = SENSORS[model]
        return abs(float(np.log(parameters.width * parameters.height / (width * height))))

    return min(SENSORS, key=distance)


def fit_parameters(
    found: NoiseMeasurement, model: str, lux: float | None = None
) -> dict[str, Measured]:
    """Return the parameters of a sensor that a measurement shows, by name.

    Rates of parameters are those of the median pixel, measured ones the mean over the pixels.

    Args:
        found: The measurement.
        model: A key of SENSORS, which gives what was not measured.
        lux: Radiance of the recorded scene, on average; None takes it for the model's
            `corner_lux`, at which `shot_hz` is defined.
    """
    base = SENSORS[model]
    spread = base.rate_spread if found.rate_spread is None else found.rate_spread.value
    mean = float(np.exp((spread * np.log(10)) ** 2 / 2))
    noisier = 1.0 if lux is None else noise_hz(replace(base, shot_hz=1.0), lux)
    fitted = {
        'width': _exact(found.width),
        'height': _exact(found.height),
        'refractory_ns': found.refractory_ns,
        'leak_hz': _divide(found.leak_hz, mean),
        'shot_hz': _divide(found.shot_hz, mean * noisier),
        'rate_spread': found.rate_spread,
        'return_share': _fit_returns(base, found.paired_share),
        'hot_share': found.hot_share,
        'hot_hz': found.hot_hz,
        'tick_ns': _exact(found.tick_ns),
    }
    return {name: value for name, value in fitted.items() if value is not None}


def _fit_returns(base: SensorParameters, paired_share: float | None) -> Measured | None:
    """Return the share of noise events with a return that gives the share within PAIR_NS."""
    if paired_share is None:
        return None
    deviations = math.log10(PAIR_NS / base.return_ns) / base.return_spread
    in_time = 0.5 * (1 + math.erf(deviations / math.sqrt(2)))
    returns = min(paired_share / in_time, 0.5)
    return _exact(returns / (1 - RETURN_AGAIN * returns))


def _exact(value: float) -> Measured:
    return Measured(value, value, value)


def _divide(measured: Measured | None, by: float) -> Measured | None:
    if measured is None:
        return None
    return Measured(measured.value / by, measured.low / by, measured.high / by)


def write_sensor(path: Path, name: str, model: str, fitted: Mapping[str, Measured]) -> None:
    """Write what `fit_parameters` returns as a file for `read_sensor`.

    Raises:
        MicroexprError: The file cannot be written.
    """
    content = {
        'name': name,
        'model': model,
        'parameters': {key: _round(key, one.value) for key, one in fitted.items()},
        'intervals': {
            key: [_round(key, one.low), _round(key, one.high)]
            for key, one in fitted.items()
            if one.low < one.high
        },
    }
    missing = [f'#   {key}: {why}' for key, why in NOT_MEASURED.items()]
    missing += [
        f'#   {field.name}: the recording is too short or too quiet, or repeats its events'
        for field in fields(SensorParameters)
        if field.name not in fitted and field.name not in NOT_MEASURED
    ]
    text = '\n'.join(
        [
            '# An event sensor, measured from a recording: for microexpr synth --sensor.',
            f'# Taken from the model {model}, as still scenes do not show it:',
            *missing,
            yaml.safe_dump(content, sort_keys=False, default_flow_style=None),
        ]
    )
    write_text(path, text)


def _round(name: str, value: float) -> float:
    return round(value) if name in _WHOLE else float(f'{value:.{_DIGITS}g}')


def read_sensor(path: Path) -> EventSensor:
    """Read a sensor from a file.

    Raises:
        MicroexprError: The file cannot be read, or does not hold a sensor.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MicroexprError(f'{path} is not a readable YAML file: {error}') from error
    if not isinstance(content, dict) or not isinstance(content.get('parameters'), dict):
        raise MicroexprError(
            f'{path} holds no sensor: give a file that `microexpr measure sensor` wrote'
        )
    unknown = [str(key) for key in content if key not in _KEYS]
    if unknown:
        raise MicroexprError(f'{path} holds {", ".join(unknown)}: it may have {", ".join(_KEYS)}')
    model = content.get('model')
    if model not in SENSORS:
        raise MicroexprError(f'{path} has the model {model!r}: choose {", ".join(SENSORS)}')
    given = content['parameters']
    for name, value in given.items():
        _check_parameter(path, name, value)
    return EventSensor(
        str(content.get('name') or path.stem), model, replace(SENSORS[model], **given)
    )


def _check_parameter(path: Path, name: Any, value: Any) -> None:
    known = [field.name for field in fields(SensorParameters)]
    if name not in known:
        raise MicroexprError(f'{path} has the parameter {name!r}: choose {", ".join(known)}')
    kinds = (int,) if name in _WHOLE else (int, float)
    least = 1e-9 if name in _ABOVE_ZERO else 0.0
    most = _LARGEST.get(name, np.inf)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        kind = 'a whole number' if name in _WHOLE else 'a number'
        limit = 'above 0' if name in _ABOVE_ZERO else 'from 0'
        upper = f' to {most:g}' if np.isfinite(most) else ''
        raise MicroexprError(f'{path} has {name} {value!r}: give {kind} {limit}{upper}')
