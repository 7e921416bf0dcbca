"""`microexpr train`: train the networks on a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from microexpr_ros.learning.datasets import Recording
    from microexpr_ros.learning.training import Progress

app = typer.Typer(help='Train the networks on a data set.', no_args_is_help=True)

Data = Annotated[Path, typer.Option(help='Data set with the splits train and val.')]
Out = Annotated[Path, typer.Option(help='Folder for checkpoint and weights.')]
Epochs = Annotated[int, typer.Option(min=1, help='Passes over the training clips.')]
Batch = Annotated[int, typer.Option(min=1, help='Clips, or images, per step.')]
Rate = Annotated[float, typer.Option(help='Peak learning rate.')]
Seed = Annotated[int, typer.Option(min=0, help='Seed of everything random.')]
Resume = Annotated[bool, typer.Option('--resume', help='Go on from the checkpoint in --out.')]
Json = Annotated[bool, typer.Option('--json', help='Print one JSON object on stdout.')]


@app.command()
def au(
    data: Data,
    out: Out,
    epochs: Epochs = 12,
    batch: Batch = 8,
    learning_rate: Rate = 3e-3,
    seed: Seed = 0,
    control: Annotated[
        Literal['none', 'time-shuffled', 'memoryless'],
        typer.Option(help='Train a network that must do without time.'),
    ] = 'none',
    resume: Resume = False,
    json_: Json = False,
) -> None:
    """Train the spiking network that reads Action Units.

    Epoch, thresholds and calibration are chosen on the split val; the split test is not read.
    """
    from microexpr_ros.learning.recipes import make_action_units
    from microexpr_ros.learning.training import TrainingConfiguration

    configuration = TrainingConfiguration(
        epochs=epochs, batch=batch, learning_rate=learning_rate, seed=seed, control=control
    )
    training, validation = (_load(data, split, images=False) for split in ('train', 'val'))
    with _shown() as report:
        result = make_action_units(
            training, validation, out, configuration, resume=resume, report=report
        )
    _print(result, json_)


@app.command()
def reconstruction(
    data: Data,
    out: Out,
    epochs: Epochs = 12,
    batch: Batch = 16,
    learning_rate: Rate = 2e-3,
    seed: Seed = 0,
    width: Annotated[int, typer.Option(min=4, help='Channels of the finest layer.')] = 16,
    resume: Resume = False,
    json_: Json = False,
) -> None:
    """Train the autoencoder that paints the face.

    The best epoch is chosen on the split val; the split test is not read.
    """
    from microexpr_ros.learning.recipes import make_reconstruction
    from microexpr_ros.learning.reconstruction_training import ReconstructionTraining
    from microexpr_ros.perception.reconstruction import ReconstructionConfiguration

    configuration = ReconstructionTraining(
        epochs=epochs, batch=batch, learning_rate=learning_rate, seed=seed
    )
    training, validation = (_load(data, split, images=True) for split in ('train', 'val'))
    with _shown() as report:
        result = make_reconstruction(
            training,
            validation,
            out,
            configuration,
            ReconstructionConfiguration(width=width),
            resume=resume,
            report=report,
        )
    _print(result, json_)


def _load(data: Path, split: str, images: bool) -> list[Recording]:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from microexpr_ros.learning.datasets import load

    with Bar(console=Console(stderr=True)) as bar:
        task = bar.add_task(f'reading {split}')
        return load(data, split, images, lambda n, of: bar.update(task, completed=n, total=of))


def _shown() -> AbstractContextManager[Callable[[Progress], None]]:
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    @contextmanager
    def shown() -> Iterator[Callable[[Progress], None]]:
        columns = (TextColumn('{task.description}'), BarColumn(), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task('training')

            def report(progress: Progress) -> None:
                bar.update(
                    task,
                    completed=progress.epoch * progress.steps + progress.step,
                    total=progress.epochs * progress.steps,
                    description=(
                        f'epoch {progress.epoch + 1}/{progress.epochs} '
                        f'loss {progress.loss:.4f} val {progress.score:.4f}'
                    ),
                )
                if progress.step == progress.steps:
                    # Stays in a log where a bar cannot be drawn.
                    bar.console.print(
                        f'epoch {progress.epoch + 1}: loss {progress.loss:.4f}, validation score '
                        f'before it {progress.score:.4f}, {progress.seconds:.0f} s'
                    )

            yield report

    return shown()


def _print(result: dict[str, Any], as_json: bool) -> None:
    from rich import print as rich_print

    from microexpr_ros.learning.evaluation import json_values

    if as_json:
        typer.echo(json.dumps(json_values(result)))
    else:
        rich_print(json_values(result))
