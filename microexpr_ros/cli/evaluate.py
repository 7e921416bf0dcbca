"""`microexpr evaluate`: what the networks reach on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from microexpr_ros.cli import output
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.cli.reading import read_split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

app = make_app(help='Score the networks on a data set.', no_args_is_help=True)

Data = Annotated[Path, typer.Option(help='Data set with the splits train and --split.')]
Weights = Annotated[
    Path | None, typer.Option(help='Weights file; without it, those that come with the package.')
]
Split = Annotated[str, typer.Option(help='Split to score: test, or val while choosing.')]


@app.command()
def au(
    data: Data,
    weights: Weights = None,
    split: Split = 'test',
    baselines: Annotated[
        Path | None,
        typer.Option(help='Folder of trained baselines, to score on the same clips.'),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help='Write a page with figures to this HTML file.')
    ] = None,
    card: Annotated[
        Path | None, typer.Option(help='Write the tables of the model card to this file.')
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Score the Action Units by clip, by slice and as spotted movements, beside others.

    The splits calm (false alarms) and shift (other light, sensors and amplitudes) are used if
    the data set has them. What could not be measured is null.
    """
    from microexpr_ros.learning.evaluation.action_units import Benchmark, evaluate_action_units
    from microexpr_ros.learning.evaluation.rounding import json_values
    from microexpr_ros.learning.evaluation.trained_baselines import read_baselines
    from microexpr_ros.learning.report.card import tables
    from microexpr_ros.learning.report.page import page
    from microexpr_ros.perception import weights as files
    from microexpr_ros.perception.classifier import ActionUnitClassifier

    path = weights or files.shipped('au')
    classifier = ActionUnitClassifier.load(path)
    network = ActionUnitClassifier.from_weights(files.load(path, 'au')).network
    others = read_baselines(baselines) if baselines else {}
    benchmark = Benchmark(
        read_split(data, split, images=bool(others), targets=False),
        read_split(data, 'calm', images=False, targets=False) if _has(data, 'calm') else (),
        read_split(data, 'shift', images=False, targets=False) if _has(data, 'shift') else (),
        _labels(data, 'train') if _has(data, 'train') else None,
        others,
    )
    with output.spinner('scoring') as update:
        scores = evaluate_action_units(classifier, network, benchmark, update)
    result = json_values({'split': split, **scores})
    for file, text in ((report, page), (card, tables)):
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text(result))
    if json_:
        output.print_json(result)
    else:
        output.print_text(tables(result))


@app.command()
def reconstruction(
    data: Data, weights: Weights = None, split: Split = 'test', json_: JsonOption = False
) -> None:
    """Score the images, with and without a frame, beside the mean face and the last frame."""
    from microexpr_ros.learning.evaluation.reconstruction import evaluate_reconstruction
    from microexpr_ros.learning.evaluation.rounding import json_values
    from microexpr_ros.learning.models.baselines import mean_face
    from microexpr_ros.perception import weights as files
    from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor

    file = files.load(weights or files.shipped('reconstruction'), 'reconstruction')
    recordings = read_split(data, split, images=True, targets=True)
    mean = mean_face(read_split(data, 'train', images=True, targets=True))
    report = evaluate_reconstruction(Reconstructor.from_weights(file), recordings, mean)
    output.print_values(json_values({'split': split, **report}), json_)


def _has(data: Path, split: str) -> bool:
    return (data / split / 'index.json').is_file()


def _labels(data: Path, split: str) -> NDArray[np.int64]:
    import numpy as np

    from microexpr_ros.facs import CODES
    from microexpr_ros.synthesis.dataset.index import read_index

    codes = [clip.dominant for clip in read_index(data, split).clips]
    return np.array([CODES.index(c) if c else len(CODES) for c in codes], np.int64)
