"""`microexpr evaluate`: what the networks reach on a data set."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from microexpr_ros.atomic import explain_write_errors, write_text
from microexpr_ros.cli import output
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.cli.reading import read_split
from microexpr_ros.errors import MicroexprError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from microexpr_ros.learning.data.clips import SparseClip


_TRUE_REGIONS: Final = 'Clips of about a second, in regions that true landmarks align.'

app = make_app(help='Score the networks on a data set.', no_args_is_help=True)

Data = Annotated[Path, typer.Option(help='Folder of the data set: splits train and --split.')]
Weights = Annotated[
    Path | None, typer.Option(help='Weights file; by default the one of the package.')
]
Split = Annotated[str, typer.Option(help='Split to score: test, or val while choosing.')]


@app.command()
def au(
    path: Annotated[
        Path | None, typer.Argument(help='Folder of the recordings, with --dataset.')
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help='Folder of the data set: splits train and --split.')
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help='Score on real faces instead: nefer, facemorphic, dvs-lip or fes, in PATH.'
        ),
    ] = None,
    weights: Weights = None,
    split: Split = 'test',
    baselines: Annotated[
        Path | None,
        typer.Option(help='Folder of trained baselines to score on the same clips.'),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help='HTML file for the report as a page with figures.')
    ] = None,
    card: Annotated[
        Path | None, typer.Option(help='Markdown file for the tables of the model card.')
    ] = None,
    controls: Annotated[
        bool,
        typer.Option(
            help='Also score the same weights on slices in random order, without memory and on '
            'damaged streams, and count their operations, which takes most of the time.'
        ),
    ] = True,
    limit: Annotated[
        int | None,
        typer.Option(help='With --dataset: score so many recordings, spread over all.', min=1),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            help='With --dataset: fixed face region X,Y,WIDTH,HEIGHT in px; by default it is '
            'followed.'
        ),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Score the Action Units by clip, by slice and as detected expressions.

    The splits calm (false alarms) and shift (other light, sensors and amplitudes) are used if
    the data set has them. With --dataset, published recordings of real faces go through the whole
    chain. Scores that could not be measured are null in the JSON.
    """
    if dataset is not None:
        if path is None:
            raise MicroexprError(f'--dataset {dataset} needs the folder of its recordings: add it')
        if data or baselines or report or not controls:
            raise MicroexprError(
                '--dataset goes with neither --data, --baselines, --report nor --no-controls: '
                'leave them out'
            )
        _evaluate_real_faces(dataset, path, weights, split, limit, region, card, json_)
        return
    if data is None or path is not None or limit is not None or region is not None:
        raise MicroexprError(
            'give --data FOLDER of a synthetic data set, or --dataset NAME PATH of real faces '
            '(to which --limit and --region belong)'
        )
    from microexpr_ros.learning.evaluation import (
        Benchmark,
        describe_provenance,
        evaluate_action_units,
        read_baselines,
        report_to_json,
    )
    from microexpr_ros.learning.report import format_action_units, render_page
    from microexpr_ros.perception import weights as files
    from microexpr_ros.perception.classifier import ActionUnitClassifier

    path = weights or files.shipped('au')
    classifier = ActionUnitClassifier.load(path)
    network = ActionUnitClassifier.from_weights(files.load(path, 'au')).network
    others = read_baselines(baselines) if baselines else {}
    benchmark = Benchmark(
        recordings=read_split(data, split, images=bool(others), targets=False),
        split=split,
        calm=_read_optional(data, 'calm'),
        shift=_read_optional(data, 'shift'),
        train_labels=_dominant_labels(data, 'train') if _has(data, 'train') else None,
        baselines=others,
        controls=controls,
    )
    with output.spinner('scoring') as update:
        found = evaluate_action_units(classifier, network, benchmark, update)
    tables = format_action_units(found)
    if report is not None:
        _write(report, render_page(found))
    if card is not None:
        _write(card, tables)
    if json_:
        parts = (split, 'calm', 'shift')
        provenance = describe_provenance(sys.argv[1:], data, parts, [_TRUE_REGIONS])
        output.print_json({**report_to_json(found), 'provenance': provenance})
    else:
        output.print_text(tables)


