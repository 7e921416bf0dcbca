"""`microexpr synth`: make synthetic clips and recordings to train and test on."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from microexpr_ros.cli import output
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.engine import CertificatesOption, Engine, SchedulerOption
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.errors import MicroexprError
from microexpr_ros.fleet.store import require_store
from microexpr_ros.jobs import Share
from microexpr_ros.synthesis.dataset.recipe import Recipe, check_order
from microexpr_ros.synthesis.dataset.splits import SPLITS
from microexpr_ros.synthesis.sensors.sensor_file import SUFFIXES, read_sensor

app = make_app()

_RECIPE: Final = Recipe()


@app.command()
def synth(
    out: Annotated[
        str,
        typer.Option(help='Folder of the data set; of clips also a URL, such as s3://lab/clips.'),
    ],
    clips: Annotated[int, typer.Option(help='Clips of the whole split.')] = 100,
    seed: Annotated[int, typer.Option(help='The same seed gives the same bytes.')] = _RECIPE.seed,
    sensor: Annotated[
        str,
        typer.Option(
            help='davis346, vga, hd, random, or a .yaml file of `microexpr measure sensor`.'
        ),
    ] = _RECIPE.sensor,
    light: Annotated[
        str,
        typer.Option(
            help='bright, dim, side, flicker, backlit or random; for --split shift night, '
            'flicker120, moving or random.'
        ),
    ] = _RECIPE.light,
    split: Annotated[
        str,
        typer.Option(
            help='train, val, test, shift (light and sensors of its own) or calm (no expressions).'
        ),
    ] = _RECIPE.split,
    workers: Annotated[int, typer.Option(help='Processes; as many as cores is best.')] = 1,
    scheduler: SchedulerOption = None,
    certificates: CertificatesOption = None,
    shard: Annotated[
        str, typer.Option(help='Make only this part of all clips, for example 1/3, 2/3 or 3/3.')
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
    ] = _RECIPE.step_px,
    bags: Annotated[
        bool,
        typer.Option(
            '--bags',
            help='Instead of clips make recordings of both cameras with labels, as '
            'OUT/SPLIT/bags/clip-NNNNNN.',
        ),
    ] = False,
    story: Annotated[
        bool,
        typer.Option(
            '--story',
            help='Instead of clips make recordings as --bags does, of 10 s and one person each, '
            'in which much happens, as OUT/SPLIT/stories/story-NNNNNN: for `microexpr evaluate '
            'pipeline`.',
        ),
    ] = False,
    rolling_shutter_ms: Annotated[
        float | None,
        typer.Option(
            help='With --bags or --story: read-out of a frame from its first to its last row, in '
            'ms; without it, 0.'
        ),
    ] = None,
    scenes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help='Instead of clips measure so many scenes, each of another person, into OUT: '
            'training mixes clips from them that it never saw.',
        ),
    ] = None,
    references: Annotated[
        bool,
        typer.Option(
            '--references',
            help='Add to all clips of --split pictures of their persons from 1 to 60 s before, in '
            'the same light: `train reconstruction` and `evaluate reconstruction` use them. Give '
            'the other options of the clips.',
        ),
    ] = False,
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
            help='Only check that --split in --out (with --bags or --story, its recordings) is '
            'undamaged.',
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make synthetic clips or recordings, or complete a data set.

    A split that was interrupted is continued.
    """
    if split not in SPLITS:
        raise MicroexprError(f'--split {split!r} is unknown: choose {", ".join(SPLITS)}')
    if scenes is not None and (bags or story or check or preview):
        raise MicroexprError(
            '--scenes goes with neither --bags, --story, --check nor --preview: leave one out'
        )
    if preview and (bags or story or check):
        raise MicroexprError(
            '--preview goes with neither --bags, --story nor --check: leave one out'
        )
    if references and (bags or story or check or preview or scenes is not None or shard != '1/1'):
        raise MicroexprError(
            '--references goes with neither --bags, --story, --scenes, --check, --preview nor '
            '--shard: leave one out'
        )
    if bags and story:
        raise MicroexprError('--bags and --story make different recordings: leave one out')
    if rolling_shutter_ms is not None and not (bags or story):
        raise MicroexprError(
            f'--rolling-shutter-ms {rolling_shutter_ms:g} is of recordings: add --bags or '
            '--story, or leave it out'
        )
    kind = 'bags' if bags else 'stories' if story else ''
    is_url = '://' in out
    if is_url and (kind or preview or references or scenes is not None):
        raise MicroexprError(
            f'--out {out} takes clips alone: give a folder for --bags, --story, --scenes, '
            '--references and --preview'
        )
    engine = Engine(workers, scheduler, certificates)
    if is_url and check:
        _check_stored(out, split, engine, as_json)
        return
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise MicroexprError(f'--out {out} is a file: give a folder')
    if check:
        _check(folder, split, kind, as_json)
        return
    own = read_sensor(Path(sensor)) if Path(sensor).suffix in SUFFIXES else None
    model = sensor if own is None else own.model
    photographs = _photographs(skin_dir, split)
    recipe = Recipe(split, seed, model, light, photographs, step_px, own)
    check_order(recipe, clips, workers)
    share = Share.parse(shard)
    if preview:
        _preview(folder, recipe, as_json)
        return
    # Workers of a cluster may have another working directory.
    folder = folder.absolute() if scheduler else folder
    with engine.pool() as pool:
        if is_url:
            _generate_stored(out, recipe, clips, pool, share, as_json)
        elif scenes is not None:
            _measure(folder, recipe, scenes, pool, as_json)
        elif references:
            _add_references(folder, recipe, pool, as_json)
        elif kind:
            _record(folder, recipe, clips, pool, share, rolling_shutter_ms or 0.0, kind, as_json)
        else:
            _generate(folder, recipe, clips, pool, share, as_json)


