"""`microexpr evaluate`: what the networks reach on a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from microexpr_ros.learning.datasets import Recording

app = typer.Typer(help='Score the networks on a data set.', no_args_is_help=True)

Data = Annotated[Path, typer.Option(help='Data set with the splits train and --split.')]
Weights = Annotated[
    Path | None, typer.Option(help='Weights file; without it, those that come with the package.')
]
Split = Annotated[str, typer.Option(help='Split to score: test, or val while choosing.')]
Json = Annotated[bool, typer.Option('--json', help='Print one JSON object on stdout.')]


@app.command()
def au(data: Data, weights: Weights = None, split: Split = 'test', json_: Json = False) -> None:
    """Score the Action Units beside chance, majority and controls without time."""
    import numpy as np

    from microexpr_ros.facs import CODES
    from microexpr_ros.learning.evaluation import evaluate_action_units
    from microexpr_ros.perception import weights as files
    from microexpr_ros.perception.action_units import ActionUnitClassifier
    from microexpr_ros.synthesis.dataset import read_index

    file = files.load(weights or files.shipped('au'), 'au')
    codes = [int(clip['dominant']) for clip in read_index(data, 'train').clips]
    labels = np.array([CODES.index(c) if c else len(CODES) for c in codes], np.int64)
    recordings = _load(data, split, images=False)
    report = evaluate_action_units(ActionUnitClassifier.from_weights(file), recordings, labels)
    _print({'split': split, **report}, json_)


@app.command()
def reconstruction(
    data: Data, weights: Weights = None, split: Split = 'test', json_: Json = False
) -> None:
    """Score the images, with and without a frame, beside the mean face and the last frame."""
    from microexpr_ros.learning.baselines import mean_face
    from microexpr_ros.learning.evaluation import evaluate_reconstruction
    from microexpr_ros.perception import weights as files
    from microexpr_ros.perception.reconstruction import Reconstructor

    file = files.load(weights or files.shipped('reconstruction'), 'reconstruction')
    recordings = _load(data, split, images=True)
    mean = mean_face(_load(data, 'train', images=True))
    report = evaluate_reconstruction(Reconstructor.from_weights(file), recordings, mean)
    _print({'split': split, **report}, json_)


def _load(data: Path, split: str, images: bool) -> list[Recording]:
    from rich.console import Console
    from rich.progress import Progress

    from microexpr_ros.learning.datasets import load

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(f'reading {split}')
        return load(data, split, images, lambda n, of: bar.update(task, completed=n, total=of))


def _print(report: dict[str, Any], as_json: bool) -> None:
    from rich import print as rich_print

    from microexpr_ros.learning.evaluation import json_values

    if as_json:
        typer.echo(json.dumps(json_values(report)))
    else:
        rich_print(json_values(report))
