"""Data sets of clips in a store: the files of `synthesis.dataset`, each put there as a whole.

Workers make shards and put them into the store, and read back those of an earlier run. What the
data set needs to know of them comes back to the command, which never reads all shards itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from microexpr_ros.errors import MicroexprError
from microexpr_ros.fleet.store import RETRIES, Store
from microexpr_ros.jobs import Share, run
from microexpr_ros.synthesis.dataset import generate
from microexpr_ros.synthesis.dataset.checksums import (
    CHECKSUMS,
    digest_of,
    format_checksums,
    parse_checksums,
)
from microexpr_ros.synthesis.dataset.clip import ClipMetadata
from microexpr_ros.synthesis.dataset.index import (
    INDEX,
    Index,
    IndexEntry,
    read_clips,
    read_index,
)
from microexpr_ros.synthesis.dataset.recipe import Recipe, check_order
from microexpr_ros.synthesis.dataset.splits import SPLITS

_CARD: Final = 'card.json'


@dataclass(frozen=True, slots=True)
class StoredShard:
    """What a data set needs to know of a shard.

    Attributes:
        clips: what its clips show.
        sizes: of each clip, as of `generate.measure_size`.
        digest: checksum of the file.
    """

    clips: list[ClipMetadata]
    sizes: list[tuple[float, int]]
    digest: str


@dataclass(frozen=True, slots=True)
class StoredSplit:
    """A split in a store.

    Attributes:
        address: path or URL of its folder.
        clips: how many it has.
        complete: whether these are all that were asked for.
        recipe: what decided them, as JSON of `Recipe`.
    """

    address: str
    clips: int
    complete: bool
    recipe: dict[str, Any]


def generate_stored_clips(
    out: str,
    recipe: Recipe,
    clips: int,
    workers: int | Executor = 1,
    progress: Callable[[int, int], None] = lambda *_: None,
    share: Share | None = None,
) -> StoredSplit:
    """Make a split in a store, or go on with one that was interrupted or is to grow.

    The files are those of `generate.generate_clips`, byte for byte.

    Args:
        out: path or URL of the data set.
        recipe: as of `generate_clips`.
        clips: as of `generate_clips`.
        workers: as of `jobs.run`.
        progress: called with the clips that are there and all clips, both of the share.
        share: as of `generate_clips`.

    Raises:
        MicroexprError: as of `generate_clips`, or the store cannot be used.
    """
    check_order(recipe, clips, workers)
    share = share or Share()
    store = Store(f'{out.rstrip("/")}/{recipe.split}')
    described = recipe.to_json()
    jobs = generate.plan_shards(clips)
    with _copied(out, recipe.split, described) as folder:
        if (folder / INDEX).is_file():
            found = read_index(folder.parent, recipe.split).recipe
            generate.refuse_mixture(Path(store.address), found, described)
        listed = _read_checksums(store)
        shards = _survey(store, jobs, recipe.seed, listed, {}, workers)
        # The recipe is in the store before the first shard: no later run mixes another in.
        _write_index(store, folder, described, jobs, shards)
        own = {name: numbers for n, (name, numbers) in enumerate(jobs.items()) if share.has(n)}
        todo = {
            name: partial(_put_shard, store.address, name, recipe, numbers)
            for name, numbers in own.items()
            if name not in shards
        }
        total = sum(map(len, own.values()))
        made = total - sum(len(own[name]) for name in todo)
        progress(made, total)

        def report(name: str, shard: StoredShard) -> None:
            nonlocal made
            shards[name] = shard
            made += len(shard.clips)
            progress(made, total)

        if todo:
            store.remove(CHECKSUMS)
            listed = {}
        try:
            run(todo, workers, report)
        finally:
            # Another job may add a shard and an index while this one writes its own.
            while True:
                shards = _survey(store, jobs, recipe.seed, listed, shards, workers)
                known = _write_index(store, folder, described, jobs, shards)
                if store.names() & jobs.keys() <= known:
                    break
        index = read_index(folder.parent, recipe.split)
        digests = {name: shards[name].digest for name in jobs if name in shards}
        if index.complete and digests != listed:
            _write_cards(out, store, folder, index, [shards[name] for name in jobs])
            store.write(CHECKSUMS, format_checksums(digests).encode())
    return StoredSplit(store.address, len(index), index.complete, described)


def check_stored_clips(out: str, split: str, workers: int | Executor = 1) -> StoredSplit:
    """Return what a split in a store has, after checking that all of it is there and undamaged.

    Raises:
        MicroexprError: as of `check_clips`, or the store cannot be used.
    """
    store = Store(f'{out.rstrip("/")}/{split}')
    again = 'make it again with the `microexpr synth` command that made it'
    there = store.names()
    if INDEX not in there:
        raise MicroexprError(f'{store.address} has no {INDEX}: {again}')
    with _copied(out, split, {}) as folder:
        index = read_index(folder.parent, split)
    if not index.complete or CHECKSUMS not in there:
        raise MicroexprError(f'{store.address} is incomplete: {again}')
    listed = _read_checksums(store)
    damaged = sorted(listed.keys() - there)
    tasks = {
        name: partial(_has_digest, store.address, name, digest)
        for name, digest in listed.items()
        if name in there
    }
    run(tasks, workers, lambda name, is_whole: None if is_whole else damaged.append(name))
    if damaged:
        raise MicroexprError(
            f'{", ".join(sorted(damaged))} in {store.address} are damaged: {again}'
        )
    return StoredSplit(store.address, len(index), True, index.recipe)


@contextmanager
def _copied(out: str, split: str, recipe: dict[str, Any]) -> Iterator[Path]:
    """Yield the folder of a split on this disk, with the small files that the store has.

    Raises:
        MicroexprError: another split wears the same images as the recipe.
    """
    with TemporaryDirectory(prefix='microexpr-') as scratch:
        for name in SPLITS:
            folder = Path(scratch, name)
            store = Store(f'{out.rstrip("/")}/{name}')
            # The index of another split is large, and only asked for its images.
            wanted = {_CARD, INDEX} if name == split or recipe.get('photographs') else {_CARD}
            there = store.names()
            if name == split or there:
                folder.mkdir()
            for file in wanted & there:
                (folder / file).write_bytes(store.read(file))
        if recipe:
            generate.refuse_shared_images(Path(scratch), recipe)
        yield Path(scratch, split)


def _read_checksums(store: Store) -> dict[str, str]:
    if CHECKSUMS not in store.names():
        return {}
    return parse_checksums(store.read(CHECKSUMS).decode())


def _survey(
    store: Store,
    jobs: dict[str, range],
    seed: int,
    listed: dict[str, str],
    known: dict[str, StoredShard],
    workers: int | Executor,
) -> dict[str, StoredShard]:
    """Return the shards that hold the right clips, without reading known ones."""
    shards = dict(known)
    there = store.names()
    tasks = {
        name: partial(_inspect_shard, store.address, name, listed.get(name))
        for name in jobs
        if name in there and name not in known
    }

    def report(name: str, shard: StoredShard | None) -> None:
        if shard is not None and generate.are_clips(shard.clips, seed, jobs[name]):
            shards[name] = shard

    run(tasks, workers, report)
    return shards


def _write_index(
    store: Store,
    folder: Path,
    recipe: dict[str, Any],
    jobs: dict[str, range],
    shards: dict[str, StoredShard],
) -> set[str]:
    """Write what clips the split has, and return the names of its shards."""
    found = {name: shards[name].clips for name in jobs if name in shards}
    generate.write_index(folder, recipe, found, complete=len(found) == len(jobs))
    store.write(INDEX, (folder / INDEX).read_bytes())
    return set(found)


def _write_cards(
    out: str, store: Store, folder: Path, index: Index, shards: list[StoredShard]
) -> None:
    first = index.entries[0].shard
    (folder / first).write_bytes(store.read(first))
    drawn = [entry for entry in index.entries if entry.shard == first]
    sizes = (size for shard in shards for size in shard.sizes)
    generate.write_cards(
        folder, index, sizes, list(read_clips(Index(folder, True, {}, tuple(drawn))))
    )
    for place, target in ((folder, store), (folder.parent, Store(out))):
        for file in sorted(place.glob('*.*')):
            if file.name not in (INDEX, first):
                target.write(file.name, file.read_bytes())


def _put_shard(address: str, name: str, recipe: Recipe, numbers: range) -> StoredShard:
    """Make a shard and put it into the store."""
    with TemporaryDirectory(prefix='microexpr-') as folder:
        path = Path(folder, name)
        generate.make_shard(path, recipe, numbers)
        content = path.read_bytes()
        Store(address, RETRIES).write(name, content)
        return StoredShard(*_describe(path), digest_of(content))


def _inspect_shard(address: str, name: str, listed: str | None) -> StoredShard | None:
    """Return what a shard in the store holds; None if it is damaged."""
    content = Store(address, RETRIES).read(name)
    digest = digest_of(content)
    if listed not in (None, digest):
        return None
    with TemporaryDirectory(prefix='microexpr-') as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        try:
            return StoredShard(*_describe(path), digest)
        except MicroexprError:
            return None


def _describe(path: Path) -> tuple[list[ClipMetadata], list[tuple[float, int]]]:
    """Return what the clips of a shard show, and their sizes."""
    clips = generate.read_metadata(path)
    entries = tuple(IndexEntry(clip, path.name) for clip in clips)
    return clips, list(
        map(generate.measure_size, read_clips(Index(path.parent, True, {}, entries)))
    )


def _has_digest(address: str, name: str, digest: str) -> bool:
    return digest_of(Store(address, RETRIES).read(name)) == digest