def _photographs(folder: Path | None, split: str) -> tuple[Path, ...]:
    if folder is None:
        return ()
    if not folder.is_dir():
        raise MicroexprError(f'--skin-dir {folder} is not a folder: give one with images')
    from microexpr_ros.synthesis.person.skin import list_photographs

    return list_photographs(folder, split)


def _check(out: Path, split: str, kind: str, as_json: bool) -> None:
    if kind:
        from microexpr_ros.synthesis.dataset.bags import check_recordings

        folder, count = check_recordings(out, split, kind)
        summary: dict[str, object] = {'folder': str(folder), 'recordings': count}
    else:
        from microexpr_ros.synthesis.dataset.index import check_clips

        index = check_clips(out, split)
        folder = index.folder
        summary = {'folder': str(folder), 'clips': len(index), 'recipe': index.recipe}
    if as_json:
        output.print_json(summary)
    else:
        output.print_text(f'{folder} is whole and undamaged')


def _check_stored(out: str, split: str, engine: Engine, as_json: bool) -> None:
    require_store()
    from microexpr_ros.fleet.clips import check_stored_clips

    with engine.pool() as pool:
        found = check_stored_clips(out, split, pool)
    if as_json:
        output.print_json({'folder': found.address, 'clips': found.clips, 'recipe': found.recipe})
    else:
        output.print_text(f'{found.address} is whole and undamaged')


def _measure(
    out: Path, recipe: Recipe, scenes: int, workers: int | Executor, as_json: bool
) -> None:
    from microexpr_ros.synthesis.appearance.scenes import measure_scenes

    with output.progress_bar('scenes') as bar:
        measured = measure_scenes(out, recipe, scenes, workers, bar.update)
    if as_json:
        output.print_json({'folder': str(out), 'scenes': scenes, 'measured': measured})
    else:
        output.print_text(f'{scenes} scenes in {out}, {measured} of them measured now')


def _add_references(out: Path, recipe: Recipe, workers: int | Executor, as_json: bool) -> None:
    from microexpr_ros.synthesis.dataset.generate_references import generate_references

    with output.progress_bar(recipe.split) as bar:
        folder = generate_references(out, recipe, workers, bar.update)
    if as_json:
        output.print_json({'folder': str(folder), 'recipe': recipe.to_json()})
    else:
        output.print_text(f'references of all clips in {folder}')


def _preview(out: Path, recipe: Recipe, as_json: bool) -> None:
    from microexpr_ros.synthesis.dataset.preview import write_contact_sheet, write_video

    sheet = write_contact_sheet(out / 'preview.png', recipe)
    video = write_video(out / 'preview.mp4', recipe)
    if as_json:
        output.print_json({'preview': str(sheet), 'video': str(video)})
    else:
        output.print_text(f'{sheet}\n{video}')


def _record(
    out: Path,
    recipe: Recipe,
    clips: int,
    workers: int | Executor,
    share: Share,
    rolling_shutter_ms: float,
    kind: str,
    as_json: bool,
) -> None:
    from microexpr_ros.synthesis.dataset.bags import generate_recordings, readout_of

    readout_ns = readout_of(rolling_shutter_ms)
    with output.progress_bar(recipe.split) as bar:
        folder = generate_recordings(
            out, recipe, clips, workers, bar.update, share, readout_ns, kind
        )
    made = sum(share.has(number) for number in range(clips))
    if as_json:
        output.print_json({'folder': str(folder), 'recordings': made, 'recipe': recipe.to_json()})
    else:
        output.print_text(f'{made} of {clips} recordings in {folder}')


def _generate(
    out: Path,
    recipe: Recipe,
    clips: int,
    workers: int | Executor,
    share: Share,
    as_json: bool,
) -> None:
    from microexpr_ros.synthesis.dataset.generate import generate_clips

    with output.progress_bar(recipe.split) as bar:
        index = generate_clips(out, recipe, clips, workers, bar.update, share)
    _print(str(index.folder), len(index), clips, index.complete, index.recipe, as_json)


def _generate_stored(
    out: str,
    recipe: Recipe,
    clips: int,
    workers: int | Executor,
    share: Share,
    as_json: bool,
) -> None:
    require_store()
    from microexpr_ros.fleet.clips import generate_stored_clips

    with output.progress_bar(recipe.split) as bar:
        split = generate_stored_clips(out, recipe, clips, workers, bar.update, share)
    _print(split.address, split.clips, clips, split.complete, split.recipe, as_json)


def _print(
    address: str, made: int, clips: int, complete: bool, recipe: dict[str, Any], as_json: bool
) -> None:
    if as_json:
        output.print_json(
            {'folder': address, 'clips': made, 'complete': complete, 'recipe': recipe}
        )
    else:
        rest = '' if complete else f' of {clips}; the other shards are still to come'
        output.print_text(f'{made} clips in {address}{rest}')
