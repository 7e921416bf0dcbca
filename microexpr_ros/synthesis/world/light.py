"""Lights: lamps and surroundings, steady, flickering or moving."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError

_SWING_STEP_NS: Final = 8_000_000
_STATIONS: Final = 13

# Illuminance of the main lamp, lux: the bounds of a uniform distribution of its logarithm.
_LUX: Final[dict[str, tuple[float, float]]] = {
    'bright': (400, 2500),
    'dim': (3, 30),
    'side': (80, 600),
    'flicker': (120, 600),
    'night': (0.8, 2.5),
    'flicker120': (120, 600),
    'moving': (80, 600),
}


@dataclass(frozen=True, slots=True)
class Lamp:
    """A distant lamp.

    Attributes:
        direction: unit vector from the face to the lamp, in head coordinates at rest.
        lux: illuminance of a surface that faces the lamp.
    """

    direction: tuple[float, float, float]
    lux: float


@dataclass(frozen=True, slots=True)
class Light:
    """Illumination.

    Attributes:
        name: the kind of light, as in LightKinds.
        lamps: what casts shadows.
        ambient_lux: illuminance by the surroundings.
        flicker_hz: frequency of the lamps' brightness, 0 for steady light.
        flicker_depth: relative amplitude of it.
        flicker_phase: rad.
    """

    name: str
    lamps: tuple[Lamp, ...]
    ambient_lux: float
    flicker_hz: float = 0.0
    flicker_depth: float = 0.0
    flicker_phase: float = 0.0

    @property
    def longest_step_ns(self) -> int | None:
        """Longest time between two rendered samples; None if the light sets no bound."""
        return None

    def at(self, t_ns: int) -> Light:
        """Return the lamps as they shine at an instant, without their flicker."""
        return self

    def gain(self, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the factor on all radiance by the flicker, float64 [N], at times t_ns."""
        angle = 2 * np.pi * self.flicker_hz * np.asarray(t_ns, np.float64) * 1e-9
        wave = np.sin(angle + self.flicker_phase)
        return np.asarray(1 + self.flicker_depth * wave, np.float64)


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

    @property
    def longest_step_ns(self) -> int | None:
        """Longest time between two rendered samples."""
        return _SWING_STEP_NS

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


@dataclass(frozen=True, slots=True)
class LightKinds:
    """Kinds of light to sample from.

    Attributes:
        names: the kinds.
        shares: how often 'random' is each of them; None for equally often.
    """

    names: tuple[str, ...]
    shares: tuple[float, ...] | None = None

    def sample(self, rng: np.random.Generator, name: str) -> Light:
        """Sample a light of a kind; 'random' samples the kind too.

        Raises:
            MicroexprError: The kind is not one of these.
        """
        if name == 'random':
            name = str(rng.choice(self.names, p=self.shares))
        if name not in self.names:
            raise MicroexprError(
                f'unknown light {name!r}: choose {", ".join(self.names)} or random'
            )
        low, high = _LUX[name]
        lux = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        if name == 'moving':
            return _sample_moving(rng, name, lux)
        if name in ('night', 'flicker120'):
            return _sample_one_lamp(rng, name, lux)
        return _sample_room(rng, name, lux)


ROOM_LIGHTS: Final = LightKinds(('bright', 'dim', 'side', 'flicker'), (0.4, 0.23, 0.25, 0.12))
"""Light as it is in rooms."""

SHIFTED_LIGHTS: Final = LightKinds(('night', 'flicker120', 'moving'))
"""Light that differs from all light in rooms: lamps of 0.8 to 2.5 lux (`dim` ends at 3), flicker
of 120 Hz and a depth of 0.12 to 0.18 (`flicker` has 100 Hz and at most 0.11), and a lamp that
swings around the face."""


def _sample_room(rng: np.random.Generator, name: str, lux: float) -> Light:
    """Sample a lamp, often with a second one on the other side."""
    if name == 'side':
        azimuth = np.deg2rad(rng.uniform(50, 85)) * rng.choice([-1, 1])
        elevation = np.deg2rad(rng.uniform(-5, 40))
        ambient = rng.uniform(0.06, 0.2)
    else:
        azimuth = np.deg2rad(rng.uniform(-45, 45))
        elevation = np.deg2rad(rng.uniform(10, 60))
        ambient = rng.uniform(0.3, 0.8)
    lamps = [Lamp(_direction(azimuth, elevation), lux)]
    if name != 'side' and rng.random() < 0.4:
        other = np.deg2rad(rng.uniform(20, 70)) * -np.sign(azimuth)
        lamps.append(
            Lamp(
                _direction(other, np.deg2rad(rng.uniform(0, 50))),
                lux * float(rng.uniform(0.1, 0.5)),
            )
        )
    ambient_lux = lux * float(ambient)
    if name != 'flicker':
        return Light(name, tuple(lamps), ambient_lux)
    depth, phase = float(rng.uniform(0.02, 0.11)), float(rng.uniform(0, 2 * np.pi))
    return Light(name, tuple(lamps), ambient_lux, 100.0, depth, phase)


def _sample_one_lamp(rng: np.random.Generator, name: str, lux: float) -> Light:
    """Sample one lamp; that of `flicker120` flickers."""
    elevation = np.deg2rad(rng.uniform(10, 60))
    lamps = (Lamp(_direction(np.deg2rad(rng.uniform(-45, 45)), elevation), lux),)
    ambient_lux = lux * float(rng.uniform(0.3, 0.8))
    if name == 'night':
        return Light(name, lamps, ambient_lux)
    depth, phase = float(rng.uniform(0.12, 0.18)), float(rng.uniform(0, 2 * np.pi))
    return Light(name, lamps, ambient_lux, 120.0, depth, phase)


def _sample_moving(rng: np.random.Generator, name: str, lux: float) -> MovingLight:
    elevation = np.deg2rad(rng.uniform(10, 60))
    reach = np.deg2rad(rng.uniform(40, 70))
    lamps = tuple(
        Lamp(_direction(azimuth, elevation), lux)
        for azimuth in np.linspace(-reach, reach, _STATIONS)
    )
    return MovingLight(
        name,
        lamps,
        lux * float(rng.uniform(0.1, 0.4)),
        swing_hz=float(rng.uniform(0.2, 0.8)),
        swing_phase=float(rng.uniform(0, 2 * np.pi)),
    )


def _direction(azimuth: float, elevation: float) -> tuple[float, float, float]:
    """Return the unit vector towards a lamp, angles in rad; 0, 0 is where the camera stands."""
    return (
        float(np.sin(azimuth) * np.cos(elevation)),
        float(np.sin(elevation)),
        float(np.cos(azimuth) * np.cos(elevation)),
    )