@app.command()
def reconstruction(
    data: Data,
    weights: Weights = None,
    split: Split = 'test',
    baselines: Annotated[
        Path | None,
        typer.Option(help='Folder of trained networks to score on the same clips.'),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            help='PNG file for pictures in dim light by a DAVIS346: frame, reconstruction, '
            'interval, truth.'
        ),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Score the images, with and without a frame, beside the mean face and the newest frame.

    The splits shift (other light and sensors) and rest (faces that have come to rest) are used if
    the data set has them.
    """
    from microexpr_ros.learning.data.clips import in_boxes
    from microexpr_ros.learning.evaluation import (
        describe_provenance,
        evaluate_reconstruction,
        evaluate_rest,
        json_values,
    )
    from microexpr_ros.learning.models.baselines import mean_face
    from microexpr_ros.learning.report import format_reconstruction
    from microexpr_ros.learning.report.picture_sheet import write_sheet
    from microexpr_ros.learning.training.picture_baselines import read_picture_baselines
    from microexpr_ros.perception import weights as files
    from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor

    file = files.load(weights or files.shipped('reconstruction'), 'reconstruction')

    def read(name: str) -> list[SparseClip]:
        return in_boxes(read_split(data, name, images=True, targets=True), 'aligned')

    recordings, mean = read(split), mean_face(read('train'))
    shifted, resting = (read(name) if _has(data, name) else [] for name in ('shift', 'rest'))
    reconstructor = Reconstructor.from_weights(file)
    others = read_picture_baselines(baselines) if baselines else []
    with output.spinner('scoring'):
        found = evaluate_reconstruction(reconstructor, recordings, mean, split, others)
        if shifted:
            other = evaluate_reconstruction(reconstructor, shifted, mean, 'shift', others)
            found = replace(found, shift=other)
        if resting:
            found = replace(found, rest=evaluate_rest(reconstructor, resting))
    if sheet is not None:
        write_sheet(sheet, reconstructor, recordings)
    if json_:
        parts = (split, 'shift', 'rest')
        provenance = describe_provenance(sys.argv[1:], data, parts, [_TRUE_REGIONS])
        output.print_json({**json_values(found), 'provenance': provenance})
    else:
        output.print_text(format_reconstruction(found))


@app.command()
def clock(
    seconds: Annotated[
        float, typer.Option(help='Length of each history of stamps, in s.', min=10.0)
    ] = 30.0,
    histories: Annotated[int, typer.Option(help='Number of histories.', min=1)] = 6,
    seed: Annotated[int, typer.Option(help='The same seed gives the same numbers.')] = 0,
    json_: JsonOption = False,
) -> None:
    """Measure the stamps of slices and frames against made clocks, whose truth is known.

    Packets are stamped 1 ms late on average, 1 % of them 30 ms, and 1 % are lost; the clocks drift
    apart by 50 ppm. Errors count from 5 s on. No data set is needed.
    """
    from microexpr_ros.learning.evaluation.clock_errors import ClockConditions, evaluate_clocks

    conditions = ClockConditions(seconds=seconds, histories=histories)
    with output.spinner('measuring'):
        found = evaluate_clocks(conditions, seed)
    if json_:
        errors = {one.source.lower(): asdict(one) for one in found}
        output.print_json({'conditions': asdict(conditions), 'errors': errors})
        return
    rows = [
        {
            'source': one.source,
            'p50, ms': f'{one.p50_ms:.4f}',
            'p95, ms': f'{one.p95_ms:.4f}',
            'worst, ms': f'{one.max_ms:.4f}',
            'measured': str(one.count),
            'share': f'{one.share:.4f}',
        }
        for one in found
    ]
    output.print_table(rows, text=('source',))


@app.command()
def face(
    data: Annotated[Path, typer.Option(help='Folder for takes; missing ones are made.')],
    weights: Weights = None,
    split: Split = 'test',
    takes: Annotated[int, typer.Option(min=1, help='Takes of the split.')] = 40,
    shift: Annotated[int, typer.Option(min=0, help='Takes of the split shift.')] = 20,
    nobody: Annotated[int, typer.Option(min=1, help='Takes of 10 s without a face.')] = 60,
    report: Annotated[Path | None, typer.Option(help='File for the report as JSON.')] = None,
    json_: JsonOption = False,
) -> None:
    """Score the face tracker on whole sensors, beside a region that follows the outline."""
    from microexpr_ros.atomic import write_json
    from microexpr_ros.learning.evaluation import describe_provenance, json_values
    from microexpr_ros.learning.evaluation.faces import evaluate_faces
    from microexpr_ros.perception.faces import FaceInference
    from microexpr_ros.synthesis.dataset.face_takes import FaceRecipe

    inference = FaceInference.load(weights)
    with output.spinner('faces') as update:
        found = json_values(
            asdict(evaluate_faces(data, inference, split, takes, shift, nobody, update))
        )
    scored = (
        FaceRecipe(split, exact=True),
        FaceRecipe('shift', exact=True),
        FaceRecipe(split, faces=False),
    )
    parts = [recipe.name for recipe in scored]
    found['provenance'] = describe_provenance(sys.argv[1:], data, parts)
    if report is not None:
        with explain_write_errors(report):
            report.parent.mkdir(parents=True, exist_ok=True)
        write_json(report, found)
    output.print_values(found, json_)


@app.command()
def pipeline(
    data: Annotated[
        Path, typer.Option(help='Folder of the data set: stories of --split (synth --story).')
    ],
    weights: Weights = None,
    split: Split = 'test',
    truth: Annotated[
        str,
        typer.Option(
            help='What the network gets of a known face: box (upright) or aligned (turned with '
            'it).'
        ),
    ] = 'box',
    out: Annotated[Path | None, typer.Option(help='JSON file for the report.')] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            help='PNG file for pictures of the first stories: frames, what was painted with an '
            'earlier one, and from events alone.'
        ),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Score the whole chain on stories, beside the same network on the true faces."""
    from microexpr_ros.learning.evaluation import describe_provenance, json_values
    from microexpr_ros.learning.evaluation.pipeline import evaluate_pipeline, format_pipeline
    from microexpr_ros.learning.evaluation.stories import TRUE_REGIONS, find_stories
    from microexpr_ros.learning.report.picture_sheet import StorySheet
    from microexpr_ros.perception.classifier import ActionUnitClassifier
    from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor
    from microexpr_ros.synthesis.dataset.bags import STORIES

    if truth not in TRUE_REGIONS:
        raise MicroexprError(f'--truth {truth!r} is unknown: choose {", ".join(TRUE_REGIONS)}')
    folders = find_stories(data, split)
    classifier, reconstructor = ActionUnitClassifier.load(weights), Reconstructor.load()
    shown = StorySheet()
    with output.progress_bar('scoring') as bar:
        found = evaluate_pipeline(
            folders, classifier, reconstructor, split, truth, bar.update, shown.add
        )
    if sheet is not None:
        shown.write(sheet)
    provenance = describe_provenance(sys.argv[1:], data, [f'{split}/{STORIES}'])
    values = {**json_values(found), 'provenance': provenance}
    if out is not None:
        _write(out, json.dumps(values, indent=1) + '\n')
    if json_:
        output.print_json(values)
    else:
        output.print_text(format_pipeline(found))


def _evaluate_real_faces(
    name: str,
    path: Path,
    weights: Path | None,
    split: str,
    limit: int | None,
    region: str | None,
    card: Path | None,
    as_json: bool,
) -> None:
    from microexpr_ros.alignment.synchronizer import SynchronizerOptions
    from microexpr_ros.cli.analyze import parse_region
    from microexpr_ros.learning.datasets import DATASETS, read_dataset, spread
    from microexpr_ros.learning.evaluation import json_values
    from microexpr_ros.learning.evaluation.real_faces import (
        evaluate_real_faces,
        format_real_faces,
    )
    from microexpr_ros.perception.classifier import ActionUnitClassifier

    if name not in DATASETS:
        raise MicroexprError(f'--dataset {name!r} is unknown: choose {", ".join(DATASETS)}')
    dataset = DATASETS[name]
    options = SynchronizerOptions(region=None if region is None else parse_region(region))
    recordings = read_dataset(dataset, path, split)
    chosen = spread(recordings, limit or len(recordings))
    classifier = ActionUnitClassifier.load(weights)
    with output.progress_bar(name) as bar:
        found = evaluate_real_faces(dataset, split, chosen, classifier, options, bar.update)
    if found.unreadable:
        output.note(f'{found.unreadable} recordings cannot be read: {found.reason}')
    tables = format_real_faces(found)
    if card is not None:
        _write(card, tables + '\n')
    if as_json:
        output.print_json(json_values(found))
    else:
        output.print_text(tables)


def _has(data: Path, split: str) -> bool:
    return (data / split / 'index.json').is_file()


def _read_optional(data: Path, split: str) -> list[SparseClip]:
    return read_split(data, split, images=False, targets=False) if _has(data, split) else []


def _write(path: Path, text: str) -> None:
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def _dominant_labels(data: Path, split: str) -> NDArray[np.int64]:
    import numpy as np

    from microexpr_ros.facs import CODES
    from microexpr_ros.synthesis.dataset.index import read_index

    codes = [clip.dominant for clip in read_index(data, split).clips]
    return np.array([CODES.index(c) if c else len(CODES) for c in codes], np.int64)
