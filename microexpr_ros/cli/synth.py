"""`microexpr synth`: make synthetic clips and recordings to train and test on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from microexpr_ros.synthesis.world.timing import STEP_PX

if TYPE_CHECKING:
    from microexpr_ros.synthesis.dataset.recipe import Recipe


def synth(
    out: Annotated[Path, typer.Option(help='Folder of the data set.')],
    clips: Annotated[int, typer.Option(help='Clips that the split shall have.')] = 100,
    seed: Annotated[int, typer.Option(help='The same seed gives the same bytes.')] = 0,
    sensor: Annotated[str, typer.Option(help='davis346, vga, hd or random.')] = 'random',
    light: Annotated[
        str,
        typer.Option(
            help='bright, dim, side, flicker or random; for --split shift night, flicker120, '
            'moving or random.'
        ),
    ] = 'random',
    split: Annotated[
        str,
        typer.Option(
            help='train, val, test, shift (light and sensors of its own) or calm (no expressions).'
        ),
    ] = 'train',
    workers: Annotated[int, typer.Option(help='Processes; one per core is best.')] = 1,
    shard: Annotated[
        str, typer.Option(help='Make this part of all clips only, for example 1/3, 2/3 or 3/3.')
    ] = '1/1',
    skin_dir: Annotated[
        Path | None, typer.Option(help='Skins (.jpg, .png) in the UV map of MakeHuman.')
    ] = None,
    step_px: Annotated[
        float,
        typer.Option(
            help='Farthest that anything moves between two rendered samples, px, up to 1: '
            'coarser is quicker.'
        ),
    ] = STEP_PX,
    bags: Annotated[
        bool,
        typer.Option(
            '--bags',
            help='Instead of clips make recordings of both cameras with labels, as '
            'OUT/SPLIT/bags/clip-NNNNNN.',
        ),
    ] = False,
    rolling_shutter_ms: Annotated[
        float | None,
        typer.Option(help="Read-out of the recordings' frames from first to last row; else 0."),
    ] = None,
    preview: Annotated[
        bool,
        typer.Option(
            '--preview',
            help='Only write OUT/preview.png, a contact sheet, and OUT/preview.mp4, a video.',
        ),
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            '--check',
            help='Only check that --split in --out (with --bags, its recordings) is undamaged.',
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option('--json', help='Print one JSON object.')] = False,
) -> None:
    """Make a split of synthetic clips, or go on with one that was interrupted."""
    from microexpr_ros.errors import MicroexprError
    from microexpr_ros.jobs import Share
    from microexpr_ros.synthesis.dataset.recipe import Recipe, check_order
    from microexpr_ros.synthesis.dataset.splits import SPLITS

    if split not in SPLITS:
        raise MicroexprError(f'--split {split!r} is unknown: choose {", ".join(SPLITS)}')
    if preview and (bags or check):
        raise MicroexprError('--preview goes with neither --bags nor --check: leave one out')
    if rolling_shutter_ms is not None and not bags:
        raise MicroexprError(
            f'--rolling-shutter-ms {rolling_shutter_ms:g} is of recordings: add --bags, or leave '
            'it out'
        )
    if out.exists() and not out.is_dir():
        raise MicroexprError(f'--out {out} is a file: give a folder')
    if check and bags:
        from microexpr_ros.synthesis.dataset.bags import check_recordings

        folder, count = check_recordings(out, split)
        summary = {'folder': str(folder), 'recordings': count}
        typer.echo(json.dumps(summary) if as_json else f'{folder} is whole and undamaged')
        return
    if check:
        from microexpr_ros.synthesis.dataset.index import check_clips

        index = check_clips(out, split)
        summary = {'folder': str(index.folder), 'clips': len(index), 'recipe': index.recipe}
        typer.echo(json.dumps(summary) if as_json else f'{index.folder} is whole and undamaged')
        return
    recipe = Recipe(split, seed, sensor, light, _photographs(skin_dir, split), step_px)
    check_order(recipe, clips, workers)
    share = Share.parse(shard)
    if preview:
        _preview(out, recipe, as_json)
    elif bags:
        from microexpr_ros.synthesis.dataset.bags import generate_recordings, readout_of

        readout_ns = readout_of(rolling_shutter_ms or 0.0)
        with _progress(split, clips) as report:
            folder = generate_recordings(out, recipe, clips, workers, report, share, readout_ns)
        made = sum(share.has(number) for number in range(clips))
        summary = {'folder': str(folder), 'recordings': made, 'recipe': recipe.to_json()}
        typer.echo(json.dumps(summary) if as_json else f'{made} of {clips} recordings in {folder}')
    else:
        from microexpr_ros.synthesis.dataset.generate import generate_clips

        with _progress(split, clips) as report:
            index = generate_clips(out, recipe, clips, workers, report, share)
        summary = {
            'folder': str(index.folder),
            'clips': len(index),
            'complete': index.complete,
            'recipe': index.recipe,
        }
        rest = '' if index.complete else f' of {clips}; the other shards are still to come'
        typer.echo(
            json.dumps(summary) if as_json else f'{len(index)} clips in {index.folder}{rest}'
        )


def _photographs(folder: Path | None, split: str) -> tuple[Path, ...]:
    from microexpr_ros.errors import MicroexprError

    if folder is None:
        return ()
    if not folder.is_dir():
        raise MicroexprError(f'--skin-dir {folder} is not a folder: give one with images')
    from microexpr_ros.synthesis.person.skin import list_photographs

    return list_photographs(folder, split)


def _preview(out: Path, recipe: Recipe, as_json: bool) -> None:
    from microexpr_ros.synthesis.dataset.preview import write_contact_sheet, write_video

    sheet = write_contact_sheet(out / 'preview.png', recipe)
    video = write_video(out / 'preview.mp4', recipe)
    made = {'preview': str(sheet), 'video': str(video)}
    typer.echo(json.dumps(made) if as_json else '\n'.join(made.values()))


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Show a bar; yield what moves it, given how much is done and how much there is."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn('ETA'),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)
