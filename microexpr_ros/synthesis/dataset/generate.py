"""Making data sets of synthetic clips, see `index` for what they are.

A clip depends on the recipe and its number alone, so the bytes are the same however the work is
shared out (on processors of one kind: others round the last bit otherwise). Persons and skins of
different splits come from ranges of numbers that do not overlap, whatever the seed.

Several jobs may fill one folder, each with its share. All that they have in common is made from
the shards that are there, and the job that finds all of them completes the data set. Jobs without
a common disk fill folders of their own, whose shards are then copied together: the same command
without a share finds them, makes what is missing, and completes the data set.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.atomic import atomic_target, write_json
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events
from microexpr_ros.events.grid import GRID, SLICE_NS, accumulate
from microexpr_ros.events.region import Region
from microexpr_ros.jobs import Share, run
from microexpr_ros.synthesis.dataset import card
from microexpr_ros.synthesis.dataset.checksums import (
    CHECKSUMS,
    damaged_files,
    listed_files,
    write_checksums,
)
from microexpr_ros.synthesis.dataset.clip import ARRAYS, Clip, ClipMetadata
from microexpr_ros.synthesis.dataset.index import (
    INDEX,
    VERSION,
    Index,
    IndexEntry,
    read_clip,
    read_clips,
    read_index,
)
from microexpr_ros.synthesis.dataset.recipe import Recipe, check_order
from microexpr_ros.synthesis.dataset.splits import SPLITS
from microexpr_ros.synthesis.dataset.take import Take, sample_take
from microexpr_ros.synthesis.sensors import frame_camera
from microexpr_ros.synthesis.sensors.automatic_exposure import AutomaticExposure, start_exposure
from microexpr_ros.synthesis.sensors.filming import RenderedFrames, film
from microexpr_ros.synthesis.sensors.frame_camera import METERED, WEBCAM, Metering
from microexpr_ros.synthesis.sensors.frame_taking import RegionFrames
from microexpr_ros.synthesis.world.labels import face_landmarks

SHARD_CLIPS: Final = 12

TARGET_EVERY: Final = 4
"""Slices from one ground-truth picture to the next."""

Shards: TypeAlias = Mapping[str, list[ClipMetadata]]
"""What the clips of each shard show, by its name."""


def generate_clips(
    root: Path,
    recipe: Recipe,
    clips: int,
    workers: int | Executor = 1,
    progress: Callable[[int, int], None] | None = None,
    share: Share | None = None,
) -> Index:
    """Make a split, or go on with one that was interrupted or is to grow.

    Args:
        root: Folder of the data set; the split's folder is made in it.
        recipe: What decides the clips.
        clips: How many clips the split should have.
        workers: Processes of this machine, or an executor whose workers share its disk.
        progress: Called with the clips that are there and all clips, both of the share.
        share: Make this part of the split only; None for all of it.

    Raises:
        MicroexprError: An option is invalid, the folder holds another recipe's clips, or
            another split wears the same images.
    """
    check_order(recipe, clips, workers)
    share = share or Share()
    folder = root / recipe.split
    folder.mkdir(parents=True, exist_ok=True)
    described = recipe.to_json()
    refuse_shared_images(root, described)
    if (folder / INDEX).is_file():
        refuse_mixture(folder, read_index(root, recipe.split).recipe, described)
    for name in damaged_files(folder):
        (folder / name).unlink(missing_ok=True)
    jobs = plan_shards(clips)
    # The recipe stands on disk before the first shard, so that no later run mixes another in.
    found = _publish(folder, described, jobs)
    own = {name: numbers for n, (name, numbers) in enumerate(jobs.items()) if share.has(n)}
    todo = {
        name: partial(make_shard, folder / name, recipe, numbers)
        for name, numbers in own.items()
        if name not in found
    }
    total = sum(map(len, own.values()))
    made = total - sum(len(own[name]) for name in todo)

    def report(name: str, metadata: list[ClipMetadata]) -> None:
        nonlocal made
        made += len(metadata)
        if progress is not None:
            progress(made, total)

    if progress is not None:
        progress(made, total)
    if todo:
        (folder / CHECKSUMS).unlink(missing_ok=True)
        try:
            run(todo, workers, report)
        finally:
            _publish(folder, described, jobs)
    return read_index(root, recipe.split)


def plan_shards(clips: int) -> dict[str, range]:
    """Return the names of the shards of a split, and the numbers of the clips in each."""
    return {
        f'shard-{number:05d}.npz': range(
            number * SHARD_CLIPS, min((number + 1) * SHARD_CLIPS, clips)
        )
        for number in range(-(-clips // SHARD_CLIPS))
    }


def refuse_shared_images(root: Path, recipe: dict[str, Any]) -> None:
    """Check that no image of a recipe is worn in another split of the data set.

    Raises:
        MicroexprError: The images were shared out anew, as some came or went in between.
    """
    own = set(recipe['photographs'].values())
    for split in SPLITS:
        for path in (
            root / split / INDEX,
            root / split / 'bags' / 'recipe.json',
            root / split / 'stories' / 'recipe.json',
        ):
            if split == recipe['split'] or not path.is_file():
                continue
            content = json.loads(path.read_text())
            theirs = content.get('recipe', content).get('photographs', {})
            both = [name for name, digest in theirs.items() if digest in own]
            if both:
                raise MicroexprError(
                    f'{", ".join(both)} would be in the splits {split} and {recipe["split"]}: '
                    'make all splits with the same --skin-dir, without copies in it'
                )


def refuse_mixture(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Check that what a folder holds was made by the recipe that is wanted.

    Raises:
        MicroexprError: It was made by another one.
    """
    names = [name for name in wanted if found.get(name) != wanted[name]]
    if names:
        difference = ', '.join(
            f'{name} {found.get(name)!r} instead of {wanted[name]!r}' for name in names
        )
        raise MicroexprError(
            f'{folder} holds clips of another recipe ({difference}): '
            'choose another --out or delete it'
        )


