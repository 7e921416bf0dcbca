"""The files of an analysis."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from microexpr_ros.analysis import tables
from microexpr_ros.analysis.results import Analysis
from microexpr_ros.analysis.timeline import Mark, Traces, write_timeline
from microexpr_ros.atomic import explain_write_errors, write_json
from microexpr_ros.errors import MicroexprError
from microexpr_ros.perception.classifier import Status

UNITS: Final = 'action_units'
MOVEMENTS: Final = 'movements'
SUMMARY: Final = 'summary.json'
TIMELINE: Final = 'timeline.png'
VIDEO: Final = 'overlay.mp4'

_ALL: Final = (
    *(f'{name}.{kind}' for name in (UNITS, MOVEMENTS) for kind in ('csv', 'parquet')),
    SUMMARY,
    TIMELINE,
    VIDEO,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Files that are written beside the tables as .csv and the summary.

    Attributes:
        parquet: whether the tables are also written as Parquet.
        timeline: whether a picture of the units over time is drawn.
        video: whether there is a video.
    """

    parquet: bool = False
    timeline: bool = True
    video: bool = False


def write_analysis(folder: Path, analysis: Analysis, wanted: Wanted) -> None:
    """Write the tables, the summary and the timeline of an analysis into a folder."""
    units, movements = tables.tabulate_units(analysis), tables.tabulate_movements(analysis)
    for name, table in ((UNITS, units), (MOVEMENTS, movements)):
        tables.write_csv(folder / f'{name}.csv', table)
        if wanted.parquet:
            tables.write_parquet(folder / f'{name}.parquet', table)
    if wanted.timeline:
        traces = Traces(
            analysis.time_s,
            analysis.intensity,
            analysis.active,
            np.asarray(analysis.status == Status.HEAD_MOVING),
        )
        marks = [
            Mark(
                analysis.seconds(movement.expression.onset_ns),
                analysis.seconds(movement.expression.offset_ns),
                movement.expression.codes,
                movement.expression.kind,
                movement.expression.micro,
            )
            for movement in analysis.movements
        ]
        write_timeline(folder / TIMELINE, f'{analysis.source}, {analysis.model}', traces, marks)
    write_json(folder / SUMMARY, analysis.summarize())


def name_folders(out: Path, sources: list[Path]) -> dict[Path, Path]:
    """Return the folder of each recording's results.

    Raises:
        MicroexprError: two recordings have one name.
    """
    folders: dict[Path, Path] = {}
    for source in sources:
        folder = out / (source.name if source.is_dir() else source.stem)
        if folder in folders.values():
            raise MicroexprError(
                f'two recordings would be written to {folder}: give each of them another --out'
            )
        folders[source] = folder
    return folders


def refuse_existing(folder: Path, overwrite: bool) -> None:
    """Check that results may be written to a folder.

    Raises:
        MicroexprError: it holds results, or it is no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise MicroexprError(f'{folder} is a file: choose another --out')
    found = [name for name in _ALL if (folder / name).exists()]
    if found and not overwrite:
        raise MicroexprError(f'{folder} has {found[0]}: choose another --out, or give --overwrite')


@contextmanager
def replaced_results(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder, whose files get into the folder when the block ends.

    Results of an earlier analysis are removed then, other files stay. An error leaves all as it
    was.

    Raises:
        MicroexprError: the folder cannot be written.
    """
    with explain_write_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=f'.{folder.name}.', dir=folder.parent))
    try:
        yield hidden
        with explain_write_errors(folder):
            folder.mkdir(exist_ok=True)
            for name in _ALL:
                (folder / name).unlink(missing_ok=True)
            for file in sorted(hidden.iterdir()):
                file.replace(folder / file.name)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
