"""Curves of a training, for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.training.runner import Progress, Report


@contextmanager
def tensorboard_log(folder: Path) -> Iterator[Report]:
    """Return a function that writes each `Progress` to a folder: loss, learning rate, score.

    Raises:
        MicroexprError: the package tensorboardX is missing.
    """
    try:
        # Imported here, as it loads the tensorboard of torch too, only if curves are wanted.
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise MicroexprError(
            f'--tensorboard needs the package tensorboardX, which cannot be imported ({error}): '
            'pip install tensorboardX'
        ) from error
    with SummaryWriter(str(folder)) as writer:

        def write(progress: Progress) -> None:
            at = progress.epoch * progress.steps + progress.step
            if progress.score is None:
                writer.add_scalar('training/loss', progress.loss, at)
                writer.add_scalar('training/learning_rate', progress.learning_rate, at)
            else:
                writer.add_scalar('validation/score', progress.score, at)

        yield write
