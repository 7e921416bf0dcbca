"""References: pictures of the person of a clip from up to a minute before it, in the same light.

A robot remembers such a picture of whom it talks to. Head and face are elsewhere than in the clip;
the light, the camera and its exposure are the clip's own. They stand in shards in the folder of
their split; `generate_references` makes them.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.dataset.index import Index

FOLDER: Final = 'references'
"""In the folder of a split."""

SHARD_CLIPS: Final = 120
"""Clips whose references are in one file."""


@dataclass(frozen=True, slots=True)
class References:
    """The references of one clip.

    Attributes:
        age_s: float32 [N], how long before the clip each was taken.
        frames: uint8 [N, GRID, GRID], gamma-encoded sRGB luma, of the clip's region.
        landmarks: float32 [N, 5, 2], as of `clip.Clip`, where they are in the frames.
    """

    age_s: NDArray[np.float32]
    frames: NDArray[np.uint8]
    landmarks: NDArray[np.float32]


ARRAYS: Final = tuple(item.name for item in fields(References))
"""Fields of references, all of them arrays."""


def shard_name(first: int) -> str:
    """Return the name of the shard that has the references of a clip, by its position."""
    return f'shard-{first // SHARD_CLIPS:05d}.npz'


def has_references(index: Index) -> bool:
    """Return whether the references of a split were made."""
    return (index.folder / FOLDER).is_dir()


def read_references(index: Index) -> list[References]:
    """Read the references of all clips of a split, in the order of `index.entries`.

    Raises:
        MicroexprError: Some are missing or cannot be read.
    """
    found = []
    for first in range(0, len(index), SHARD_CLIPS):
        path = index.folder / FOLDER / shard_name(first)
        try:
            with np.load(path, allow_pickle=False) as archive:
                for clip in index.clips[first : first + SHARD_CLIPS]:
                    arrays = (archive[f'{clip.index:06d}-{name}'] for name in ARRAYS)
                    found.append(References(*arrays))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            reason = ' '.join(str(error).split()) or type(error).__name__
            raise MicroexprError(
                f'cannot read {path} ({reason}): run `microexpr synth --references` with the '
                "options of the split's clips"
            ) from error
    return found
