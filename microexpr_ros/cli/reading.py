"""Clips of a data set, read under a progress bar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microexpr_ros.learning.data.clips import SparseClip


def read_split(data: Path, split: str, images: bool, targets: bool) -> list[SparseClip]:
    """Read a split into memory; arguments and errors as of `learning.data.clips.load_split`."""
    from rich.console import Console
    from rich.progress import Progress

    from microexpr_ros.learning.data.clips import load_split

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(f'reading {split}')

        def show(number: int, of: int) -> None:
            bar.update(task, completed=number, total=of)

        return load_split(data, split, images, show, targets)
