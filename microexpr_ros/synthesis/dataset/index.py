"""Data sets of synthetic clips, as they are read.

A data set is a folder with one folder for each split: `index.json` with the clips' metadata,
shards of twelve clips (NumPy archives without pickles), `SHA256SUMS` of the shards, and what
the data are, in `card.json`, `card.md`, `card.png` and `faces.png`. `generate` makes them.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.dataset.checksums import CHECKSUMS, damaged_files
from microexpr_ros.synthesis.dataset.clip import ARRAYS, Clip, ClipMetadata

INDEX: Final = 'index.json'
"""File of a split with its recipe and its clips."""

VERSION: Final = 3
"""Layout of the files; readers refuse others."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A clip of a split on disk.

    Attributes:
        clip: what it shows.
        shard: name of its file.
    """

    clip: ClipMetadata
    shard: str

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> IndexEntry:
        """Read what `to_json` made."""
        return cls(ClipMetadata.from_json(content), content['shard'])

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON."""
        return {**self.clip.to_json(), 'shard': self.shard}


@dataclass(frozen=True, slots=True)
class Index:
    """A split on disk.

    Attributes:
        folder: where its shards are.
        complete: whether all clips that were asked for are there.
        recipe: what decided its clips, as JSON of `recipe.Recipe`.
        entries: its clips.
    """

    folder: Path
    complete: bool
    recipe: dict[str, Any]
    entries: tuple[IndexEntry, ...]

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def clips(self) -> tuple[ClipMetadata, ...]:
        """What its clips show."""
        return tuple(entry.clip for entry in self.entries)


def check_clips(root: Path, split: str) -> Index:
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
    if names := damaged_files(index.folder):
        raise MicroexprError(f'{", ".join(names)} in {index.folder} are damaged: {again}')
    return index


def read_index(root: Path, split: str) -> Index:
    """Read what clips a split has.

    Raises:
        MicroexprError: There is no such split, or its files have another layout.
    """
    path = root / split / INDEX
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
    entries = tuple(IndexEntry.from_json(clip) for clip in content['clips'])
    return Index(path.parent, bool(content['complete']), content['recipe'], entries)


def read_clip(index: Index, number: int) -> Clip:
    """Read one clip of a split, by its position in `index.entries`.

    Raises:
        MicroexprError: Its shard is missing or damaged.
    """
    entry = index.entries[number]
    path = index.folder / entry.shard
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[f'{entry.clip.index:06d}-{name}'] for name in ARRAYS}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise MicroexprError(
            f'cannot read clip {entry.clip.index} from {path} ({reason}): copy the shard again, '
            'or delete it and run the `microexpr synth` command that made it'
        ) from error
    return Clip(**arrays, **asdict(entry.clip))


def read_clips(index: Index) -> Iterator[Clip]:
    """Read all clips of a split, shard by shard."""
    for number in range(len(index)):
        yield read_clip(index, number)
