"""Clips of a data set, read under a progress bar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from microexpr_ros.cli.output import progress_bar

if TYPE_CHECKING:
    from microexpr_ros.learning.data.clips import SparseClip


def read_split(data: Path, split: str, images: bool, targets: bool) -> list[SparseClip]:
    """Read a split into memory; arguments and errors as of `learning.data.clips.load_split`."""
    from microexpr_ros.learning.data.clips import load_split

    with progress_bar(f'reading {split}') as bar:
        return load_split(data, split, images, bar.update, targets)
