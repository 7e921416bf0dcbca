"""Making the references of the clips of a data set, see `references` for what they are."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.atomic import atomic_target
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.grid import GRID
from microexpr_ros.jobs import run
from microexpr_ros.synthesis.dataset.generate import clip_exposure, refuse_mixture
from microexpr_ros.synthesis.dataset.index import read_index
from microexpr_ros.synthesis.dataset.recipe import Recipe
from microexpr_ros.synthesis.dataset.references import (
    ARRAYS,
    FOLDER,
    SHARD_CLIPS,
    References,
    shard_name,
)
from microexpr_ros.synthesis.dataset.splits import story_motion
from microexpr_ros.synthesis.dataset.take import sample_take
from microexpr_ros.synthesis.sensors.filming import film
from microexpr_ros.synthesis.sensors.frame_camera import WEBCAM, compress, expose, gather
from microexpr_ros.synthesis.world.labels import face_landmarks
from microexpr_ros.synthesis.world.motion import Motion, Wave

PER_CLIP: Final = 2
"""References of each clip."""

AGE_S: Final = (1.0, 60.0)
"""Least and largest age of a reference when its clip begins; all orders of magnitude are alike."""

_POSTURE_RAD: Final = (0.05, 0.09, 0.03)
"""Standard deviations of the head's turn at a time long ago from that now, about x, y, z."""

_POSTURE_S: Final = 20.0
"""Time constant of that: heads wander as in an Ornstein-Uhlenbeck process."""

_EXPOSURE_MOMENTS: Final = 3


def generate_references(
    root: Path,
    recipe: Recipe,
    workers: int | Executor = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Make the references of all clips of a split, or go on with that.

    Args:
        root: Folder of the data set, with the split's clips.
        recipe: That of the clips.
        workers: Processes of this machine, or an executor whose workers share its disk.
        progress: Called with the clips that have references and all clips.

    Returns:
        The folder of the references.

    Raises:
        MicroexprError: The split is missing or incomplete, or was made by another recipe.
    """
    index = read_index(root, recipe.split)
    if not index.complete:
        raise MicroexprError(
            f'{index.folder} is incomplete: finish its clips first, without --references'
        )
    refuse_mixture(index.folder, index.recipe, recipe.to_json())
    folder = index.folder / FOLDER
    folder.mkdir(exist_ok=True)
    clips = [clip.index for clip in index.clips]
    jobs = {
        folder / shard_name(first): clips[first : first + SHARD_CLIPS]
        for first in range(0, len(clips), SHARD_CLIPS)
    }
    todo = {
        path: partial(_make_shard, path, recipe, numbers)
        for path, numbers in jobs.items()
        if not _has_all(path, numbers)
    }
    made = len(clips) - sum(len(jobs[path]) for path in todo)

    def report(path: Path, count: int) -> None:
        nonlocal made
        made += count
        if progress is not None:
            progress(made, len(clips))

    if progress is not None:
        progress(made, len(clips))
    run(todo, workers, report)
    return folder


def make_references(recipe: Recipe, number: int) -> References:
    """Make the references of one clip.

    Args:
        recipe: That of the clip.
        number: Of the clip in its split.
    """
    take = sample_take(recipe, number)
    scene = take.scene
    samples = film(scene, take.motion, take.sensor.parameters, take.rng, recipe.step_px)
    camera = clip_exposure(take, next(samples).picture).camera
    lasts_ns = camera.exposure_ns + camera.readout_ns
    # Not the take's own random numbers: those decide the noise of its clip.
    rng = np.random.default_rng([recipe.seed, number, 0x9EFE])
    low, high = np.log(AGE_S).tolist()
    ages_s = np.exp(rng.uniform(low, high, PER_CLIP))
    frames, landmarks = [], []
    for age_s in ages_s.tolist():
        motion = _change_posture(story_motion(rng, number), age_s, rng)
        opened = int(rng.integers(motion.duration_ns - lasts_ns))
        times = np.linspace(opened, opened + lasts_ns, _EXPOSURE_MOMENTS).astype(np.int64)
        pictures = np.stack([scene.radiance(instant) for instant in motion.instants(times)])
        mean = gather(camera, opened, times, pictures, scene.light)
        frame = compress(expose(camera, mean, rng), WEBCAM.jpeg_quality)
        frames.append(cv2.resize(frame, (GRID, GRID), interpolation=cv2.INTER_AREA))
        middle = times[len(times) // 2]
        landmarks.append(face_landmarks(scene, motion, middle[None])[0])
    to_cells = GRID / np.array([scene.camera.width, scene.camera.height], np.float32)
    return References(
        ages_s.astype(np.float32),
        np.stack(frames),
        np.asarray(to_cells * np.stack(landmarks), np.float32),
    )


def _change_posture(motion: Motion, age_s: float, rng: np.random.Generator) -> Motion:
    """Return a motion with the head turned as it may have been so long before."""
    share = np.sqrt(1 - np.exp(-2 * age_s / _POSTURE_S))
    angles = share * np.clip(rng.normal(0, 1, 3), -2, 2) * _POSTURE_RAD
    head = tuple(
        Wave(
            np.append(wave.amplitude, angle),
            np.append(wave.hz, 0.0),
            # A sine without frequency is constant: 1 at this phase.
            np.append(wave.phase, np.pi / 2),
        )
        for wave, angle in zip(motion.head, (*angles, 0.0, 0.0, 0.0), strict=True)
    )
    return replace(motion, head=head)


def _make_shard(path: Path, recipe: Recipe, numbers: list[int]) -> int:
    # As many processes as cores each make one.
    cv2.setNumThreads(1)
    arrays: dict[str, NDArray[Any]] = {}
    for number in numbers:
        made = make_references(recipe, number)
        arrays |= {f'{number:06d}-{name}': getattr(made, name) for name in ARRAYS}
    with atomic_target(path, replace=True) as hidden:
        np.savez_compressed(hidden, allow_pickle=False, **arrays)
    return len(numbers)


def _has_all(path: Path, numbers: list[int]) -> bool:
    if not path.is_file():
        return False
    try:
        with np.load(path, allow_pickle=False) as archive:
            return all(f'{number:06d}-{ARRAYS[-1]}' in archive for number in numbers)
    except (OSError, ValueError, zipfile.BadZipFile):
        # A shard that cannot be read is made again.
        return False
