"""Filming: an event sensor looks at a scene in which something moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.events import Events
from microexpr_ros.synthesis.sensors import event_sensor
from microexpr_ros.synthesis.sensors.event_sensor import SensorParameters, SensorState
from microexpr_ros.synthesis.world.light import Light
from microexpr_ros.synthesis.world.motion import Motion
from microexpr_ros.synthesis.world.scene import Scene
from microexpr_ros.synthesis.world.timing import STEP_PX, render_times


@dataclass(frozen=True, slots=True)
class Sample:
    """One rendered sample of a film, and the events since the one before.

    Attributes:
        t_ns: time of the sample.
        picture: float32 [height, width], radiance without flicker, lux.
        events: events since the sample before; none for the first.
    """

    t_ns: int
    picture: NDArray[np.float32]
    events: Events


@dataclass(frozen=True, slots=True, eq=False)
class RenderedFrames:
    """Samples of a film, for a frame camera to look at in between.

    Attributes:
        t_ns: int64 [N], increasing, two at least.
        pictures: float32 [N, height, width], radiance without flicker, lux.
    """

    t_ns: NDArray[np.int64]
    pictures: NDArray[np.float32]

    def at(self, t_ns: int) -> NDArray[np.float32]:
        """Return the picture at a time, on a straight line between the samples around it."""
        after = min(max(int(np.searchsorted(self.t_ns, t_ns)), 1), len(self.t_ns) - 1)
        begin, end = int(self.t_ns[after - 1]), int(self.t_ns[after])
        share = np.float32(min(max((t_ns - begin) / (end - begin), 0), 1))
        low = self.pictures[after - 1]
        return np.asarray(low + share * (self.pictures[after] - low), np.float32)


def film(
    scene: Scene,
    motion: Motion,
    parameters: SensorParameters,
    rng: np.random.Generator,
    step_px: float = STEP_PX,
) -> Iterator[Sample]:
    """Yield the samples of a take, from time 0 to its end, as the event sensor sees it.

    Args:
        scene: Person, light and camera.
        motion: What moves.
        parameters: The event sensor's pixels; its size does not matter here.
        rng: Random numbers, for the pixels' mismatch.
        step_px: Farthest that anything moves between two samples, px.
    """
    instants = motion.instants(render_times(scene, motion, step_px=step_px))
    pictures = ((instant.t_ns, scene.radiance(instant)) for instant in instants)
    return sense(pictures, parameters, scene.light, rng)


def sense(
    pictures: Iterable[tuple[int, NDArray[np.float32]]],
    parameters: SensorParameters,
    light: Light,
    rng: np.random.Generator,
) -> Iterator[Sample]:
    """Yield what an event sensor sees of pictures that are rendered one after the other.

    Args:
        pictures: Times, from 0, and radiance without flicker, float32 [height, width], lux.
        parameters: The event sensor's pixels.
        light: Its flicker is added, in finer steps than those of the pictures.
        rng: Random numbers, for the pixels' mismatch.
    """
    rendered = iter(pictures)
    start_ns, before = next(rendered)
    state = _start(parameters, light, before, rng)
    yield Sample(start_ns, before, Events.empty())
    for end_ns, after in rendered:
        events, state = _step(parameters, state, light, before, after, start_ns, end_ns)
        yield Sample(end_ns, after, events)
        start_ns, before = end_ns, after


def _start(
    parameters: SensorParameters,
    light: Light,
    picture: NDArray[np.float32],
    rng: np.random.Generator,
) -> SensorState:
    """Return the state at time 0 of pixels that have looked at a still scene for long.

    If the light flickers, they have followed it for two periods.
    """
    if light.flicker_depth == 0:
        return event_sensor.start(parameters, picture, 0, rng)
    begin_ns = -int(2e9 / light.flicker_hz)
    gain = np.float32(light.gain(np.array([begin_ns]))[0])
    state = event_sensor.start(parameters, picture * gain, begin_ns, rng)
    return _step(parameters, state, light, picture, picture, begin_ns, 0)[1]


def _step(
    parameters: SensorParameters,
    state: SensorState,
    light: Light,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    start_ns: int,
    end_ns: int,
) -> tuple[Events, SensorState]:
    """Run the sensor from one picture to the next, in finer steps if the light flickers."""
    if light.flicker_depth == 0:
        return event_sensor.step(parameters, state, after, end_ns)
    times = light.follow(start_ns, end_ns)[1:]
    gains = light.gain(times)
    parts = []
    for t, gain in zip(times, gains, strict=True):
        share = np.float32((t - start_ns) / (end_ns - start_ns))
        picture = (before + share * (after - before)) * np.float32(gain)
        events, state = event_sensor.step(parameters, state, picture, int(t))
        parts.append(events)
    return Events.concatenate(parts), state
