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
    'backlit': (300, 3000),
    'night': (0.8, 2.5),
    'flicker120': (120, 600),
    'moving': (80, 600),
}


FLICKER_STEPS: Final = 8
"""Steps of a period of flicker in which a sensor follows it."""

_USUAL_DEPTH: Final = (0.02, 0.11)
_DEEP_DEPTH: Final = (0.11, 0.3)
_DEEP_SHARE: Final = 0.15

_WALL: Final = (0.02, 0.5)
_WINDOW: Final = (2.0, 8.0)


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
        behind: smallest and largest radiance of what is behind the head, as a share of
            `on_face_lux`.
    """

    name: str
    lamps: tuple[Lamp, ...]
    ambient_lux: float
    flicker_hz: float = 0.0
    flicker_depth: float = 0.0
    flicker_phase: float = 0.0
    behind: tuple[float, float] = _WALL

    @property
    def longest_step_ns(self) -> int | None:
        """Longest time between two rendered samples; None if the light sets no bound."""
        return None

    @property
    def on_face_lux(self) -> float:
        """Rough illuminance of a face that looks into the camera."""
        main = self.lamps[0]
        return self.ambient_lux + (0.3 * main.lux if main.direction[2] > 0 else 0.0)

    def at(self, t_ns: int) -> Light:
        """Return the lamps as they shine at an instant, without their flicker."""
        return self

    def gain(self, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the factor on all radiance by the flicker, float64 [N], at times t_ns."""
        angle = 2 * np.pi * self.flicker_hz * np.asarray(t_ns, np.float64) * 1e-9
        wave = np.sin(angle + self.flicker_phase)
        return np.asarray(1 + self.flicker_depth * wave, np.float64)

    def follow(self, start_ns: int, end_ns: int) -> NDArray[np.int64]:
        """Return times, from a start to an end, between which the flicker is nearly straight.

        The extremes of the flicker are among them, so that no threshold is missed that the light
        reaches. A steady light has only the start and the end.
        """
        if self.flicker_depth == 0:
            return np.array([start_ns, end_ns])
        step_ns = 1e9 / self.flicker_hz / FLICKER_STEPS
        origin_ns = -self.flicker_phase / (2 * np.pi) * 1e9 / self.flicker_hz
        first = np.floor((start_ns - origin_ns) / step_ns) + 1
        last = np.ceil((end_ns - origin_ns) / step_ns)
        between = (origin_ns + np.arange(first, last) * step_ns).astype(np.int64)
        return np.unique(np.concatenate([[start_ns], between, [end_ns]]))


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
        if name == 'backlit':
            return _sample_backlit(rng, name, lux)
        if name in ('night', 'flicker120'):
            return _sample_one_lamp(rng, name, lux)
        return _sample_room(rng, name, lux)


ROOM_LIGHTS: Final = LightKinds(
    ('bright', 'dim', 'side', 'flicker', 'backlit'), (0.34, 0.2, 0.2, 0.13, 0.13)
)
"""Light as it is in rooms."""

SHIFTED_LIGHTS: Final = LightKinds(('night', 'flicker120', 'moving'))
"""Light that differs from all light in rooms: lamps of 0.8 to 2.5 lux (`dim` ends at 3), flicker
of 120 Hz and a depth of 0.32 to 0.45 (`flicker` has 100 Hz and at most 0.3), and a lamp that
swings around the face."""


def sample_flicker(rng: np.random.Generator) -> tuple[float, float]:
    """Sample depth and phase, rad, of a lamp that flickers at twice the frequency of the mains.

    Incandescent lamps and most of the others lie between 0.02 and 0.11. LEDs with a cheap supply
    (one in seven here) go up to 0.3, the most that is common (Lehman et al., Proposing measures
    of flicker in the low frequencies for lighting applications, ECCE 2011).
    """
    bounds = _DEEP_DEPTH if rng.random() < _DEEP_SHARE else _USUAL_DEPTH
    return float(rng.uniform(*bounds)), float(rng.uniform(0, 2 * np.pi))


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
    return Light(name, tuple(lamps), ambient_lux, 100.0, *sample_flicker(rng))


def _sample_backlit(rng: np.random.Generator, name: str, lux: float) -> Light:
    """Sample a bright window behind a face that only the walls of the room light.

    The window's light comes round the head from behind; what the camera sees behind the head is 2
    to 8 times as bright as a white surface in the place of the face.
    """
    azimuth = np.deg2rad(rng.uniform(110, 165)) * rng.choice([-1, 1])
    elevation = np.deg2rad(rng.uniform(0, 50))
    ambient_lux = lux * float(rng.uniform(0.08, 0.25))
    return Light(name, (Lamp(_direction(azimuth, elevation), lux),), ambient_lux, behind=_WINDOW)


def _sample_one_lamp(rng: np.random.Generator, name: str, lux: float) -> Light:
    """Sample one lamp; that of `flicker120` flickers."""
    elevation = np.deg2rad(rng.uniform(10, 60))
    lamps = (Lamp(_direction(np.deg2rad(rng.uniform(-45, 45)), elevation), lux),)
    ambient_lux = lux * float(rng.uniform(0.3, 0.8))
    if name == 'night':
        return Light(name, lamps, ambient_lux)
    depth, phase = float(rng.uniform(0.32, 0.45)), float(rng.uniform(0, 2 * np.pi))
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
