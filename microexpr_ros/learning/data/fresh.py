"""Clips that training never saw: mixed from measured scenes while it goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.grid import GRID, SLICE_NS, number_cells
from microexpr_ros.learning.data.clips import SparseClip, make_sparse
from microexpr_ros.synthesis.appearance.counting import count_events
from microexpr_ros.synthesis.appearance.scenes import MeasuredScene, list_scenes, read_scene
from microexpr_ros.synthesis.dataset.clip import Clip
from microexpr_ros.synthesis.dataset.splits import train_motion
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS, SensorParameters
from microexpr_ros.synthesis.world.light import sample_flicker
from microexpr_ros.synthesis.world.motion import Motion
from microexpr_ros.synthesis.world.motion_sampling import sample_excerpt

MIXED_AHEAD: Final = 4
"""Clips that are mixed while training goes on, before they are needed."""


@dataclass(frozen=True, slots=True)
class FreshConfiguration:
    """How clips are mixed.

    Attributes:
        scenes: folder of measured scenes (`microexpr synth --scenes`); None for no fresh clips.
        clips: kept at a time, beside those of the data set.
        uses: how often each is used, each time with another augmentation, before another one
            takes its place.
        clips_per_scene: mixed from a scene before the next one is read.
        varied_sensors: share of the clips with other thresholds, bandwidth and noise than the
            sensor models have.
        excerpts: share of the clips that are excerpts of busy stories, in which the head always
            sways, and not what the split train has.
        validation: folder of measured scenes of the split val; excerpts of them are validated on
            beside the clips. None for clips alone.
        validation_excerpts: how many.
        exact_epochs: last epochs without fresh clips, as the rendered ones are more exact.
    """

    scenes: Path | None = None
    clips: int = 1200
    uses: int = 6
    clips_per_scene: int = 12
    varied_sensors: float = 0.5
    excerpts: float = 0.0
    validation: Path | None = None
    validation_excerpts: int = 240
    exact_epochs: int = 2

    def __post_init__(self) -> None:
        positive = ('clips', 'uses', 'clips_per_scene', 'validation_excerpts')
        if min(getattr(self, name) for name in positive) < 1 or self.exact_epochs < 0:
            values = ', '.join(f'{name} {getattr(self, name)}' for name in positive)
            raise ValueError(
                f'{values} must be at least 1, exact_epochs {self.exact_epochs} at least 0'
            )
        if not 0 <= self.excerpts <= 1:
            raise ValueError(f'excerpts {self.excerpts:g} must be 0 to 1')


class FreshClips:
    """Clips that are replaced by others after they were used a few times.

    Args:
        configuration: how they are mixed.
        seed: of everything random.

    Raises:
        MicroexprError: there are no measured scenes.
    """

    def __init__(self, configuration: FreshConfiguration, seed: int) -> None:
        if configuration.scenes is None:
            raise ValueError('fresh clips need measured scenes')
        self._configuration = configuration
        self._folder = configuration.scenes
        self._rng = np.random.default_rng([seed, 7])
        list_scenes(self._folder)
        self._clips: list[SparseClip | None] = [None] * configuration.clips
        # The first ones are replaced at different times, and so are all that follow.
        self._uses = self._rng.integers(configuration.uses, size=configuration.clips)
        self._scene: MeasuredScene | None = None
        self._left = 0
        # One thread, so that the clips and their order follow from the seed.
        self._ahead = ThreadPoolExecutor(1)
        self._next = deque(self._ahead.submit(self._mix) for _ in range(MIXED_AHEAD))
        self.mixed = 0

    def __len__(self) -> int:
        return len(self._clips)

    def use(self, number: int) -> SparseClip:
        """Return a clip, which may be mixed only now."""
        clip = self._clips[number]
        if clip is None:
            clip = self._clips[number] = self._take_next()
        elif self._uses[number] >= self._configuration.uses:
            clip = self._clips[number] = self._take_next()
            self._uses[number] = 0
        self._uses[number] += 1
        return clip

    def _take_next(self) -> SparseClip:
        self._next.append(self._ahead.submit(self._mix))
        self.mixed += 1
        return self._next.popleft().result()

    def _mix(self) -> SparseClip:
        if self._scene is None or self._left == 0:
            # Listed anew each time: more scenes may be measured meanwhile.
            numbers = list_scenes(self._folder)
            self._scene = read_scene(self._folder, int(self._rng.choice(numbers)))
            self._left = self._configuration.clips_per_scene
        self._left -= 1
        rng, c = self._rng, self._configuration
        varied = rng.random() < c.varied_sensors
        sample = sample_excerpt if rng.random() < c.excerpts else train_motion
        return mix_clip(self._scene, rng, varied, sample)


def mix_excerpts(folder: Path, count: int, seed: int) -> list[SparseClip]:
    """Mix excerpts of busy stories, each of the next of the measured scenes.

    Args:
        folder: of the scenes.
        count: how many.
        seed: of everything random.

    Raises:
        MicroexprError: there are no measured scenes.
    """
    numbers = list_scenes(folder)
    rng = np.random.default_rng([seed, 8])
    mixed: list[SparseClip] = []
    for place, number in enumerate(numbers):
        # So many of each that all scenes are read once only.
        wanted = (place + 1) * count // len(numbers) - len(mixed)
        if wanted:
            scene = read_scene(folder, number)
            mixed += [mix_clip(scene, rng, sample_motion=sample_excerpt) for _ in range(wanted)]
    return mixed


def mix_clip(
    scene: MeasuredScene,
    rng: np.random.Generator,
    varied_sensor: bool = False,
    sample_motion: Callable[[np.random.Generator], Motion] = train_motion,
) -> SparseClip:
    """Mix a clip of a measured scene as `make_clip` would render it, without frames.

    Args:
        scene: who is seen, in which light, by which sensor.
        rng: of motion, flicker, sensor and noise.
        varied_sensor: sample the sensor's parameters too.
        sample_motion: samples what moves.
    """
    motion = sample_motion(rng)
    parameters = SENSORS[scene.sensor]
    if varied_sensor:
        parameters = vary_sensor(rng, parameters)
    light = scene.light
    if light.flicker_depth > 0:
        depth, phase = sample_flicker(rng)
        light = replace(light, flicker_depth=depth, flicker_phase=phase)
    height, width = scene.basis.rest.shape
    counts = count_events(
        scene.basis, motion, light, parameters, number_cells(height, width), GRID, rng
    )
    ends = (np.arange(len(counts), dtype=np.int64) + 1) * SLICE_NS
    nothing = np.zeros((0, GRID, GRID), np.uint8)
    none = np.zeros(0, np.int32)
    to_cells = np.array([GRID / width, GRID / height], np.float32)
    clip = Clip(
        counts=counts,
        sides=motion.sides(ends),
        landmarks=to_cells * move_landmarks(scene, motion, ends),
        frames=nothing,
        frame_slice=none,
        target=nothing,
        target_slice=none,
        pixels_per_cell=width * height / GRID**2,
        dominant=motion.dominant,
        onset_ns=motion.onset_ns,
        apex_ns=motion.apex_ns,
        offset_ns=motion.offset_ns,
        amplitude=motion.amplitude,
        identity=scene.identity,
        skin=scene.skin,
        light=light.name,
        sensor=scene.sensor,
        seed=0,
        index=0,
        distractors=motion.distractors,
    )
    return make_sparse(clip)


def vary_sensor(rng: np.random.Generator, parameters: SensorParameters) -> SensorParameters:
    """Sample thresholds, bandwidth and noise, as biases and specimens vary more than models."""
    threshold = _between(rng, 0.1, 0.4)
    return replace(
        parameters,
        threshold_on=threshold,
        threshold_off=float(np.clip(threshold * np.exp(rng.normal(0, 0.12)), 0.08, 0.5)),
        threshold_sigma=threshold * float(rng.uniform(0.1, 0.2)),
        corner_hz=_between(rng, 30, 400),
        shot_hz=_between(rng, 0.01, 5),
        leak_hz=_between(rng, 0.01, 0.2),
        hot_share=_between(rng, 5e-5, 1e-3),
    )


def move_landmarks(
    scene: MeasuredScene, motion: Motion, t_ns: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return where the landmarks are, moved by head and camera, float32 [T, 5, 2], px."""
    height, width = scene.basis.rest.shape
    points = scene.landmarks
    column = points[:, 0].astype(np.int64).clip(0, width - 1)
    row = points[:, 1].astype(np.int64).clip(0, height - 1)
    flow = scene.basis.flow[:, :, row, column]
    moved = points + np.einsum('tk,kdn->tnd', motion.pose(t_ns), flow)
    return np.asarray(moved + (motion.shake(t_ns) * width)[:, None], np.float32)


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Sample with a uniform logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