def make_clip(recipe: Recipe, index: int) -> Clip:
    """Make one clip; about a second."""
    take = sample_take(recipe, index)
    slices = take.motion.duration_ns // SLICE_NS
    times, pictures, parts = [], [], []
    samples = film(take.scene, take.motion, take.sensor.parameters, take.rng, recipe.step_px)
    first = next(samples)
    camera = RegionFrames(clip_exposure(take, first.picture), take.scene.light, take.rng)
    for sample in chain([first], samples):
        camera.see(sample.t_ns, sample.picture)
        times.append(sample.t_ns)
        pictures.append(cv2.resize(sample.picture, (GRID, GRID), interpolation=cv2.INTER_AREA))
        parts.append(sample.events)
    rendered = RenderedFrames(np.array(times, np.int64), np.stack(pictures).astype(np.float32))

    height, width = sample.picture.shape
    frames = [cv2.resize(one, (GRID, GRID), interpolation=cv2.INTER_AREA) for one in camera.frames]
    frame_slice = (np.array(camera.close_ns, np.int64) // SLICE_NS).astype(np.int32)
    inside = frame_slice < slices
    target_slice = np.arange(TARGET_EVERY - 1, slices, TARGET_EVERY, dtype=np.int32)
    sharp = np.stack([rendered.at(int(t)) for t in _slice_ends(target_slice)])
    # As the newest frame shows it; before the first, as that one will.
    newest = np.maximum(np.searchsorted(frame_slice, target_slice, 'right') - 1, 0)
    white_lux = np.array(camera.white_lux, np.float32)[newest]
    ends = _slice_ends(np.arange(slices))
    to_cells = np.array([GRID / width, GRID / height], np.float32)
    return Clip(
        **asdict(take.metadata),
        pixels_per_cell=width * height / GRID**2,
        counts=_count_events(Events.concatenate(parts), width, height, slices),
        sides=take.motion.sides(ends),
        landmarks=to_cells * face_landmarks(take.scene, take.motion, ends),
        frames=np.array(frames, np.uint8).reshape(-1, GRID, GRID)[inside],
        frame_slice=frame_slice[inside],
        target=frame_camera.encode(np.asarray(sharp / white_lux[:, None, None], np.float32)),
        target_slice=target_slice,
    )


def _slice_ends(slices: NDArray[np.signedinteger]) -> NDArray[np.int64]:
    return (slices.astype(np.int64) + 1) * SLICE_NS


def _count_events(events: Events, width: int, height: int, slices: int) -> NDArray[np.uint8]:
    counts = np.zeros((slices, 2, GRID, GRID), np.uint8)
    cuts = np.searchsorted(events.t, np.arange(slices + 1) * SLICE_NS)
    for number in range(slices):
        inside = events[int(cuts[number]) : int(cuts[number + 1])]
        accumulate(inside, Region(0, 0, width, height), counts[number])
    return counts


def _metering(take: Take) -> Metering:
    """Return what the frame camera measures: the sensor's whole picture, not the region alone.

    Half of what is around the region is as bright as what is behind the head in it; half are
    things of usual reflectance in the light of the face, as clothes and furniture.
    """
    sensor, camera = take.sensor.parameters, take.scene.camera
    share = camera.width * camera.height / (sensor.width * sensor.height)
    behind = take.scene.background.reshape(-1)
    things = np.full_like(behind, METERED * take.scene.light.on_face_lux)
    return Metering(min(share, 1.0), np.concatenate([behind, things]))


def clip_exposure(take: Take, picture: NDArray[np.float32]) -> AutomaticExposure:
    """Sample the exposure of the frame camera when a clip begins.

    Args:
        take: Of the clip, after its first picture and with no random numbers used since.
        picture: float32 [height, width], that picture, lux.

    Returns:
        That of a rolling shutter, of which the region has a part of the rows.
    """
    share = min(take.scene.camera.height / take.sensor.parameters.height, 1.0)
    readout_ns = round(share * WEBCAM.readout_ns)
    return start_exposure(picture, take.rng, _metering(take), readout_ns)


def make_shard(path: Path, recipe: Recipe, numbers: range) -> list[ClipMetadata]:
    """Make some clips and write them to a file; return what they show."""
    # As many processes as cores each make one.
    cv2.setNumThreads(1)
    clips = [make_clip(recipe, number) for number in numbers]
    metadata = [clip.metadata for clip in clips]
    arrays = {f'{clip.index:06d}-{name}': getattr(clip, name) for clip in clips for name in ARRAYS}
    text = json.dumps([one.to_json() for one in metadata])
    arrays['metadata'] = np.frombuffer(text.encode(), np.uint8)
    with atomic_target(path, replace=True) as hidden:
        np.savez_compressed(hidden, allow_pickle=False, **arrays)
    return metadata


def _publish(folder: Path, recipe: dict[str, Any], jobs: Mapping[str, range]) -> Shards:
    """Write what follows from the shards that are there, and return their metadata."""
    found = _survey(folder, jobs, recipe['seed'], {})
    while True:
        write_index(folder, recipe, found, complete=len(found) == len(jobs))
        # Another job may have added a shard and an index that this older one just replaced.
        # Every job surveys again after it wrote, so the last index has all shards.
        now = _survey(folder, jobs, recipe['seed'], found)
        if now.keys() == found.keys():
            break
        found = now
    names = list(found)
    if len(found) == len(jobs) and listed_files(folder) != names:
        index = read_index(folder.parent, folder.name)
        first = [read_clip(index, number) for number in range(min(len(index), SHARD_CLIPS))]
        write_cards(folder, index, map(measure_size, read_clips(index)), first)
        write_checksums(folder, names)
    return found


def measure_size(clip: Clip) -> tuple[float, int]:
    """Return the length of a clip in seconds, and its events."""
    return len(clip.counts) * SLICE_NS * 1e-9, int(clip.counts.sum(dtype=np.int64))


def write_cards(
    folder: Path, index: Index, sizes: Iterable[tuple[float, int]], first: Sequence[Clip]
) -> None:
    """Write the cards of a complete split and of its data set.

    Args:
        folder: of the split.
        index: its clips.
        sizes: of each, as `measure_size` returns them.
        first: the clips of its first shard, which are drawn.
    """
    card.write(folder, index.recipe, index.clips, sizes, [card.draw_clip(clip) for clip in first])
    card.write_overview(folder.parent)


def _survey(folder: Path, jobs: Mapping[str, range], seed: int, known: Shards) -> Shards:
    """Return the metadata of the shards that hold the right clips, without reading known ones."""
    found = {}
    for name, numbers in jobs.items():
        metadata = known.get(name) or read_metadata(folder / name)
        if are_clips(metadata, seed, numbers):
            found[name] = metadata
    return found


def are_clips(metadata: Sequence[ClipMetadata], seed: int, numbers: range) -> bool:
    """Return whether a shard holds the clips of these numbers."""
    return [(clip.index, clip.seed) for clip in metadata] == [(n, seed) for n in numbers]


def read_metadata(path: Path) -> list[ClipMetadata]:
    """Return what the clips of a shard show; nothing if it is missing or cannot be read."""
    if not path.is_file():
        return []
    try:
        with np.load(path, allow_pickle=False) as archive:
            content = json.loads(archive['metadata'].tobytes())
            return [ClipMetadata.from_json(clip) for clip in content]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        # A shard that cannot be read is made again.
        return []


def write_index(folder: Path, recipe: dict[str, Any], found: Shards, complete: bool) -> None:
    """Write what clips the split has."""
    entries = [IndexEntry(clip, name) for name in found for clip in found[name]]
    clips = [entry.to_json() for entry in entries]
    content = {'version': VERSION, 'recipe': recipe, 'complete': complete, 'clips': clips}
    write_json(folder / INDEX, content)
