"""`microexpr synth`: make synthetic clips to train and test on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from microexpr_ros.synthesis.dataset import Index, Recipe


def synth(
    out: Annotated[Path, typer.Option(help='Folder of the data set.')],
    clips: Annotated[int, typer.Option(help='Clips that the split shall have.')] = 100,
    seed: Annotated[int, typer.Option(help='The same seed gives the same bytes.')] = 0,
    sensor: Annotated[str, typer.Option(help='davis346, vga, hd or random.')] = 'random',
    light: Annotated[str, typer.Option(help='bright, dim, side, flicker or random.')] = 'random',
    split: Annotated[str, typer.Option(help='train, val or test.')] = 'train',
    workers: Annotated[int, typer.Option(help='Processes; one per core is best.')] = 1,
    skin_dir: Annotated[
        Path | None, typer.Option(help='Skins (.jpg, .png) in the UV map of MakeHuman.')
    ] = None,
    preview: Annotated[
        bool, typer.Option('--preview', help='Only write OUT/preview.png, a contact sheet.')
    ] = False,
    as_json: Annotated[bool, typer.Option('--json', help='Print one JSON object.')] = False,
) -> None:
    """Make a split of synthetic clips, or go on with one that was interrupted."""
    from microexpr_ros.errors import MicroexprError
    from microexpr_ros.synthesis import dataset

    if split not in dataset.SPLITS:
        raise MicroexprError(f'--split {split!r} is unknown: choose {", ".join(dataset.SPLITS)}')
    photographs: tuple[Path, ...] = ()
    if skin_dir is not None:
        if not skin_dir.is_dir():
            raise MicroexprError(f'--skin-dir {skin_dir} is not a folder: give one with images')
        from microexpr_ros.synthesis.skin import list_photographs

        photographs = list_photographs(skin_dir, split)
    recipe = dataset.Recipe(split, seed, sensor, light, photographs)
    if preview:
        from microexpr_ros.synthesis.preview import write_contact_sheet

        path = write_contact_sheet(out / 'preview.png', recipe)
        typer.echo(json.dumps({'preview': str(path)}) if as_json else path)
        return
    index = _generate(out, recipe, clips, workers)
    if as_json:
        summary = {'folder': str(index.folder), 'clips': len(index), 'recipe': index.recipe}
        typer.echo(json.dumps(summary))
    else:
        typer.echo(f'{len(index)} clips in {index.folder}')


def _generate(out: Path, recipe: Recipe, clips: int, workers: int) -> Index:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from microexpr_ros.synthesis.dataset import generate

    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn('ETA'),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(recipe.split, total=clips)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return generate(out, recipe, clips, workers, report)
