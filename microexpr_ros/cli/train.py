"""`microexpr train`: train the networks on a data set."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from microexpr_ros.cli import output
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.cli.reading import read_split
from microexpr_ros.errors import MicroexprError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microexpr_ros.learning.data.clips import SparseClip
    from microexpr_ros.learning.training.configuration import (
        ActionUnitRun,
        FaceRun,
        ReconstructionRun,
    )
    from microexpr_ros.learning.training.runner import Progress, Report

_OF_RUN: Final = 'of --config, or of the run'
"""What an option is that is left out: `learning.training.configuration` has the defaults."""

app = make_app(help='Train the networks on a data set.', no_args_is_help=True)

Config = Annotated[
    Path | None,
    typer.Option(help='YAML file of the run (config/training has some); options go before it.'),
]
Data = Annotated[
    Path | None, typer.Option(help='Data set with the splits train and val.', show_default=_OF_RUN)
]
Out = Annotated[
    Path | None, typer.Option(help='Folder for checkpoint and weights.', show_default=_OF_RUN)
]
Epochs = Annotated[
    int | None, typer.Option(help='Passes over the training clips.', show_default=_OF_RUN)
]
Batch = Annotated[
    int | None, typer.Option(help='Clips, or images, per step.', show_default=_OF_RUN)
]
Rate = Annotated[float | None, typer.Option(help='Peak learning rate.', show_default=_OF_RUN)]
Seed = Annotated[
    int | None, typer.Option(min=0, help='Seed of everything random.', show_default=_OF_RUN)
]
Resume = Annotated[bool, typer.Option('--resume', help='Continue from the checkpoint in --out.')]
Curves = Annotated[
    bool, typer.Option('--tensorboard', help='Write curves for TensorBoard to OUT/tensorboard.')
]


@app.command()
def au(
    config: Config = None,
    data: Data = None,
    out: Out = None,
    model: Annotated[
        Literal['events', 'rgb', 'fusion', 'twin', 'linear', 'mediapipe'] | None,
        typer.Option(
            help='The spiking network on events, on frames, on both; on events, its twin that '
            'does not spike, or event counts by region; or thresholds for MediaPipe on frames.',
            show_default=_OF_RUN,
        ),
    ] = None,
    epochs: Epochs = None,
    batch: Batch = None,
    learning_rate: Rate = None,
    seed: Seed = None,
    network: Annotated[
        Literal['spiking', 'analog'] | None,
        typer.Option(
            help='Neurons that spike, or graded ones, which show what spikes cost.',
            show_default=_OF_RUN,
        ),
    ] = None,
    control: Annotated[
        Literal['none', 'time-shuffled', 'memoryless'] | None,
        typer.Option(help='Train a network without access to time.', show_default=_OF_RUN),
    ] = None,
    persons: Annotated[
        int | None,
        typer.Option(
            min=1,
            help='Train on the first so many persons: for a learning curve.',
            show_default='all',
        ),
    ] = None,
    resume: Resume = False,
    tensorboard: Curves = False,
    json_: JsonOption = False,
) -> None:
    """Train the spiking network that reads Action Units, or a model to compare it with.

    Epoch, thresholds and calibration are chosen on the split val; the split test is not read.
    """
    from microexpr_ros.learning.evaluation import json_values
    from microexpr_ros.learning.models.networks import CHANNELS
    from microexpr_ros.learning.pipelines import make_action_units
    from microexpr_ros.learning.training.configuration import ActionUnitRun, read_run

    options = _options(epochs, batch, learning_rate, seed)
    options |= {'data': data, 'out': out, 'model': model, 'persons': persons}
    options['training.control'] = control
    if network is not None:
        options['network.neurons'] = 'lif' if network == 'spiking' else 'graded'
    run = read_run(ActionUnitRun, config, options)
    trained = run.model != 'mediapipe'
    frames = run.model in CHANNELS or not trained
    training = read_split(run.data, 'train', frames, targets=False) if trained else []
    validation = read_split(run.data, 'val', frames, targets=False)
    with _reports(run, tensorboard) as report:
        result = make_action_units(training, validation, run, resume, report)
    output.print_values(json_values(result), json_)


@app.command()
def reconstruction(
    config: Config = None,
    data: Data = None,
    out: Out = None,
    epochs: Epochs = None,
    batch: Batch = None,
    learning_rate: Rate = None,
    seed: Seed = None,
    model: Annotated[
        Literal['cvae', 'unet', 'recurrent'] | None,
        typer.Option(
            help='The autoencoder; or, to compare it with, a plain U-Net, or a recurrent network '
            'on events alone in the form of E2VID.',
            show_default=_OF_RUN,
        ),
    ] = None,
    width: Annotated[
        int | None, typer.Option(help='Channels of the finest layer.', show_default=_OF_RUN)
    ] = None,
    resume: Resume = False,
    tensorboard: Curves = False,
    json_: JsonOption = False,
) -> None:
    """Train the autoencoder that paints the face.

    The best epoch is chosen on the split val; the split test is not read.
    """
    from microexpr_ros.learning.evaluation import json_values
    from microexpr_ros.learning.pipelines import make_reconstruction
    from microexpr_ros.learning.training.configuration import ReconstructionRun, read_run

    options = _options(epochs, batch, learning_rate, seed)
    options |= {'data': data, 'out': out, 'model': model, 'network.width': width}
    run = read_run(ReconstructionRun, config, options)
    training, validation = (
        read_split(run.data, split, images=True, targets=True) for split in ('train', 'val')
    )
    with _reports(run, tensorboard) as report:
        result = make_reconstruction(training, validation, run, resume, report)
    output.print_values(json_values(result), json_)


@app.command()
def intervals(
    data: Annotated[Path, typer.Option(help='Data set with the split val.')],
    out: Annotated[Path, typer.Option(help='Folder for the weights.')],
    weights: Annotated[
        Path | None,
        typer.Option(help='Weights of a reconstructor.', show_default='those of the package'),
    ] = None,
    clips: Annotated[
        str | None,
        typer.Option(
            metavar='FIRST:END',
            help='Clips of val to fit to, by number, without END; those of persons that a '
            'training learnt from must stay out.',
            show_default='all',
        ),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Fit the intervals of a trained reconstructor again; its network stays as it is.

    They are fitted to the split val; the split test is not read.
    """
    from microexpr_ros.learning.evaluation import json_values
    from microexpr_ros.learning.pipelines import fit_intervals_again
    from microexpr_ros.perception import weights as files

    file = files.load(weights or files.shipped('reconstruction'), 'reconstruction')
    span = None if clips is None else _parse_span(clips)
    every = read_split(data, 'val', images=True, targets=True)
    chosen = every if span is None else _choose_persons(every, span)
    fitted_to = f'{data.name}/val {clips or f"0:{len(every)}"}'
    with output.spinner('fitting'):
        result = fit_intervals_again(file, chosen, fitted_to, out)
    output.print_values(json_values(result), json_)


