"""Data sets of synthetic clips: making them, writing them, reading them.

A data set is a folder with one folder for each split: `index.json` with the clips' metadata,
shards of twelve clips (NumPy archives without pickles), `SHA256SUMS` of the shards, and what
the data are, in `card.json`, `card.md`, `card.png` and `faces.png`. A clip depends on the recipe
and its number alone, so the bytes are the same however the work is shared out (on processors of
one kind: others round the last bit otherwise). Persons and skins of different splits come from
ranges of numbers that do not overlap, whatever the seed.

Several jobs may fill one folder, each with its share. All that they have in common is made from
the shards that are there, and the job that finds all of them ends the data set. Jobs without a
common disk fill folders of their own, whose shards are then copied together: the same command
without a share finds them, makes what is missing, and ends the data set.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.atomic import atomic_target
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.jobs import Share, run
from microexpr_ros.synthesis.dataset import card
from microexpr_ros.synthesis.dataset.clip import (
    CLIPS_PER_PERSON,
    GENERATOR,
    SPLITS,
    TARGET_EVERY,
    Clip,
    Recipe,
    check_recipe,
    make_clip,
)
from microexpr_ros.synthesis.dataset.storage import (
    CHECKSUMS,
    damaged,
    vouched,
    write_checksums,
    write_json,
)

__all__ = [
    'CLIPS_PER_PERSON',
    'GENERATOR',
    'SPLITS',
    'TARGET_EVERY',
    'VERSION',
    'Clip',
    'Index',
    'Recipe',
    'Share',
    'check',
    'check_order',
    'check_recipe',
    'describe',
    'generate',
    'make_clip',
    'read_clip',
    'read_clips',
    'read_index',
    'refuse_mixture',
    'refuse_shared_images',
]

VERSION: Final = 2
"""Layout of the files; readers refuse others."""

SHARD_CLIPS: Final = 12

_Shards = dict[Path, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Index:
    """A split on disk.

    Attributes:
        folder: where its shards are.
        complete: whether all clips that were asked for are there.
        recipe: the recipe as JSON.
        clips: metadata of each clip, with `shard`, its file.
    """

    folder: Path
    complete: bool
    recipe: dict[str, Any]
    clips: tuple[dict[str, Any], ...]

    def __len__(self) -> int:
        return len(self.clips)


def generate(
    root: Path,
    recipe: Recipe,
    clips: int,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    share: Share | None = None,
) -> Index:
    """Make a split, or go on with one that was interrupted or is to grow.

    Args:
        root: Folder of the data set; the split's folder is made in it.
        recipe: What decides the clips.
        clips: How many clips the split shall have.
        workers: Processes.
        progress: Called with the clips that are there and all clips, both of the share.
        share: Make this part of the split only; None for all of it.

    Raises:
        MicroexprError: An option has no sense, the folder holds another recipe's clips, or
            another split wears the same images.
    """
    check_order(recipe, clips, workers)
    share = share or Share()
    folder = root / recipe.split
    folder.mkdir(parents=True, exist_ok=True)
    description = describe(recipe)
    refuse_shared_images(root, description)
    if (folder / 'index.json').is_file():
        refuse_mixture(folder, read_index(root, recipe.split).recipe, description)
    for name in damaged(folder):
        (folder / name).unlink(missing_ok=True)
    jobs = {
        folder / f'shard-{number:05d}.npz': range(
            number * SHARD_CLIPS, min((number + 1) * SHARD_CLIPS, clips)
        )
        for number in range(-(-clips // SHARD_CLIPS))
    }
    # The recipe stands on disk before the first shard, so that no later run mixes another in.
    found = _publish(folder, description, jobs)
    own = {path: numbers for n, (path, numbers) in enumerate(jobs.items()) if share.has(n)}
    todo = {
        path: partial(_make_shard, path, recipe, numbers)
        for path, numbers in own.items()
        if path not in found
    }
    total = sum(map(len, own.values()))
    made = total - sum(len(own[path]) for path in todo)

    def report(path: Path, metadata: list[dict[str, Any]]) -> None:
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
            _publish(folder, description, jobs)
    return read_index(root, recipe.split)


def check(root: Path, split: str) -> Index:
    """Return what a split has, after checking that all of it is there and undamaged.

    Raises:
        MicroexprError: There is no such split, clips are missing, or shards are damaged.
    """
    index = read_index(root, split)
    again = 'make it again with the `microexpr synth` command that made it'
    if not index.complete:
        raise MicroexprError(f'{index.folder} is incomplete: {again}')
    if not (index.folder / CHECKSUMS).is_file():
        raise MicroexprError(f'{index.folder} has no {CHECKSUMS}: {again}')
    if names := damaged(index.folder):
        raise MicroexprError(f'{", ".join(names)} in {index.folder} are damaged: {again}')
    return index


def check_order(recipe: Recipe, clips: int, workers: int) -> None:
    """Check what somebody wants to be made.

    Raises:
        MicroexprError: An option has no sense.
    """
    check_recipe(recipe)
    for name, number in (('clips', clips), ('workers', workers)):
        if number < 1:
            raise MicroexprError(f'--{name} {number} is too small: give at least 1')
    if clips > 1_000_000:
        raise MicroexprError(f'--clips {clips} is too many: a split has at most 1000000')


def describe(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as JSON; photographs by name and hash, as paths differ by machine."""
    out = asdict(recipe)
    out['generator'] = GENERATOR
    out['photographs'] = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in recipe.photographs
    }
    return out


