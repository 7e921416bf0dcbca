"""Training of any network: optimizer, schedule, best epoch, checkpoints."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.training.checkpoint import read_checkpoint, write_checkpoint
from microexpr_ros.perception.settings import to_settings

Network = TypeVar('Network', bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Optimization:
    """How a network is optimized: AdamW with a one-cycle schedule (Smith and Topin, 2018).

    Attributes:
        epochs: passes over the training clips.
        batch: clips, or images, per step.
        learning_rate: peak of the schedule.
        warm_up: share of all steps in which the learning rate rises to its peak.
        weight_decay: of AdamW.
        clip_norm: largest norm of a gradient.
        seed: of everything random.
        average: share of the older weights in the average of weights that is scored and kept
            (Polyak and Juditsky, 1992), per step; 0 keeps the newest weights.
        bfloat16: whether convolutions compute in bfloat16, which takes 55 to 75 % of the time on
            processors that can (AVX-512 BF16, AMX), and much longer on others. Losses and scores
            are computed in float32.
    """

    epochs: int = 12
    batch: int = 8
    learning_rate: float = 3e-3
    warm_up: float = 0.2
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    seed: int = 0
    average: float = 0.0
    bfloat16: bool = False

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch) < 1:
            raise ValueError(
                f'epochs {self.epochs} and batch {self.batch}: both must be at least 1'
            )
        if not 0 <= self.average < 1:
            raise ValueError(f'average {self.average} must be at least 0 and below 1')
        if self.learning_rate <= 0 or not 0 < self.warm_up < 1:
            raise ValueError(
                f'learning_rate {self.learning_rate} must be over 0, '
                f'warm_up {self.warm_up} between 0 and 1'
            )

    def precision(self) -> torch.autocast:
        """Return the context in which a network, but not its loss, computes."""
        return torch.autocast('cpu', torch.bfloat16, enabled=self.bfloat16)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training is; reported after every step, and again when an epoch was scored.

    Attributes:
        epoch: epochs that were done before this one.
        epochs: all epochs.
        step: steps that are done in this epoch.
        steps: steps of an epoch.
        loss: mean training loss of this epoch.
        learning_rate: of the step.
        score: validation score of this epoch, None before it was scored, if it is.
        seconds: since the training started or was resumed.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    learning_rate: float
    score: float | None
    seconds: float


Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Trained(Generic[Network]):
    """The best network of a training, by its score on the validation split.

    Attributes:
        network: in the form that was trained, with its normalization.
        epoch: epoch after which it was best, from 1.
        score: its validation score.
        history: one entry per epoch: loss, and score where it was scored.
    """

    network: Network
    epoch: int
    score: float
    history: tuple[dict[str, float], ...]


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a training with a schedule of its own.

    Attributes:
        epochs: its epochs.
        learning_rate: peak of the schedule.
    """

    epochs: int
    learning_rate: float


@dataclass(frozen=True, slots=True)
class TrainingTask(Generic[Network]):
    """What differs between the trainings of different networks.

    Attributes:
        network: what to train.
        items: training items in an epoch.
        losses: given the number of the epoch, its generator, and the items of each step,
            yields the loss of each step; a step is taken before the next loss is computed.
        score: of the network in evaluation mode on the validation split; larger is better.
        identity: JSON values that, with the optimization, must be equal to resume a training.
        loss: holds parameters that are trained, but not part of the network.
        prepare: called once before the first step.
        unscored: number of first epochs that are not scored.
        phases: parts of the training, which add up to all epochs; empty: one part, with the
            schedule of the optimization.
    """

    network: Network
    items: int
    losses: Callable[[int, np.random.Generator, Sequence[NDArray[np.int64]]], Iterator[Tensor]]
    score: Callable[[Network], float]
    identity: Mapping[str, Any]
    loss: nn.Module = field(default_factory=nn.Module)
    prepare: Callable[[], None] = lambda: None
    unscored: int = 0
    phases: Sequence[Phase] = ()


def seed_torch(optimization: Optimization) -> None:
    """Seed torch; call it before the network to train is built."""
    torch.manual_seed(optimization.seed)