def _parse_span(text: str) -> tuple[int, int]:
    first, colon, end = text.partition(':')
    if not (colon and first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise MicroexprError(f'--clips {text}: give two numbers FIRST:END, such as 0:120')
    return int(first), int(end)


def _choose_persons(clips: Sequence[SparseClip], span: tuple[int, int]) -> Sequence[SparseClip]:
    """Return the clips of a span, which must have all clips of its persons."""
    first, end = span
    if end > len(clips):
        raise MicroexprError(f'--clips {first}:{end}: val has {len(clips)} clips')
    inside = {sparse.clip.identity for sparse in clips[first:end]}
    outside = {sparse.clip.identity for sparse in (*clips[:first], *clips[end:])}
    if inside & outside:
        raise MicroexprError(
            f'--clips {first}:{end}: further clips of val show the same persons: choose whole '
            'persons, whose clips are next to each other'
        )
    return clips[first:end]


@app.command()
def face(
    config: Config = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help='Folder for takes of the whole sensor; missing ones are made.',
            show_default=_OF_RUN,
        ),
    ] = None,
    out: Out = None,
    takes: Annotated[
        int | None, typer.Option(min=1, help='Takes to learn from.', show_default=_OF_RUN)
    ] = None,
    epochs: Epochs = None,
    batch: Batch = None,
    learning_rate: Rate = None,
    seed: Seed = None,
    resume: Resume = False,
    tensorboard: Curves = False,
    json_: JsonOption = False,
) -> None:
    """Train the tracker that finds faces in the events of the whole sensor.

    The best epoch is chosen on persons of the split val; the split test is not read.
    """
    from microexpr_ros.learning.evaluation import json_values
    from microexpr_ros.learning.pipelines import make_faces
    from microexpr_ros.learning.training.configuration import FaceRun, read_run

    options = _options(epochs, batch, learning_rate, seed)
    options |= {'data': data, 'out': out, 'takes': takes}
    run = read_run(FaceRun, config, options)
    with _reports(run, tensorboard) as report:
        result = make_faces(run, resume, report)
    output.print_values(json_values(result), json_)


def _options(
    epochs: int | None, batch: int | None, learning_rate: float | None, seed: int | None
) -> dict[str, Any]:
    return {
        'training.epochs': epochs,
        'training.batch': batch,
        'training.learning_rate': learning_rate,
        'training.seed': seed,
    }


@contextmanager
def _reports(
    run: ActionUnitRun | ReconstructionRun | FaceRun, tensorboard: bool
) -> Iterator[Report]:
    from microexpr_ros.learning.training.tensorboard import tensorboard_log

    with ExitStack() as stack:
        reports = [stack.enter_context(_progress_bar())]
        if tensorboard:
            reports.append(stack.enter_context(tensorboard_log(run.out / 'tensorboard')))

        def report(progress: Progress) -> None:
            for each in reports:
                each(progress)

        yield report


@contextmanager
def _progress_bar() -> Iterator[Report]:
    with output.progress_bar('training') as bar:

        def show(progress: Progress) -> None:
            epoch = f'epoch {progress.epoch + 1}/{progress.epochs}'
            bar.update(
                progress.epoch * progress.steps + progress.step,
                progress.epochs * progress.steps,
                f'{epoch} loss {progress.loss:.4f}',
            )
            if progress.score is not None:
                # A line that stays, also where no bar can be drawn.
                bar.print(
                    f'{epoch}: loss {progress.loss:.4f}, validation score {progress.score:.4f}, '
                    f'{progress.seconds:.0f} s'
                )

        yield show