def refuse_shared_images(root: Path, recipe: dict[str, Any]) -> None:
    """Check that no image of a recipe is worn in another split of the data set.

    Raises:
        MicroexprError: The images were shared out anew, as some came or went in between.
    """
    own = set(recipe['photographs'].values())
    for split in SPLITS:
        for told in (root / split / 'index.json', root / split / 'bags' / 'recipe.json'):
            if split == recipe['split'] or not told.is_file():
                continue
            content = json.loads(told.read_text())
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


def read_index(root: Path, split: str) -> Index:
    """Read what clips a split has.

    Raises:
        MicroexprError: There is no such split, or its files have another layout.
    """
    path = root / split / 'index.json'
    if not path.is_file():
        raise MicroexprError(
            f'{path} does not exist: make it with `microexpr synth --split {split} --out {root}`'
        )
    content = json.loads(path.read_text())
    if content.get('version') != VERSION:
        raise MicroexprError(
            f'{path} has layout {content.get("version")}, this version reads {VERSION}: '
            'choose another --out or delete it'
        )
    clips = tuple(content['clips'])
    return Index(path.parent, bool(content['complete']), content['recipe'], clips)


def read_clip(index: Index, number: int) -> Clip:
    """Read one clip of a split, by its position in `index.clips`.

    Raises:
        MicroexprError: Its shard is missing or damaged.
    """
    entry = index.clips[number]
    path = index.folder / entry['shard']
    try:
        with np.load(path, allow_pickle=False) as archive:
            return _unpack(archive, entry)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise MicroexprError(
            f'cannot read clip {entry["index"]} from {path} ({reason}): copy the shard again, or '
            'delete it and run the `microexpr synth` command that made it'
        ) from error


def read_clips(index: Index) -> Iterator[Clip]:
    """Read all clips of a split, shard by shard."""
    for number in range(len(index)):
        yield read_clip(index, number)


def show(clip: Clip) -> NDArray[np.uint8]:
    """Return a clip's face at its apex beside its events from onset to apex.

    Returns:
        uint8 [128, 256, 3] BGR; ON in blue, OFF in red. Without an expression, the whole clip.
    """
    first, last = clip.onset_ns // SLICE_NS, clip.apex_ns // SLICE_NS
    span = slice(first, last + 1) if clip.dominant else slice(None)
    number = min(int(np.searchsorted(clip.target_slice, last)), len(clip.target) - 1)
    off, on = clip.counts[span].sum(axis=0, dtype=np.int64)
    face = np.repeat(clip.target[number][..., None], 3, axis=2)
    return np.asarray(np.hstack([face, card.picture(on - off)]), np.uint8)


_ARRAYS = ('counts', 'sides', 'frames', 'frame_slice', 'target', 'target_slice')


def _unpack(archive: Any, entry: dict[str, Any]) -> Clip:
    arrays = {name: archive[f'{entry["index"]:06d}-{name}'] for name in _ARRAYS}
    rest = {name: value for name, value in entry.items() if name != 'shard'}
    rest['distractors'] = tuple(rest['distractors'])
    return Clip(**arrays, **rest)


def _make_shard(path: Path, recipe: Recipe, numbers: range) -> list[dict[str, Any]]:
    import cv2

    cv2.setNumThreads(1)
    clips = [make_clip(recipe, number) for number in numbers]
    metadata = [clip.metadata for clip in clips]
    arrays = {
        f'{clip.index:06d}-{name}': getattr(clip, name) for clip in clips for name in _ARRAYS
    }
    arrays['metadata'] = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    with atomic_target(path, replace=True) as hidden:
        np.savez_compressed(hidden, allow_pickle=False, **arrays)
    return metadata


def _publish(folder: Path, recipe: dict[str, Any], jobs: dict[Path, range]) -> _Shards:
    """Write what follows from the shards that are there, and return their metadata."""
    found = _survey(jobs, recipe['seed'], {})
    while True:
        _write_index(folder, recipe, found, complete=len(found) == len(jobs))
        # Another job may have ended a shard, and its index be hidden by this older one. Every
        # job looks again after it wrote, so the index that stays says all.
        now = _survey(jobs, recipe['seed'], found)
        if now.keys() == found.keys():
            break
        found = now
    names = [path.name for path in found]
    if len(found) == len(jobs) and vouched(folder) != names:
        index = read_index(folder.parent, folder.name)
        card.write(
            index,
            (
                (len(clip.counts) * SLICE_NS * 1e-9, int(clip.counts.sum(dtype=np.int64)))
                for clip in read_clips(index)
            ),
            [show(read_clip(index, number)) for number in range(min(len(index), SHARD_CLIPS))],
        )
        card.write_overview(folder.parent)
        write_checksums(folder, names)
    return found


def _survey(jobs: dict[Path, range], seed: int, known: _Shards) -> _Shards:
    """Return the metadata of the shards that hold the right clips, without reading known ones."""
    found = {}
    for path, numbers in jobs.items():
        metadata = known.get(path) or _metadata(path)
        if [(clip['index'], clip['seed']) for clip in metadata] == [(n, seed) for n in numbers]:
            found[path] = metadata
    return found


def _metadata(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        with np.load(path, allow_pickle=False) as archive:
            found: list[dict[str, Any]] = json.loads(archive['metadata'].tobytes())
            return found
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        # A shard that cannot be read is made again.
        return []


def _write_index(folder: Path, recipe: dict[str, Any], found: _Shards, complete: bool) -> None:
    clips = [{**clip, 'shard': path.name} for path in found for clip in found[path]]
    content = {'version': VERSION, 'recipe': recipe, 'complete': complete, 'clips': clips}
    write_json(folder / 'index.json', content)