@contextmanager
def _without_denormals() -> Iterator[None]:
    # Gradients through a hundred leaky steps become denormal, which is a hundred times slower.
    # The mode holds for the whole process, where others may need denormal numbers.
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@_without_denormals()
def run_training(
    task: TrainingTask[Network],
    optimization: Optimization,
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report | None = None,
) -> Trained[Network]:
    """Train a network and return its state after the best epoch.

    Args:
        task: the network and its data.
        optimization: how to train.
        checkpoint: file written after every epoch.
        resume: go on from the checkpoint.
        report: called after every step and every epoch.

    Raises:
        MicroexprError: `resume`, and the checkpoint is missing or of another configuration; or
            no epoch has a score.
    """
    c, net = optimization, task.network
    parameters = [*net.parameters(), *task.loss.parameters()]
    optimizer = torch.optim.AdamW(parameters, c.learning_rate, weight_decay=c.weight_decay)
    steps = math.ceil(task.items / c.batch)
    phases = task.phases or (Phase(c.epochs, c.learning_rate),)
    begins = dict(zip(accumulate((p.epochs for p in phases), initial=0), phases, strict=False))

    def start(phase: Phase) -> OneCycleLR:
        total = steps * phase.epochs
        return OneCycleLR(optimizer, phase.learning_rate, total, pct_start=c.warm_up)

    schedule = start(phases[0])
    kept = copy.deepcopy(net) if c.average else net
    parts: dict[str, Any] = {
        'network': net,
        'loss': task.loss,
        'optimizer': optimizer,
        'schedule': schedule,
    }
    if c.average:
        parts['average'] = kept
    identity = {**task.identity, 'training': to_settings(c)}
    history: list[dict[str, float]] = []
    best: dict[str, Tensor] = {}
    if resume and checkpoint is not None:
        history, best = read_checkpoint(checkpoint, identity, parts)

    started = time.monotonic()

    def report_progress(epoch: int, losses: Sequence[float], score: float | None) -> None:
        if report is not None:
            rate, seconds = float(schedule.get_last_lr()[0]), time.monotonic() - started
            loss = float(np.mean(losses))
            report(Progress(epoch, c.epochs, len(losses), steps, loss, rate, score, seconds))

    if not history:
        task.prepare()
        kept.load_state_dict(net.state_dict())
    taken = len(history) * steps
    for epoch in range(len(history), c.epochs):
        if epoch > 0 and epoch in begins:
            schedule = parts['schedule'] = start(begins[epoch])
        # One seed per epoch, so that a resumed training samples what an uninterrupted one would.
        rng = np.random.default_rng([c.seed, epoch])
        torch.manual_seed(int(rng.integers(2**31)))
        order = np.array_split(rng.permutation(task.items), range(c.batch, task.items, c.batch))
        net.train()
        losses: list[float] = []
        for loss in task.losses(epoch, rng, order):
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, c.clip_norm)
            optimizer.step()
            taken += 1
            if c.average:
                _update_average(kept, net, c.average, taken)
            losses.append(float(loss.detach()))
            report_progress(epoch, losses, None)
            schedule.step()
        entry = {'loss': float(np.mean(losses))}
        if epoch >= task.unscored:
            entry['score'] = task.score(kept.eval())
        if entry.get('score', -math.inf) > max(_known_scores(history), default=-math.inf):
            best = {key: value.clone() for key, value in kept.state_dict().items()}
        history.append(entry)
        if checkpoint is not None:
            write_checkpoint(checkpoint, identity, parts, history, best)
        report_progress(epoch, losses, entry.get('score'))
    scores = _scores(history)
    if not best:
        raise MicroexprError(
            f'every validation score is {scores[-1]}: the validation split has too few clips to '
            'choose an epoch by'
        )
    net.load_state_dict(best)
    at = int(np.nanargmax(scores))
    epoch = len(history) - len(scores) + at + 1
    return Trained(net.eval(), epoch, scores[at], tuple(history))


@torch.no_grad()
def _update_average(average: nn.Module, network: nn.Module, share: float, steps: int) -> None:
    # The first steps count less, or the weights of the start would stay for long.
    new = 1 - min(share, steps / (steps + 10))
    for old, now in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if old.dtype.is_floating_point:
            old.lerp_(now, new)
        else:
            old.copy_(now)


def _known_scores(history: Sequence[Mapping[str, float]]) -> list[float]:
    return [score for score in _scores(history) if not math.isnan(score)]


def _scores(history: Sequence[Mapping[str, float]]) -> list[float]:
    return [entry['score'] for entry in history if 'score' in entry]


def training_settings(configuration: Optimization, trained: Trained[Network]) -> dict[str, Any]:
    """Return how a network was trained, as JSON values for its weights file."""
    return {**to_settings(configuration), 'best_epoch': trained.epoch, 'validation': trained.score}
